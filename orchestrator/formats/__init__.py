"""Other people's bytes and XML: libvirt's documents, QEMU's images. Pure: what they say, and how to say it.

Every XML document is parsed, built and serialized by `xmltree`, the only module that imports lxml.
"""
