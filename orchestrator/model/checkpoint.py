"""What the catalog records of a domain: its checkpoints, and the head that it descends from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from posixpath import dirname

from .guest import Device, Host
from .layer import Layer


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryImage:
    """The file virDomainSave wrote. `sha256` is None until it has been hashed."""

    path: str
    size: int
    was_running: bool
    version: int
    compression: str  # raw, gzip, ...: the header's `format`
    data_length: int
    sha256: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointDisk:
    """A disk as a checkpoint recorded it. `layer` is the frozen layer, None if it was not writable."""

    target: str
    device: Device
    readonly: bool
    path: str | None
    format: str | None
    source_type: str = "file"
    layer: Layer | None = None

    @property
    def file(self) -> str | None:
        """The file that must be there at a rollback though it has no layer: a CD-ROM's, a read-only disk's."""
        return self.path if self.layer is None and self.source_type == "file" else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """What people say of a checkpoint, and may say otherwise later."""

    name: str
    description: str = ""
    tags: tuple[str, ...] = ()
    expires: datetime | None = None
    protected: bool = False


class CheckpointState(StrEnum):
    READY = "ready"
    DELETING = "deleting"  # hidden: its files are being removed


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """One memory image + one frozen layer per writable disk, of one instant."""

    id: str  # also the id of the operation that made it, and its directory's name
    host_uuid: str
    domain_uuid: str
    domain_name: str
    name: str
    parent_id: str | None
    created: datetime
    mode: str  # "save"
    state: CheckpointState
    memory: MemoryImage
    disks: tuple[CheckpointDisk, ...]
    domain_xml: str
    persistent: bool
    machine: str
    cpu: str
    emulator: str
    qemu_version: str
    libvirt_version: str
    tags: tuple[str, ...] = ()
    description: str = ""
    damage: str | None = None  # what a verify found, one line; no rollback until another finds it mended
    expires: datetime | None = None  # from when on `prune --expired` removes it
    protected: bool = False  # no prune removes it

    @property
    def layers(self) -> dict[str, Layer]:
        """The frozen layers, by target."""
        return {disk.target: disk.layer for disk in self.disks if disk.layer is not None}

    @property
    def directory(self) -> str:
        return dirname(self.memory.path)

    @property
    def labels(self) -> Labels:
        return Labels(
            name=self.name,
            description=self.description,
            tags=self.tags,
            expires=self.expires,
            protected=self.protected,
        )


def shown_state(state: CheckpointState, damage: str | None, sha256: str | None) -> str:
    """A checkpoint's state in one word: "deleting", "damaged", "unhashed" or "ready"."""
    if state is not CheckpointState.READY:
        return state.value
    return "damaged" if damage is not None else "unhashed" if sha256 is None else "ready"


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Where a domain stands: the checkpoint it descends from, and its active overlays by target.

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
    current: bool  # whether the domain stands on it
    memory_bytes: int  # length of the memory image
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
