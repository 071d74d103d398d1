"""Whether the host can restore what a definition describes: asked before a guest is stopped (order rule 14).

Pure. What is certain to fail is an obstacle, and refused unless the user insists; what may fail is a note.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from ...errors import Refused
from ...formats.needs import NeededFile, Needs
from ...model import Checkpoint, Disk, Host, Layer, Origin, is_device


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """What the host says of the needs of a definition. What it was not asked, or cannot tell, is no obstacle."""

    platform_problem: str | None = None
    cpu_problem: str | None = None
    inactive_networks: tuple[str, ...] = ()
    missing_files: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Obstacle:
    problem: str
    hint: str


def obstacles(name: str, needs: Needs, found: HostFacts) -> Iterator[Obstacle]:
    """What would make each restore of the domain fail."""
    if found.platform_problem:
        yield Obstacle(
            f"the host cannot run {name}: {found.platform_problem}",
            "install a QEMU that can: virsh domcapabilities",
        )
    if found.cpu_problem:
        yield Obstacle(
            f"the host cannot give {name} the CPU of the checkpoint: {found.cpu_problem}",
            "choose a checkpoint that was created on such a host",
        )
    for network in found.inactive_networks:
        yield Obstacle(
            f"{name} needs the network {network}, which is not active", f"start it: virsh net-start {network}"
        )
    for file in needs.boot_files:
        if file.path in found.missing_files:
            yield Obstacle(f"the {file.what} {file.path} of {name} is missing", "restore the file")


def media_obstacles(name: str, needs: Needs, missing: Collection[str]) -> Iterator[Obstacle]:
    """The media without which libvirt would not restore the domain."""
    for file in needs.media:
        if file.path in missing and not file.optional:
            yield Obstacle(f"the {file.what} {file.path} of {name} is missing", _way_on(name, file))


def _way_on(name: str, file: NeededFile) -> str:
    if file.ejectable:
        return f"eject it: virsh change-media {name} {file.target} --eject"
    return f"restore the file, or detach the disk: virsh detach-disk {name} {file.target}"


def empty_drives(needs: Needs, missing: Collection[str]) -> Iterator[str]:
    """What is to be known of the media that libvirt can do without."""
    for file in needs.media:
        if file.path in missing and file.optional:
            yield f"the {file.what} {file.path} is missing: the drive {file.target} will be empty"


def sampled(checkpoint: Checkpoint, chains: Mapping[str, Iterable[Layer]]) -> Iterator[str]:
    """Of what only samples were compared: neither its time of last change nor its SHA-256 is known."""
    devices = [layer.path for chain in chains.values() for layer in chain if layer.is_block]
    media = [path for disk in checkpoint.disks if (path := disk.medium) is not None and is_device(path)]
    for path in dict.fromkeys([*devices, *media]):
        yield f"only samples of {path} are compared"


def not_part(disks: Iterable[Disk]) -> Iterator[str]:
    """What a checkpoint neither holds nor compares."""
    for disk in disks:
        if disk.path is not None and not disk.is_part:
            yield f"the {disk.device} {disk.target} ({disk.path}) is writable and no part of the checkpoint"


def sampled_disks(disks: Iterable[Disk]) -> Iterator[str]:
    """The block devices that a checkpoint will rely on."""
    paths = [source.path for disk in disks for source in disk.chain if is_device(source.path)]
    for path in dict.fromkeys(paths):
        yield f"{path} is a block device: only samples of it will be compared"


def older_versions(origin: Origin, host: Host) -> Iterator[str]:
    """What is older than what the checkpoint was created with; it may not read what that wrote."""
    for what, was, is_now in (
        ("QEMU", origin.qemu_version, host.qemu_version),
        ("libvirt", origin.libvirt_version, host.libvirt_version),
    ):
        if _numbers(is_now) < _numbers(was):
            yield f"{what} is {is_now}, older than {was}, with which the checkpoint was created"


def refuse_obstacles(found: Iterable[Obstacle], *, force: bool) -> Iterator[str]:
    """Raise `Refused` for the first one; with `force` they are notes."""
    for each in found:
        if not force:
            raise Refused(each.problem, hint=each.hint)
        yield each.problem


def joined(notes: Iterable[str | None]) -> str | None:
    return "; ".join(note for note in notes if note) or None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())
