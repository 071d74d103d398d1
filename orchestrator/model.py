"""The vocabulary as values: what a domain, a disk, a layer and a checkpoint *are*.

Pure: nothing here does input or output, knows a clock or makes an id. All sizes are bytes, all
times are timezone-aware UTC, all paths are names in the **hypervisor's** file system. A value is
stored in the journal and printed as JSON just as it stands here, so a field's name is a contract.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from posixpath import basename, dirname, join, normpath
from typing import Any

# --------------------------------------------------------------------------- the hypervisor's side


class GuestState(StrEnum):
    """What libvirt says of a domain, reduced to what snapctl must tell apart (virDomainState)."""

    RUNNING = "running"
    PAUSED = "paused"  # by a user: may be checkpointed, and stays paused
    IO_ERROR = "paused (I/O error)"  # the storage failed under it: its disks are not to be trusted
    BUSY = "busy"  # being saved, migrated or started by somebody at this moment
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
    RAN = "ran"  # it was shut down, destroyed or crashed: it ran until then
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
    def path(self) -> str | None:
        return self.source.path if self.source else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A hypervisor, known by its host UUID, so that two spellings of one URI meet."""

    uuid: str
    name: str
    uri: str  # without user, password or query
    libvirt_version: str
    qemu_version: str


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
    job: str | None = None  # a job under way that is not a block job, by name
    block_jobs: tuple[str, ...] = ()  # targets of disks with a block job
    managed_save: bool = False
    libvirt_snapshots: tuple[str, ...] = ()
    libvirt_checkpoints: tuple[str, ...] = ()
    capacities: Mapping[str, int] = field(default_factory=dict)  # target -> virtual size, once it was measured
    off_reason: OffReason | None = None  # None while it is active
    resident_bytes: int | None = field(default=None, compare=False)
    """Memory that its QEMU has resident (virDomainMemoryStats), None if nobody can tell, or asked. It changes
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


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFacts:
    """What the hypervisor says of a file (libvirt volume XML).

    `physical` is its length, `allocation` what it occupies on disk, `capacity` what a guest would
    see of it (equal to `physical` unless it is an image of another format).
    """

    path: str
    physical: int
    allocation: int
    capacity: int
    format: str
    mode: int
    mtime: str  # seconds.nanoseconds since the epoch, as libvirt prints it: compared, never computed with
    backing: str | None = None


# --------------------------------------------------------------------------- the catalog's side


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One qcow2 (or raw base) file in a backing chain.

    `operation_id` names the operation of ours that created it; None for the user's own file,
    which snapctl never deletes. `physical` and `mtime` are its facts when it froze; None while
    it is active. `sha256` is None until a deep verify has read the whole of it. `rewritten_by` names
    the operation that is pulling data from the layers below into it at this time: what the guest sees
    in it stays the same, its facts do not.
    """

    path: str
    target: str
    format: str
    capacity: int
    backing: str | None = None
    operation_id: str | None = None
    physical: int | None = None
    allocation: int | None = None
    mtime: str | None = None
    sha256: str | None = None
    rewritten_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Collapsible:
    """A layer, and those below it that only it needs: once their data is in it, it can stand on `base`."""

    layer: Layer
    drops: tuple[Layer, ...]  # nearest first
    base: Layer | None  # None: nothing is below the last of them


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


# --------------------------------------------------------------------------- verify


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One file that is not what the catalog says, or that somebody may change."""

    path: str
    problem: str  # one line; it names the file, and what differs
    lost: tuple[str, ...] = ()  # the checkpoints that rely on the file, as DOMAIN/NAME


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What verify found of one checkpoint."""

    domain: str
    name: str
    id: str
    findings: tuple[Finding, ...] = ()

    @property
    def sound(self) -> bool:
        return not self.findings


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyReport:
    """What verify did. Files are looked at once, however many checkpoints rely on them."""

    checkpoints: tuple[Verdict, ...]
    read_bytes: int  # in whole files that were hashed
    seconds: float  # it all took

    @property
    def damaged(self) -> tuple[Verdict, ...]:
        return tuple(verdict for verdict in self.checkpoints if not verdict.sound)


# --------------------------------------------------------------------------- operations


class OperationKind(StrEnum):
    CHECKPOINT = "checkpoint"
    ROLLBACK = "rollback"
    DELETE = "delete"
    COLLAPSE = "collapse"
    FLATTEN = "flatten"
    EDIT = "edit"


class OperationState(StrEnum):
    OPEN = "open"
    DONE = "done"
    UNDONE = "undone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The process that holds an operation: enough to see whether it still lives."""

    user: str
    host: str
    boot_id: str
    pid: int
    pid_start: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationRecord:
    """A journal row. `plan` never changes; `facts` and `steps` only grow."""

    id: str
    kind: OperationKind
    host_uuid: str
    domain_uuid: str
    domain_name: str
    state: OperationState
    step: str  # the step that was entered last
    completed: tuple[str, ...]  # steps observed done, in order
    plan: Mapping[str, Any]
    facts: Mapping[str, Any]
    token: int
    owner: Owner
    opened: datetime
    lease_until: datetime
    error: str | None = None


class After(StrEnum):
    """What becomes of the guest at the end of a checkpoint or rollback."""

    AS_SAVED = "as-saved"  # as it was: running if it ran, paused if it was paused
    RESUME = "resume"
    PAUSE = "pause"
    STOP = "stop"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOverlay:
    """An overlay to be made: all that `Storage.create_overlay` needs."""

    target: str
    path: str
    backing: str
    backing_format: str
    capacity: int

    @property
    def name(self) -> str:
        return basename(self.path)


