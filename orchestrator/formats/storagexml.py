"""Storage pools and volumes as libvirt's XML. Pure; element names as in "Storage pool and volume XML format"."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from ..errors import HypervisorError
from ..model import FileInfo, NewOverlay
from .xmltree import Element, add, new, parse, serialize

DIRECTORY_MODE = "0711"
FILE_MODE = "0600"

FILE_TYPES = frozenset({"file", "block"})
DIRECTORY_TYPES = frozenset({"dir"})


def pool(path: str, *, name: str, uuid: str) -> str:
    """A pool that is one directory; its mode matters only when it is built."""
    root = new("pool", type="dir")
    add(root, "name", name)
    add(root, "uuid", uuid)
    target = add(root, "target")
    add(target, "path", path)
    add(add(target, "permissions"), "mode", DIRECTORY_MODE)
    return serialize(root)


@dataclass(frozen=True, slots=True)
class Ownership:
    """User and group of a file, by number."""

    owner: str
    group: str


def overlay(wanted: NewOverlay, ownership: Ownership | None = None) -> str:
    """A qcow2 volume on top of another image, whose format is always named: an image is never probed. Without an
    `ownership` it is the daemon's own."""
    root = new("volume")
    add(root, "name", wanted.name)
    add(root, "capacity", str(wanted.capacity), unit="bytes")
    target = add(root, "target")
    add(target, "format", type="qcow2")
    add(target, "compat", "1.1")  # else libvirt makes version 2, in which discards and dirty bitmaps do not work
    permissions = add(target, "permissions")
    add(permissions, "mode", FILE_MODE)
    if ownership is not None:
        add(permissions, "owner", ownership.owner)
        add(permissions, "group", ownership.group)
    backing = add(root, "backingStore")
    add(backing, "path", wanted.backing)
    add(backing, "format", type=wanted.backing_format)
    return serialize(root)


def file(name: str, length: int) -> str:
    """A volume of bytes that mean nothing to libvirt."""
    root = new("volume")
    add(root, "name", name)
    add(root, "capacity", str(length), unit="bytes")
    add(root, "allocation", "0", unit="bytes")
    target = add(root, "target")
    add(target, "format", type="raw")
    add(add(target, "permissions"), "mode", FILE_MODE)
    return serialize(root)


def ownership(xml: str) -> Ownership:
    """Whose a file is, as a volume XML says."""
    root = parse(xml, "volume")
    return Ownership(*(str(_number(root, f"target/permissions/{tag}")) for tag in ("owner", "group")))


def file_facts(xml: str) -> FileInfo | None:
    """What a volume XML says of a file or block device; None for a volume that is neither (a directory)."""
    return _facts(xml, FILE_TYPES)


def directory_facts(xml: str) -> FileInfo | None:
    """What a volume XML says of a directory; None for a volume that is none."""
    return _facts(xml, DIRECTORY_TYPES)


def _facts(xml: str, types: Collection[str]) -> FileInfo | None:
    """libvirt prints the modes in octal and the times as seconds.nanoseconds."""
    root = parse(xml, "volume")
    if root.get("type", "file") not in types:
        return None
    image_format = root.find("target/format")
    return FileInfo(
        path=_text(root, "target/path"),
        physical=_bytes(root, "physical", default="0"),  # libvirt leaves it out for an empty file
        allocation=_bytes(root, "allocation"),
        capacity=_bytes(root, "capacity"),
        format="raw" if image_format is None else image_format.get("type", "raw"),
        mode=_number(root, "target/permissions/mode", base=8),
        mtime=_text(root, "target/timestamps/mtime"),
        backing=root.findtext("backingStore/path"),
    )


def _bytes(root: Element, path: str, default: str = "") -> int:
    element = root.find(path)
    # libvirt prints bytes unless asked otherwise; a change there must not pass for another size.
    if element is not None and element.get("unit", "bytes") != "bytes":
        raise HypervisorError(f"the hypervisor's volume XML has <{path}> in {element.get('unit')}, not in bytes")
    return _number(root, path, default=default)


def _number(root: Element, path: str, *, base: int = 10, default: str = "") -> int:
    text = _text(root, path, default)
    try:
        return int(text, base)
    except ValueError:
        raise HypervisorError(f"the hypervisor's volume XML has no number in <{path}>: {text!r}") from None


def _text(root: Element, path: str, default: str = "") -> str:
    text = root.findtext(path) or default
    if not text:
        raise HypervisorError(f"the hypervisor's volume XML has no <{path}>")
    return text
