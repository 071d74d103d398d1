"""Domain XML as a machine of the twin has it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from orchestrator.formats.xmltree import Element, add, new, parse, put, serialize
from orchestrator.model import Device, Disk, Source


def domain_xml(name: str, uuid: str, disks: Iterable[Disk], *, memory_kib: int = 131072) -> str:
    """A persistent domain XML."""
    domain = new("domain", type="qemu")
    add(domain, "name", name)
    add(domain, "uuid", uuid)
    add(domain, "memory", str(memory_kib), unit="KiB")
    add(add(domain, "os"), "type", "hvm", arch="x86_64", machine="pc-i440fx-7.2")
    add(domain, "cpu", mode="custom", match="exact")
    devices = add(domain, "devices")
    add(devices, "emulator", "/usr/bin/qemu-system-x86_64")
    for disk in disks:
        _add_disk(devices, disk)
    return serialize(domain)


def live_xml(xml: str, run_id: int, chains: Mapping[str, Sequence[Source]]) -> str:
    """The XML of a running domain: with its number, and the chain that libvirt found below each disk."""
    domain = parse(xml, "domain")
    put(domain, id=str(run_id))
    for disk in domain.iterfind("devices/disk"):
        target = disk.find("target")
        level = disk
        for source in chains.get("" if target is None else target.get("dev", ""), ()):
            level = add(level, "backingStore", type="file")
            add(level, "format", type=source.format)
            add(level, "source", file=source.path)
        add(level, "backingStore")
    return serialize(domain)


def ejected(xml: str, targets: Collection[str | None]) -> str:
    """With these drives empty."""
    domain = parse(xml, "domain")
    for disk in domain.iterfind("devices/disk"):
        target, source = disk.find("target"), disk.find("source")
        if target is not None and source is not None and target.get("dev") in targets:
            disk.remove(source)
    return serialize(domain)


def _add_disk(devices: Element, disk: Disk) -> None:
    element = add(devices, "disk", type=disk.source_type, device=disk.device)
    add(element, "driver", name="qemu", type=disk.source.format if disk.source else "raw")
    if disk.source:
        add(element, "source", **{"dev" if disk.source_type == "block" else "file": disk.source.path})
    add(element, "target", dev=disk.target, bus="virtio" if disk.device is Device.DISK else "ide")
    for mark in ("readonly", "shareable", "transient"):
        if getattr(disk, mark):
            add(element, mark)
