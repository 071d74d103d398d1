"""A hypervisor in a box: real, private libvirtd instances to test snapctl against.

Each box is a system-mode libvirtd with its own mounts, processes and files.  Client and
hypervisor share a socket and nothing else, so product code that reaches for a file of the
hypervisor by path fails at once.  By hand: ``python -m tests.box --help``; from pytest:
``tests.box.fixtures``.

Nothing here imports the product: the box is independent of what is tested in it.
"""
