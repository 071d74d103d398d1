"""A hypervisor and its domains, as libvirt describes them at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from .layer import Chain


class GuestState(StrEnum):
    """What libvirt says of a domain, reduced to what snapctl must distinguish (virDomainState)."""

    RUNNING = "running"
    PAUSED = "paused"  # by a user: can be checkpointed, and remains paused
    IO_ERROR = "paused (I/O error)"  # the storage failed under it: its disks are not to be trusted
    BUSY = "busy"  # being saved, migrated or started at this moment
    CRASHED = "crashed"
    OTHER = "other"  # PM-suspended, shutting down, ...: neither running nor settled
    OFF = "shut off"

    @property
    def active(self) -> bool:
        """Whether a QEMU process exists for it."""
        return self is not GuestState.OFF


class OffReason(StrEnum):
    """Why a domain is off (virDomainShutoffReason), as far as it matters to us."""

    SAVED = "saved"  # its memory was saved, and it was not started since
    DESTROYED = "destroyed"  # its QEMU was ended by virDomainDestroy: by a rollback, or by its owner
    RAN = "ran"  # it was shut down or crashed: it ran until then
    FAILED = "failed"  # it could not be started
    UNKNOWN = "unknown"  # the daemon was restarted since


class Device(StrEnum):
    """The `device` attribute of a libvirt `<disk>`."""

    DISK = "disk"
    LUN = "lun"
    CDROM = "cdrom"
    FLOPPY = "floppy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One storage source: a layer as a domain XML names it."""

    path: str
    format: str  # qcow2, raw, ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """One `<disk>` of a domain.

    `source` is None for an empty drive and for sources that have no path (network, volume, ...);
    `source_type` is libvirt's `<disk type=...>`. `backing` is the chain below the source, nearest
    first, as libvirt reports it for a *running* domain; it is empty for the persistent XML.
    """

    target: str
    device: Device = Device.DISK
    source_type: str = "file"
    source: Source | None = None
    backing: tuple[Source, ...] = ()
    readonly: bool = False
    shareable: bool = False
    transient: bool = False

    @property
    def writable(self) -> bool:
        """Whether the guest can change it, so that a checkpoint must freeze a layer of it."""
        return self.device in (Device.DISK, Device.LUN) and not self.readonly

    @property
    def is_part(self) -> bool:
        """Whether a checkpoint holds or checks its content. A floppy that the guest may write to is neither frozen
        nor compared."""
        return self.writable or self.readonly or self.device is Device.CDROM

    @property
    def path(self) -> str | None:
        return self.source.path if self.source else None

    @property
    def chain(self) -> Chain[Source]:
        """Its source and the chain below; nothing for an empty drive, or a source that has no path."""
        return Chain((self.source, *self.backing) if self.source is not None else ())


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A hypervisor, known by its host UUID, so that two spellings of one URI meet."""

    uuid: str
    name: str
    uri: str  # without user, password or query
    libvirt_version: str
    qemu_version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """What a domain XML says of the kind of machine; "" is libvirt's choice."""

    emulator: str
    architecture: str
    machine: str
    virtualization: str  # qemu, kvm


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """What the hypervisor says of a libvirt guest at one moment.

    `disks` are those of the running QEMU if there is one, else those of the persistent XML;
    `persistent_disks` are always those of the persistent XML (empty for a transient domain).
    `run_id` is libvirt's numeric id: it is another one after each start.
    """

    uuid: str
    name: str
    state: GuestState
    run_id: int | None
    persistent: bool
    memory_bytes: int
    machine: str
    cpu: str  # the <cpu> element as text, "" if there is none
    emulator: str
    disks: tuple[Disk, ...]
    persistent_disks: tuple[Disk, ...]
    xml: str  # live if active, else persistent; never with secrets
    persistent_xml: str  # also without them; "" for a transient domain
    job: str | None = None  # the name of a job in progress that is not a block job
    block_jobs: tuple[str, ...] = ()  # targets of disks with a block job
    managed_save: bool = False
    libvirt_snapshots: tuple[str, ...] = ()
    external_snapshots: tuple[str, ...] = ()  # those of them whose disks are files of their own
    libvirt_checkpoints: tuple[str, ...] = ()
    capacities: Mapping[str, int] = field(default_factory=dict)  # target -> virtual size, once it was measured
    off_reason: OffReason | None = None  # None while it is active
    resident_bytes: int | None = field(default=None, compare=False)
    """Memory that its QEMU has resident (virDomainMemoryStats), None if unknown or not asked for. It changes
    all the time."""

    @property
    def active(self) -> bool:
        return self.state.active

    @property
    def writable_disks(self) -> tuple[Disk, ...]:
        return tuple(disk for disk in self.disks if disk.writable)

    def sources(self) -> dict[str, str | None]:
        """Path of each writable disk, by target."""
        return {disk.target: disk.path for disk in self.writable_disks}

    def persistent_sources(self) -> dict[str, str | None]:
        return {disk.target: disk.path for disk in self.persistent_disks if disk.writable}


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainDisks:
    """A domain by its disks alone: the fields are those of `Domain`."""

    uuid: str
    name: str
    active: bool
    disks: tuple[Disk, ...]
    persistent_disks: tuple[Disk, ...]
