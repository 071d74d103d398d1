"""What the catalog records of a domain: its checkpoints, and the head that it descends from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from .guest import Device, Domain, Host
from .layer import Layer


class ArtifactKind(StrEnum):
    """What a file of a checkpoint holds."""

    MEMORY = "memory"  # the guest's memory: an image that virDomainSave wrote
    DISK = "disk"  # what a disk had: a layer that froze
    SIDECAR = "sidecar"  # what else the guest needs and keeps outside of both


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """One file of a checkpoint. `size` and `sha256` say whether it still is what it was."""

    kind: ArtifactKind
    target: str | None  # the disk that it is of, or the device
    path: str
    format: str
    size: int | None  # its length; None for a block device
    sha256: str | None = None  # None until it has been hashed


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryImage:
    """The file virDomainSave wrote, and what its header says. `sha256` is None until it has been hashed."""

    path: str
    size: int
    was_running: bool
    version: int
    compression: str  # raw, gzip, ...: the header's `format`
    data_length: int
    sha256: str | None = None
    mtime: str | None = None  # a hint that its SHA-256 overrules; None if it was not recorded

    @property
    def artifact(self) -> Artifact:
        return Artifact(
            kind=ArtifactKind.MEMORY,
            target=None,
            path=self.path,
            format=self.compression,
            size=self.size,
            sha256=self.sha256,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointDisk:
    """A disk as a checkpoint recorded it. `layer` is the frozen layer, None if it was not writable.

    What follows it is of the source of a disk that has none, as far as that could be read: the length and time of last
    change of a file, the fingerprint of a file or block device, and its SHA-256 once it was read whole.
    """

    target: str
    device: Device
    readonly: bool
    path: str | None
    format: str | None
    source_type: str = "file"
    layer: Layer | None = None
    size: int | None = None
    mtime: str | None = None
    fingerprint: str | None = None
    sha256: str | None = None

    @property
    def ejectable(self) -> bool:
        """Whether its drive may be empty."""
        return self.device in (Device.CDROM, Device.FLOPPY)

    @property
    def medium(self) -> str | None:
        """The path of what must be as it was though it has no layer: a CD-ROM, a read-only disk. Not a writable floppy,
        which is no part of a checkpoint."""
        return self.path if self.layer is None and self.fingerprint is not None else None

    @property
    def file(self) -> str | None:
        """The file that must be there at a rollback though it has no layer: a CD-ROM's, a read-only disk's."""
        return self.path if self.layer is None and self.source_type == "file" else None

    @property
    def artifact(self) -> Artifact | None:
        """The layer that froze, if one did."""
        if self.layer is None:
            return None
        return Artifact(
            kind=ArtifactKind.DISK,
            target=self.target,
            path=self.layer.path,
            format=self.layer.format,
            size=self.layer.physical,
            sha256=self.layer.sha256,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """What people say of a checkpoint, and may say otherwise later."""

    name: str
    description: str = ""
    tags: tuple[str, ...] = ()
    expires: datetime | None = None
    protected: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a checkpoint was made of: the guest's definition at that moment, and the software that ran it."""

    domain_xml: str
    persistent: bool
    machine: str
    cpu: str  # the <cpu> element as text, "" if there is none
    emulator: str
    qemu_version: str
    libvirt_version: str

    @classmethod
    def of(cls, domain: Domain, host: Host) -> Origin:
        return cls(
            domain_xml=domain.xml,
            persistent=domain.persistent,
            machine=domain.machine,
            cpu=domain.cpu,
            emulator=domain.emulator,
            qemu_version=host.qemu_version,
            libvirt_version=host.libvirt_version,
        )


class CaptureMode(StrEnum):
    """How the artifacts of a checkpoint came to be."""

    SAVE = "save"  # the guest was stopped and its memory saved, with its disks as they were then


class CheckpointState(StrEnum):
    READY = "ready"
    DELETING = "deleting"  # hidden: its files are being removed


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A set of artifacts of one instant, what they were made of, and what people say of them.

    Its own directory, which the operation that made it made, holds its memory image and its sidecars, if it
    has any. The layers that it froze lie in the directories of earlier operations, or are the user's own.
    """

    id: str
    operation_id: str  # that made it, and its directory; several checkpoints may come from one
    host_uuid: str
    domain_uuid: str
    domain_name: str
    parent_id: str | None
    created: datetime
    mode: CaptureMode
    state: CheckpointState
    directory: str
    labels: Labels
    origin: Origin
    memory: MemoryImage | None
    disks: tuple[CheckpointDisk, ...]  # all that the guest had, those that did not freeze too
    sidecars: tuple[Artifact, ...] = ()
    damage: str | None = None  # what a verify found, one line; no rollback until another finds it mended

    @property
    def name(self) -> str:
        return self.labels.name

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        memory = (self.memory.artifact,) if self.memory is not None else ()
        disks = (artifact for disk in self.disks if (artifact := disk.artifact) is not None)
        return (*memory, *disks, *self.sidecars)

    @property
    def own_files(self) -> tuple[str, ...]:
        """What it alone has, in its directory: all of its artifacts but the layers, which others may need too."""
        return tuple(each.path for each in self.artifacts if each.kind is not ArtifactKind.DISK)

    @property
    def own_bytes(self) -> int:
        return sum(each.size or 0 for each in self.artifacts if each.kind is not ArtifactKind.DISK)

    @property
    def memory_bytes(self) -> int:
        return self.memory.size if self.memory is not None else 0

    @property
    def unhashed(self) -> bool:
        """Whether the SHA-256 of its memory image is still to come."""
        return self.memory is not None and self.memory.sha256 is None

    @property
    def layers(self) -> dict[str, Layer]:
        """The frozen layers, by target."""
        return {disk.target: disk.layer for disk in self.disks if disk.layer is not None}


def shown_state(state: CheckpointState, damage: str | None, unhashed: bool) -> str:
    """A checkpoint's state in one word: "deleting", "damaged", "unhashed" or "ready"."""
    if state is not CheckpointState.READY:
        return state.value
    return "damaged" if damage is not None else "unhashed" if unhashed else "ready"


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A domain's current checkpoint, and its active layers by target.

    `checkpoint_id` is None when that checkpoint is not known any more. `kept_id` is the checkpoint in
    which the last rollback kept what it took the domain away from; None when it kept nothing.
    """

    host_uuid: str
    domain_uuid: str
    checkpoint_id: str | None
    overlays: Mapping[str, str]  # target -> path
    kept_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointSummary:
    """A checkpoint as a list shows it: cheap to read by the thousand."""

    domain: str
    domain_uuid: str
    name: str
    id: str
    parent: str | None  # the parent's name
    parent_id: str | None
    created: datetime
    mode: str
    tags: tuple[str, ...]
    description: str
    current: bool  # whether it is the domain's current checkpoint
    memory_bytes: int  # length of the memory image, 0 if there is none
    disk_bytes: int  # allocation of its frozen layers that snapctl made, when they froze
    state: str  # `shown_state`; "unhashed" while its SHA-256 is still to come
    expires: datetime | None = None
    protected: bool = False
    exclusive_bytes: int = 0  # what to delete it alone would free: memory image, and layers nothing else needs


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointDetails:
    """A checkpoint and its neighbours."""

    checkpoint: Checkpoint
    host: Host
    parent: str | None  # its name
    current: bool
    children: tuple[str, ...]  # their names
    exclusive_bytes: int = 0  # as in `CheckpointSummary`
    shared_bytes: int = 0  # of `disk_bytes` there: layers that something else needs, too