def operation_directory(store: str, domain_uuid: str, operation_id: str) -> str:
    """The one directory that holds what an operation creates; files in it never move."""
    return join(store, domain_uuid, operation_id)


def is_made_by(path: object, domain_uuid: str, operation_id: str) -> bool:
    """Whether a path is where that operation would have put a file, in whatever store it was."""
    if not isinstance(path, str) or not path.startswith("/") or normpath(path) != path:
        return False
    return path.split("/")[-3:-1] == [domain_uuid, operation_id]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTime:
    name: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a changing verb did. `downtime_s` is how long the guest did not run, None if it never stopped."""

    operation: OperationKind
    domain: str
    checkpoint: str  # its name
    id: str  # of the checkpoint
    duration_s: float
    downtime_s: float | None = None
    steps: tuple[StepTime, ...] = ()
    kept: str | None = None  # rollback: the checkpoint that `keep_current` made first
    freed_bytes: int | None = None  # delete
    layer: str | None = None  # collapse, flatten: into which others were pulled
    note: str | None = None  # what its user should know
    recovered: tuple[Recovered, ...] = ()  # what had to be settled first


@dataclass(frozen=True, slots=True, kw_only=True)
class Postponed:
    """A layer that others could be pulled into, but not now."""

    layer: str  # its path
    reason: str
    advice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """An unfinished operation that was settled: `state` is done or undone."""

    operation: OperationKind
    domain: str
    id: str
    state: OperationState
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a prune makes of one checkpoint, and by which rules."""

    checkpoint: CheckpointSummary
    kept: bool
    reasons: tuple[str, ...]  # never empty; a few words each


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneReport:
    """What a prune decided, domain by domain, the newest checkpoint first, and what came of it."""

    decisions: tuple[Decision, ...]
    outcomes: tuple[Outcome, ...] = ()  # of the deletions; none for a plan
    recovered: tuple[Recovered, ...] = ()  # what had to be settled first

    @property
    def removed(self) -> tuple[Decision, ...]:
        return tuple(decision for decision in self.decisions if not decision.kept)


# --------------------------------------------------------------------------- the store


@dataclass(frozen=True, slots=True, kw_only=True)
class RebuiltDomain:
    """What the manifests of the store say of one domain."""

    host_uuid: str
    domain_uuid: str
    name: str
    seen: datetime  # when an operation was last begun on it
    checkpoints: tuple[Checkpoint, ...]  # each after its parent
    layers: tuple[Layer, ...]  # all that the checkpoints rely on
    head: Head | None
    overlays: tuple[Layer, ...] = ()  # those of the head


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A directory of the store that did not come into a rebuilt catalog, or not whole."""

    directory: str
    checkpoint: str | None  # its name, where there is one
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """What a catalog was rebuilt with."""

    checkpoints: tuple[CheckpointSummary, ...]
    headless: tuple[str, ...]  # domains that stand on none of their checkpoints now, by name
    skipped: tuple[Skipped, ...]


# --------------------------------------------------------------------------- usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """A checkpoint by the files of ours that it has."""

    domain: str
    domain_uuid: str
    name: str
    id: str
    memory: str  # path
    layers: tuple[str, ...]  # paths of its frozen ones
    alone: tuple[str, ...]  # of the layers that nothing but it needs, frozen by it or further down


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainHoldings:
    """The catalogued layers of one domain, by path. `own` are the user's files that they stand on."""

    domain: str
    domain_uuid: str
    frozen: tuple[str, ...]  # all of ours but the active overlays
    active: tuple[str, ...]
    own: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """All files that the catalog has of some domains."""

    domains: tuple[DomainHoldings, ...]  # by name
    checkpoints: tuple[Holding, ...]  # oldest first


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointUsage:
    """What a checkpoint occupies on disk now. `disk_bytes` are those of its frozen layers of ours."""

    domain: str
    domain_uuid: str
    name: str
    id: str
    memory_bytes: int
    disk_bytes: int
    exclusive_bytes: int  # what to delete it alone would free
    shared_bytes: int  # of `disk_bytes`: what something else needs, too


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainUsage:
    """What the files of a domain occupy. `own_bytes` are of the user's own files and no part of the sum."""

    domain: str
    domain_uuid: str
    memory_bytes: int  # its memory images
    frozen_bytes: int  # its frozen layers
    active_bytes: int  # its active overlays
    manifest_bytes: int  # what says in the store what the others are
    own_bytes: int

    @property
    def bytes(self) -> int:
        """Of what snapctl made."""
        return self.memory_bytes + self.frozen_bytes + self.active_bytes + self.manifest_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What checkpoints occupy, as the hypervisor says. All bytes are allocation: what files take on disk."""

    store: str
    total_bytes: int  # of the file system that the store is on
    free_bytes: int
    uncatalogued_bytes: int  # of files in the store, as far as it was looked at, that the catalog does not know
    domains: tuple[DomainUsage, ...]
    checkpoints: tuple[CheckpointUsage, ...]


# --------------------------------------------------------------------------- doctor


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogCondition:
    """What a catalog is kept in. The last three are None for one on a database server."""

    where: str  # its URL, without password
    mode: int | None = None  # of its file
    file_system: str | None = None  # the type of the one that holds the file
    damage: str | None = None  # what SQLite's own check says, None if all is well


class Level(StrEnum):
    OK = "ok"
    NOTE = "note"  # to be known, not to be acted on
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """One thing that doctor looked at. `exit_code` is that of the class of failure that it is, or leads to."""

    level: Level
    about: str  # hypervisor, store, catalog, ...
    what: str
    advice: str = ""  # what to do
    exit_code: int = 0
