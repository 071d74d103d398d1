"""Images on a box's own file system: put there, and taken away, by the volume API alone."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

from tests.box import layout

POOL = "default"
CHUNK = 1 << 20


def default_pool(connection: Any) -> Any:
    """The box's pool for images, made if need be; it is there again after a restart of libvirtd."""
    for pool in connection.listAllStoragePools():
        if pool.name() == POOL:
            return pool
    xml = ElementTree.Element("pool", type="dir")
    ElementTree.SubElement(xml, "name").text = POOL
    ElementTree.SubElement(ElementTree.SubElement(xml, "target"), "path").text = layout.IMAGES
    pool = connection.storagePoolDefineXML(ElementTree.tostring(xml, encoding="unicode"))
    pool.setAutostart(True)
    pool.create()
    return pool


def upload(pool: Any, name: str, image: Path, *, image_format: str = "raw", mode: str = "0600") -> str:
    """Upload an image as the new volume `name`; return its path on the hypervisor.

    The volume begins empty and grows with what arrives, so its size tells whether all of it did.
    """
    xml = ElementTree.Element("volume")
    ElementTree.SubElement(xml, "name").text = name
    ElementTree.SubElement(xml, "capacity").text = "0"
    target = ElementTree.SubElement(xml, "target")
    ElementTree.SubElement(target, "format", type="raw")
    ElementTree.SubElement(ElementTree.SubElement(target, "permissions"), "mode").text = mode
    volume = pool.createXML(ElementTree.tostring(xml, encoding="unicode"))
    stream = pool.connect().newStream()
    with image.open("rb") as source:
        volume.upload(stream, 0, 0)
        stream.sendAll(lambda _stream, count, file: file.read(count), source)
    stream.finish()
    pool.refresh()  # the pool must look again to see what format arrived
    return str(volume.path())


def upload_once(pool: Any, name: str, image: Path) -> str:
    """Upload what all guests share and none may change, unless it is there in full."""
    pool.refresh()
    for volume in pool.listAllVolumes():
        if volume.name() == name:
            if volume.info()[1] == image.stat().st_size:
                return str(volume.path())
            volume.delete()  # the upload was cut short
    return upload(pool, name, image, mode="0644")


def remove_all(pool: Any, *, prefix: str) -> None:
    """Delete the volumes whose names begin so."""
    pool.refresh()
    for volume in pool.listAllVolumes():
        if volume.name().startswith(prefix):
            volume.delete()
