"""What a domain XML needs of the host so that libvirt can start it, or restore it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..errors import HypervisorError
from ..model import Device, Platform, is_device
from . import domainxml
from .xmltree import Element, parse, serialize

BOOT_FILES = {"loader": "firmware", "kernel": "kernel", "initrd": "initrd", "dtb": "device tree"}
"""Children of `<os>` that name a file which QEMU reads at each start, and how they are called. Not `nvram`, which
libvirt creates where it is missing."""

REMOVABLE = (Device.CDROM, Device.FLOPPY)
MANDATORY = "mandatory"
"""libvirt's default startup policy: the domain does not start without the medium."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NeededFile:
    """`target` is that of the disk whose source it is; `ejectable` that its drive may be empty. With `optional` it is
    libvirt that leaves the drive empty at a restore when the file is missing (startupPolicy)."""

    path: str
    what: str
    target: str | None = None
    ejectable: bool = False
    optional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    platform: Platform
    cpu: str  # the <cpu> element as text if it names a model and its features, else ""
    networks: tuple[str, ...]
    boot_files: tuple[NeededFile, ...]
    media: tuple[NeededFile, ...]  # sources of the disks that no overlay replaces


NOTHING = Needs(
    platform=Platform(emulator="", architecture="", machine="", virtualization="qemu"),
    cpu="",
    networks=(),
    boot_files=(),
    media=(),
)


def needs(xml: str) -> Needs:
    """Raises `HypervisorError` for what is no domain XML."""
    domain = parse(xml, "domain")
    kind, cpu = domain.find("os/type"), domain.find("cpu")
    return Needs(
        platform=Platform(
            emulator=domain.findtext("devices/emulator", ""),
            architecture="" if kind is None else kind.get("arch", ""),
            machine="" if kind is None else kind.get("machine", ""),
            virtualization=domain.get("type", "qemu"),
        ),
        cpu=serialize(cpu) if cpu is not None and cpu.find("model") is not None else "",
        networks=tuple(dict.fromkeys(_networks(domain))),
        boot_files=tuple(_boot_files(domain)),
        media=tuple(_media(xml, domain)),
    )


def catalogued_needs(xml: str) -> Needs:
    """The same of a definition in the catalog; one that cannot be read, which is damage, needs nothing."""
    try:
        return needs(xml)
    except HypervisorError:
        return NOTHING


def _networks(domain: Element) -> Iterator[str]:
    """A running guest's interface names its network even where libvirt shows it as one of type bridge."""
    for source in domain.iterfind("devices/interface/source"):
        if name := source.get("network"):
            yield name


def _boot_files(domain: Element) -> Iterator[NeededFile]:
    for tag, what in BOOT_FILES.items():
        path = domain.findtext(f"os/{tag}", "").strip()
        if _is_inspected(path):
            yield NeededFile(path=path, what=what)


def _media(xml: str, domain: Element) -> Iterator[NeededFile]:
    for disk, element in zip(domainxml.disks(xml), domain.iterfind("devices/disk"), strict=True):
        if disk.writable or disk.source_type != "file" or disk.path is None or not _is_inspected(disk.path):
            continue
        source = element.find("source")
        policy = MANDATORY if source is None else source.get("startupPolicy", MANDATORY)
        ejectable = disk.device in REMOVABLE
        yield NeededFile(
            path=disk.path,
            what=f"{disk.device} image",
            target=disk.target,
            ejectable=ejectable,
            optional=ejectable and policy != MANDATORY,  # without its disk itself, QEMU could not load the memory
        )


def _is_inspected(path: str) -> bool:
    return path.startswith("/") and not is_device(path)
