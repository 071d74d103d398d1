"""The witness's domain XML: the least machine that boots, for short boots and small memory images."""

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field

SubElement = ElementTree.SubElement

CMDLINE = " ".join(
    (
        "console=ttyS0 quiet loglevel=1",  # the console belongs to the shell
        "panic=-1",
        "mitigations=off cryptomgr.notests",  # boots sooner
        "init_on_free=1",  # memory images hold no free pages: 55 MB instead of 95
        "nowatchdog tsc=unstable",  # a restored guest finds that hours have gone by
    )
)


@dataclass(frozen=True)
class Disk:
    """One disk as the domain XML shows it; `marks` are empty elements such as ``readonly``."""

    target: str
    path: str = ""
    image_format: str = "qcow2"
    device: str = "disk"
    marks: tuple[str, ...] = field(default=())


def witness_xml(name: str, *, kernel: str, initrd: str, memory_mib: int, disks: list[Disk]) -> str:
    """A domain that boots kernel and initrd (paths on the hypervisor), without KVM."""
    domain = ElementTree.Element("domain", type="qemu")
    SubElement(domain, "name").text = name
    SubElement(domain, "memory", unit="MiB").text = str(memory_mib)
    SubElement(domain, "vcpu").text = "1"
    boot = SubElement(domain, "os")
    SubElement(boot, "type", arch="x86_64", machine="pc").text = "hvm"
    SubElement(boot, "kernel").text = kernel
    SubElement(boot, "initrd").text = initrd
    SubElement(boot, "cmdline").text = CMDLINE
    SubElement(SubElement(domain, "features"), "acpi")
    SubElement(domain, "on_crash").text = "destroy"
    devices = SubElement(domain, "devices")
    for disk in disks:
        devices.append(_disk(disk))
    SubElement(SubElement(devices, "serial", type="pty"), "target", port="0")
    SubElement(devices, "controller", type="usb", model="none")
    SubElement(devices, "memballoon", model="none")
    return ElementTree.tostring(domain, encoding="unicode")


def _disk(disk: Disk) -> ElementTree.Element:
    element = ElementTree.Element("disk", type="file", device=disk.device)
    SubElement(element, "driver", name="qemu", type=disk.image_format)
    SubElement(element, "source", file=disk.path)
    bus = "virtio" if disk.device == "disk" else "ide"
    SubElement(element, "target", dev=disk.target, bus=bus)
    for mark in disk.marks:
        SubElement(element, mark)
    return element
