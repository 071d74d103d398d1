"""What snapctl reads from a libvirt domain XML, and the one change it makes to it: other disks.

Pure. Element and attribute names as in libvirt's "Domain XML format".
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from html import unescape

from ..errors import HypervisorError, Refused
from ..model import Device, Disk, Source, is_device
from .xmltree import Element, add, new, parse, put, serialize

PATH_ATTRIBUTES = {"file": "file", "block": "dev"}
"""By `<disk type=…>`: the attribute of `<source>` that holds a path."""

MENTION = re.compile(r"""\b(?:file|dev)=(['"])(/.*?)\1""")
"""An attribute that holds the path of a source."""

UNIT_BYTES = {
    "b": 1, "bytes": 1,
    "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "k": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40,
    "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
}  # fmt: skip
"""libvirt's units of memory; it prints KiB itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """What a domain XML says. `run_id` is None in a persistent XML and for a domain that is off."""

    name: str
    uuid: str
    run_id: int | None
    machine: str
    cpu: str  # the <cpu> element as text, "" if there is none
    emulator: str
    memory_bytes: int
    disks: tuple[Disk, ...]


def definition(xml: str) -> Definition:
    """Everything snapctl reads from a domain XML. Raises `HypervisorError` for what is not one."""
    domain = parse(xml, "domain")
    cpu = domain.find("cpu")
    machine = domain.find("os/type")
    return Definition(
        name=_text(domain, "name"),
        uuid=_text(domain, "uuid"),
        run_id=_run_id(domain),
        machine="" if machine is None else machine.get("machine", ""),
        cpu="" if cpu is None else serialize(cpu),
        emulator=domain.findtext("devices/emulator", ""),
        memory_bytes=_memory_bytes(domain),
        disks=tuple(_disk(disk) for disk in _disks(domain)),
    )


def disks(xml: str) -> tuple[Disk, ...]:
    """The disks of a domain, in the order of its XML; with their backing chains if it is a live one."""
    return tuple(_disk(disk) for disk in _disks(parse(xml, "domain")))


def mentioned(xml: str) -> tuple[Disk, ...]:
    """Every file that the XML of a domain names, as a disk that it may write to: for an XML that cannot be read, so
    that nothing which its domain may use is taken for unused."""
    paths = (unescape(path) for _, path in MENTION.findall(xml))
    return tuple(Disk(target="unknown", source=Source(path=path, format="raw")) for path in dict.fromkeys(paths))


def on_disks(xml: str, sources: Mapping[str, Source]) -> str:
    """The same domain on other disk files: `sources` by target; disks that it does not name stay as they are.

    A replaced disk loses its `<backingStore>`: libvirt then finds the chain from the files, and never
    believes a stale one. All else is kept: driver options, serial, address, security labels, metadata.
    Raises `Refused` when a target is missing, or its source is more than a path to a file or block device.
    """
    domain = parse(xml, "domain")
    by_target = {_target(disk): disk for disk in _disks(domain)}
    for target, source in sources.items():
        if target not in by_target:
            raise Refused(f"domain {_text(domain, 'name')} has no disk {target}")
        if problem := _replace_source(by_target[target], source):
            raise Refused(
                f"disk {target} of {_text(domain, 'name')} {problem}", hint="detach it, or copy it to an image file"
            )
    return serialize(domain)


def without_media(xml: str, targets: Collection[str]) -> str:
    """The same domain with these drives empty."""
    domain = parse(xml, "domain")
    for disk in _disks(domain):
        if _target(disk) in targets:
            for tag in ("source", "backingStore"):
                for element in disk.findall(tag):
                    _remove(element)
    return serialize(domain)


def with_set(xml: str, *, like: str, added: Collection[str], removed: Collection[str]) -> str:
    """The same domain without the disks `removed`, and with the disks `added` as the domain `like` has them.

    A disk whose address another device has by now gets one from libvirt. Raises `Refused` when `like` has no such disk.
    """
    domain, other = parse(xml, "domain"), parse(like, "domain")
    for disk in list(_disks(domain)):
        if _target(disk) in removed:
            _remove(disk)
    devices = domain.find("devices")
    ours, theirs = {_target(disk) for disk in _disks(domain)}, {_target(disk): disk for disk in _disks(other)}
    for target in added:
        if target in ours:
            continue
        if target not in theirs or devices is None:
            raise Refused(f"domain {_text(other, 'name')} has no disk {target}")
        taken = {_address(address) for address in domain.iterfind("devices/*/address")}
        disk = deepcopy(theirs[target])
        for address in disk.findall("address"):
            if _address(address) in taken:
                _remove(address)
        devices.append(disk)
    return serialize(domain)


def _address(address: Element) -> frozenset[tuple[str, str]]:
    return frozenset((str(name), str(value)) for name, value in address.attrib.items())


def renamed(xml: str, name: str) -> str:
    """The same domain under another name."""
    domain = parse(xml, "domain")
    if (element := domain.find("name")) is not None:
        element.text = name
    return serialize(domain)


RUN_NAMESPACE = "urn:snapctl:run"
"""Of the mark in the metadata of a run that snapctl started from a memory image."""

_RUN = f"{{{RUN_NAMESPACE}}}run"


def with_run_mark(xml: str, operation_id: str) -> str:
    """The same domain, marked as started by an operation: its live XML has the mark for as long as it runs, its
    persistent one has not. A mark of an earlier operation, which an image may carry, is replaced."""
    domain = parse(without_run_mark(xml), "domain")
    metadata = domain.find("metadata")
    add(add(domain, "metadata") if metadata is None else metadata, _RUN, operation=operation_id)
    return serialize(domain)


def without_run_mark(xml: str) -> str:
    """As a persistent definition has it."""
    domain = parse(xml, "domain")
    for mark in domain.findall(f"metadata/{_RUN}"):
        _remove(mark)
    return serialize(domain)


def run_mark(xml: str) -> str | None:
    """The id of the operation that started this run, None if it was started in any other way."""
    mark = parse(xml, "domain").find(f"metadata/{_RUN}")
    return None if mark is None else mark.get("operation")


def is_external_snapshot(xml: str) -> bool:
    """Whether a libvirt snapshot has all of its state in files of its own: nothing is lost with its record."""
    snapshot = parse(xml, "domainsnapshot")
    parts = [*snapshot.iterfind("memory"), *snapshot.iterfind("disks/disk")]
    kinds = {part.get("snapshot", "internal") for part in parts}
    return "external" in kinds and kinds <= {"external", "no", "manual"}


HELPER_NAMESPACE = "urn:snapctl:helper"
"""Of the mark in the metadata of a domain that exists only to have its QEMU work on a layer."""

HELPER_MEMORY_MIB = 16


def helper(like: str, *, uuid: str, name: str, target: str, layer: Source) -> str:
    """A domain to be started paused so that its QEMU has a layer open for writing, and nothing else: no
    network, no console, next to no memory. Virtualization, architecture, machine and emulator are as
    those of the domain `like`, so that the host has them. Its UUID is that of the operation.
    """
    model = parse(like, "domain")
    kind = model.find("os/type")
    domain = new("domain", type=model.get("type", "qemu"))
    add(domain, "name", name)
    add(domain, "uuid", uuid)
    add(add(domain, "metadata"), f"{{{HELPER_NAMESPACE}}}helper")
    add(domain, "memory", str(HELPER_MEMORY_MIB), unit="MiB")
    add(add(domain, "os"), "type", "hvm", **({} if kind is None else {str(k): str(v) for k, v in kind.attrib.items()}))
    devices = add(domain, "devices")
    if emulator := model.findtext("devices/emulator"):
        add(devices, "emulator", emulator)
    disk = add(devices, "disk", type="file", device="disk")
    add(disk, "driver", name="qemu", type=layer.format)
    add(disk, "source", file=layer.path)
    add(disk, "target", dev=target, bus="virtio")
    add(devices, "controller", type="usb", model="none")
    add(devices, "memballoon", model="none")
    return serialize(domain)


MOST_PEEKED = 16
"""Disks of such a domain: each has a PCI slot."""


def peeking(
    paths: Sequence[str], *, uuid: str, name: str, virtualization: str, as_root: bool
) -> tuple[str, dict[str, str]]:
    """A domain that is never started, and the target of each path in it: libvirt reads the disks of a domain that is
    defined (virDomainBlockPeek), and opens nothing else for it. `as_root`, as a device that no guest uses may be
    unreadable for QEMU's user."""
    targets = {path: f"vd{chr(ord('a') + number)}" for number, path in enumerate(paths)}
    domain = new("domain", type=virtualization)
    add(domain, "name", name)
    add(domain, "uuid", uuid)
    add(add(domain, "metadata"), f"{{{HELPER_NAMESPACE}}}helper")
    add(domain, "memory", str(HELPER_MEMORY_MIB), unit="MiB")
    add(add(domain, "os"), "type", "hvm")
    devices = add(domain, "devices")
    for path, target in targets.items():
        kind = "block" if is_device(path) else "file"
        disk = add(devices, "disk", type=kind, device="disk")
        add(disk, "driver", name="qemu", type="raw")
        add(disk, "source", **{PATH_ATTRIBUTES[kind]: path})
        add(disk, "target", dev=target, bus="virtio")
        add(disk, "readonly")
    add(devices, "controller", type="usb", model="none")
    add(devices, "memballoon", model="none")
    if as_root:
        label = add(domain, "seclabel", type="static", model="dac", relabel="no")
        add(label, "label", "+0:+0")
    return serialize(domain), targets


def is_helper(xml: str) -> bool:
    """Whether a domain XML carries the mark of such a domain."""
    return parse(xml, "domain").find(f"metadata/{{{HELPER_NAMESPACE}}}helper") is not None


def _disks(domain: Element) -> Iterator[Element]:
    return domain.iterfind("devices/disk")


def _disk(disk: Element) -> Disk:
    kind = disk.get("type", "file")
    driver = disk.find("driver")
    path = _path(disk, kind)
    # Without a driver type libvirt takes a disk for raw; it never probes.
    format_ = "raw" if driver is None else driver.get("type", "raw")
    return Disk(
        target=_target(disk),
        device=_device(disk),
        source_type=kind,
        source=None if path is None else Source(path=path, format=format_),
        backing=tuple(_backing(disk)),
        readonly=disk.find("readonly") is not None,
        shareable=disk.find("shareable") is not None,
        transient=disk.find("transient") is not None,
    )


def _backing(image: Element) -> Iterator[Source]:
    """The chain below an image, nearest first. An empty `<backingStore/>` ends it."""
    while (store := image.find("backingStore")) is not None and store.get("type"):
        kind = store.get("type", "")
        format_ = store.find("format")
        yield Source(
            path=_path(store, kind) or _pathless(store, kind),
            format="raw" if format_ is None else format_.get("type", "raw"),
        )
        image = store


def _pathless(store: Element, kind: str) -> str:
    """How a layer that has no path is named, so that no chain looks shorter than it is."""
    source = store.find("source")
    parts = () if source is None else (source.get("protocol", ""), source.get("name", ""))
    return ":".join((kind, *parts))


def _path(image: Element, kind: str) -> str | None:
    source = image.find("source")
    if source is None or kind not in PATH_ATTRIBUTES:
        return None
    return source.get(PATH_ATTRIBUTES[kind])


def _replace_source(disk: Element, new: Source) -> str | None:
    """Put another file in place of a disk's source, or say why that cannot be."""
    kind = disk.get("type", "file")
    source = disk.find("source")
    if source is None or kind not in PATH_ATTRIBUTES:
        return "has no file or block device that an overlay could replace"
    # Encryption, slices and reservations describe the very file that goes. libvirt takes encryption in both places.
    bound = [child.tag for child in source if isinstance(child.tag, str) and child.tag != "seclabel"]
    if disk.find("encryption") is not None:
        bound.append("encryption")
    if bound:
        return f"has <{bound[0]}>, which an overlay cannot have"
    for attribute in (*PATH_ATTRIBUTES.values(), "index"):
        if attribute in source.attrib:
            del source.attrib[attribute]
    put(source, file=new.path)
    put(disk, type="file")
    driver = disk.find("driver")
    put(add(disk, "driver", name="qemu") if driver is None else driver, type=new.format)
    for store in disk.findall("backingStore"):
        _remove(store)
    return None


def _remove(element: Element) -> None:
    """Remove an element but not the text behind it, which lxml counts as part of it."""
    parent = element.getparent()
    if parent is not None:
        element.tail = None
        parent.remove(element)


def _target(disk: Element) -> str:
    target = disk.find("target")
    name = None if target is None else target.get("dev")
    if not name:
        raise HypervisorError("the hypervisor's domain XML has a disk without a target")
    return name


def _device(disk: Element) -> Device:
    name = disk.get("device", "disk")
    try:
        return Device(name)
    except ValueError:
        raise HypervisorError(f"the hypervisor's domain XML has a disk of the unknown device {name!r}") from None


def _text(domain: Element, tag: str) -> str:
    text = domain.findtext(tag)
    if not text:
        raise HypervisorError(f"the hypervisor's domain XML has no <{tag}>")
    return text


def _run_id(domain: Element) -> int | None:
    number = domain.get("id", "")
    return int(number) if number.isdecimal() else None


def _memory_bytes(domain: Element) -> int:
    memory = domain.find("memory")
    if memory is None:
        return 0
    number, unit = (memory.text or "").strip(), memory.get("unit", "KiB")
    if not number.isdecimal() or unit not in UNIT_BYTES:
        raise HypervisorError(f"the hypervisor's domain XML has the unreadable memory size {number!r} {unit!r}")
    return int(number) * UNIT_BYTES[unit]
