"""Plan a checkpoint, or refuse it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from posixpath import isabs

from ...errors import Refused
from ...formats.needs import Needs
from ...integrity.headers import header_problem
from ...model import (
    After,
    CaptureMode,
    Device,
    Disk,
    Domain,
    GuestState,
    Head,
    Host,
    Labels,
    NewOverlay,
    OperationKind,
    Origin,
    Outcome,
    Ran,
    Stranger,
    check_description,
    check_expiry,
    check_name,
    same_device,
    what_becomes,
)
from ...store.layout import OVERLAY_SIZE, memory_path, operation_directory, overlay_path
from ...units import MIB
from ..shared.depth import SOFT_LIMIT, depth_after, depth_note, refuse_too_deep
from ..shared.preflight import (
    HostFacts,
    empty_drives,
    joined,
    media_obstacles,
    not_part,
    obstacles,
    refuse_obstacles,
    sampled_disks,
)
from ..shared.refusals import (
    refuse_busy,
    refuse_fixed_definition,
    refuse_fixed_disks,
    refuse_foreign_state,
    refuse_strangers,
)
from .drift import DriftFacts, judged

SNAPSHOTTABLE_SOURCES = ("file", "block")


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointRequest:
    operation_id: str
    name: str
    description: str = ""
    tags: tuple[str, ...] = ()
    after: After = After.AS_SAVED
    expires: datetime | None = None
    force: bool = False  # in spite of what would make the restore fail
    adopt: bool = False  # with its present disks, though they are not those that the catalog knows
    flatten: bool = False  # its disks will have no backing file by then, however deep they are now


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointFacts:
    """What the hypervisor and the catalog say at the time of planning."""

    host: Host
    domain: Domain
    head: Head | None
    name_taken: bool
    namesake: str | None  # UUID of another domain of that name that has checkpoints
    free_bytes: int
    store: str
    needs: Needs  # of the guest's definition
    found: HostFacts
    drift: DriftFacts = field(default_factory=DriftFacts)
    reserve_bytes: int = 0
    soft_limit: int = SOFT_LIMIT
    heads: Mapping[str, bytes] = field(default_factory=dict)  # first bytes of the user's own qcow2 layers
    writers: Mapping[str, str] = field(default_factory=dict)  # of files that another domain may write to
    strangers: Sequence[Stranger] = ()  # of its layers, those of another catalog


def plan_checkpoint(request: CheckpointRequest, facts: CheckpointFacts) -> CheckpointPlan:
    """Raises `UsageError`, `Busy` or `Refused`."""
    domain = facts.domain
    check_name(request.name, "checkpoint")
    for tag in request.tags:
        check_name(tag, "tag")
    check_description(request.description)
    check_expiry(request.expires)
    if facts.name_taken:
        raise Refused(
            f"{domain.name} already has a checkpoint {request.name}",
            hint=f"choose another name, or first: snapctl delete {domain.name} {request.name}",
        )
    _refuse_namesake(domain, facts.namesake)
    _refuse_unsavable(domain)
    refuse_strangers(domain, facts.strangers)
    _refuse_unfit_disks(domain)
    _refuse_unfit_chains(domain, facts.heads)
    _refuse_other_writers(domain, facts.writers)
    drift = judged(domain, facts.head, facts.drift, adopt=request.adopt)
    if not request.flatten:
        refuse_too_deep(domain, facts.host.libvirt_version)
    directory = operation_directory(facts.store, domain.uuid, request.operation_id)
    overlays = tuple(_overlay_on_top(domain, disk, directory) for disk in domain.writable_disks)
    refuse_fixed_disks(domain.xml, overlays)
    refuse_fixed_definition(domain.persistent_xml, overlays, domain.name)
    notes = _restorable(domain.name, facts, force=request.force)
    overlay_bytes = len(overlays) * OVERLAY_SIZE
    needed = domain.memory_bytes + 64 * MIB + overlay_bytes
    if facts.free_bytes < needed + facts.reserve_bytes:
        raise Refused(
            f"the store {facts.store} has {facts.free_bytes // MIB} MiB free, "
            f"a checkpoint of {domain.name} may need {(needed + facts.reserve_bytes) // MIB} MiB",
            hint="delete checkpoints or enlarge the store",
        )
    return CheckpointPlan(
        operation_id=request.operation_id,
        checkpoint_id=request.operation_id,  # it makes this one alone
        host=facts.host,
        domain_uuid=domain.uuid,
        domain_name=domain.name,
        run_id=domain.run_id,
        was_running=domain.state is GuestState.RUNNING,
        after=request.after,
        mode=CaptureMode.SAVE,
        labels=Labels(
            name=request.name,
            description=request.description,
            tags=tuple(dict.fromkeys(request.tags)),
            expires=request.expires,
        ),
        origin=Origin.of(domain, facts.host),
        head=facts.head,
        directory=directory,
        memory_path=memory_path(directory),
        disks=domain.disks,
        overlays=overlays,
        needed_bytes=needed,
        depth=depth_after(domain),
        estimated_bytes=_estimate(domain, overlay_bytes),
        free_bytes=facts.free_bytes,
        note=joined([*notes, drift.note, _depth_note(facts)]),
        differs=drift.differs,
        is_root=drift.is_root,
    )


def _estimate(domain: Domain, overlay_bytes: int) -> int | None:
    """What a checkpoint is likely to take. QEMU has more resident than the guest's memory, which is all that
    is saved; what the guest never touched is neither."""
    if domain.resident_bytes is None:
        return None
    return min(domain.resident_bytes, domain.memory_bytes) + overlay_bytes


def _restorable(name: str, facts: CheckpointFacts, *, force: bool) -> list[str]:
    """What is to be known of the restore that follows the save; refused if it is certain to fail."""
    missing = facts.found.missing_files
    found = (*obstacles(name, facts.needs, facts.found), *media_obstacles(name, facts.needs, missing))
    disks = facts.domain.disks
    return [
        *refuse_obstacles(found, force=force),
        *empty_drives(facts.needs, missing),
        *not_part(disks),
        *sampled_disks(disks),
    ]


def _depth_note(facts: CheckpointFacts) -> str | None:
    return depth_note(facts.domain.name, depth_after(facts.domain), facts.host.libvirt_version, facts.soft_limit)


def _refuse_namesake(domain: Domain, namesake: str | None) -> None:
    if namesake is not None:
        raise Refused(
            f"the catalog has checkpoints of another domain named {domain.name}, {namesake}",
            hint=f"delete them: snapctl delete {domain.name} NAME…, or rename this one: virsh domrename",
        )


def _refuse_unsavable(domain: Domain) -> None:
    name = domain.name
    refuse_busy(domain)
    match domain.state:
        case GuestState.OFF if domain.managed_save:
            raise Refused(
                f"{name} is shut off, and libvirt keeps its memory in a managed-save image",
                hint=f"resume it: virsh start {name}",
            )
        case GuestState.OFF:
            raise Refused(f"{name} is not running: it has no memory to save", hint=f"start it: virsh start {name}")
        case GuestState.CRASHED:
            raise Refused(f"{name} has crashed", hint=f"start it again: virsh destroy {name}; virsh start {name}")
        case GuestState.IO_ERROR:
            raise Refused(
                f"{name} is paused on an I/O error: its disks may be inconsistent",
                hint=f"repair its storage, then: virsh resume {name}",
            )
        case GuestState.OTHER:
            raise Refused(f"{name} is neither running nor paused", hint=f"see: virsh domstate --reason {name}")
        case _:
            pass
    refuse_foreign_state(domain)


def _refuse_unfit_disks(domain: Domain) -> None:
    name = domain.name
    if not domain.writable_disks:
        raise Refused(f"{name} has no writable disk to freeze", hint="attach one: a checkpoint needs at least one")
    for disk in domain.writable_disks:
        if disk.shareable:
            raise Refused(
                f"disk {disk.target} of {name} is shareable: another domain may write to it", hint="detach it"
            )
        if disk.transient:
            raise Refused(f"disk {disk.target} of {name} is transient: its content is not kept", hint="detach it")
        if disk.device is Device.LUN:
            raise Refused(
                f"disk {disk.target} of {name} is passed through (device='lun'): it cannot have an overlay",
                hint="detach it, or define it with device='disk'",
            )
        if disk.source is None or disk.source_type not in SNAPSHOTTABLE_SOURCES:
            raise Refused(
                f"the source of disk {disk.target} of {name} is of type {disk.source_type}, neither file nor block",
                hint="detach it, or move it to a file",
            )
        _refuse_odd_size(domain, disk.target)
    if domain.persistent:
        _refuse_pending_disks(domain)


def _refuse_odd_size(domain: Domain, target: str) -> None:
    """An overlay must be as large as the disk, and libvirt makes overlays of whole KiB only."""
    capacity = domain.capacities.get(target)
    if capacity is None:
        raise Refused(
            f"cannot determine the virtual size of disk {target} of {domain.name}",
            hint=f"see: virsh domblkinfo {domain.name} {target}",
        )
    if capacity % 1024:
        raise Refused(
            f"disk {target} of {domain.name} has a virtual size of {capacity} bytes, "
            "for which libvirt cannot create an overlay",
            hint="resize it to a multiple of 1 KiB",
        )


def _refuse_unfit_chains(domain: Domain, heads: Mapping[str, bytes]) -> None:
    """Refuse layers that a rollback would refuse, too: what their headers say is what libvirt goes by then."""
    for disk in domain.writable_disks:
        for layer, below in disk.chain.pairs():
            place = f"disk {disk.target} of {domain.name}"
            if not isabs(layer.path):
                raise Refused(
                    f"{place} is backed by {layer.path}, neither file nor block device", hint="copy it to a file"
                )
            backing, backing_format = (below.path, below.format) if below else (None, None)
            problem = layer.path in heads and header_problem(heads[layer.path], layer.path, backing, backing_format)
            if problem:
                raise Refused(f"{place} is backed by {layer.path}, which {problem}", hint="see: qemu-img info")


def _refuse_other_writers(domain: Domain, writers: Mapping[str, str]) -> None:
    """All layers of the chains are frozen from then on: no other domain may write to them."""
    for disk in domain.writable_disks:
        for layer in disk.chain:
            if writer := writers.get(same_device(layer.path)):
                raise Refused(
                    f"disk {disk.target} of {domain.name} is backed by {layer.path}, and {writer}",
                    hint="give that domain a different disk: virsh edit",
                )


def _refuse_pending_disks(domain: Domain) -> None:
    defined = domain.persistent_sources()
    for target, path in domain.sources().items():
        if target in defined and defined[target] != path:
            raise Refused(
                f"disk {target} of {domain.name} is {path}, but {defined[target]} from its next start on",
                hint=f"define it with the disk it has now: virsh edit {domain.name}",
            )


def _overlay_on_top(domain: Domain, disk: Disk, directory: str) -> NewOverlay:
    assert disk.source is not None  # noqa: S101 - _refuse_unfit_disks
    return NewOverlay(
        target=disk.target,
        path=overlay_path(directory, disk.target),
        backing=disk.source.path,
        backing_format=disk.source.format,
        capacity=domain.capacities[disk.target],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointPlan:
    """Save the memory of a running or paused domain and freeze its disks."""

    operation_id: str
    checkpoint_id: str  # of the checkpoint that it makes of this domain
    host: Host
    domain_uuid: str
    domain_name: str
    run_id: int | None
    was_running: bool
    after: After
    mode: CaptureMode
    labels: Labels
    origin: Origin
    head: Head | None  # of the domain now
    directory: str
    memory_path: str
    disks: tuple[Disk, ...]  # all disks as they are now
    overlays: tuple[NewOverlay, ...]  # one per writable disk, on top of its present source
    needed_bytes: int  # at most: the guest's whole memory
    depth: int = 0  # layers that the deepest disk has afterwards
    note: str | None = None  # what its user should know
    estimated_bytes: int | None = None  # rather than `needed_bytes`: what the guest's QEMU has resident
    free_bytes: int | None = None  # in the store, when this was planned
    differs: tuple[str, ...] = ()  # how the disks differ from those that the catalog knows
    is_root: bool = False  # its disks are not backed by those of the current checkpoint

    @property
    def parent_id(self) -> str | None:
        return self.head.checkpoint_id if self.head and not self.is_root else None

    @property
    def tops(self) -> dict[str, str]:
        """The layers that freeze, by target."""
        return {overlay.target: overlay.backing for overlay in self.overlays}

    @property
    def new_sources(self) -> dict[str, str | None]:
        """What the guest is to write to from then on, by target."""
        return {overlay.target: overlay.path for overlay in self.overlays}

    @property
    def kind(self) -> OperationKind:
        return OperationKind.CHECKPOINT

    @property
    def title(self) -> str:
        return f"checkpoint {self.labels.name}"

    def outcome(self, ran: Ran) -> Outcome:
        return Outcome(
            operation=self.kind,
            domain=self.domain_name,
            checkpoint=self.labels.name,
            id=self.checkpoint_id,
            duration_s=ran.seconds,
            downtime_s=ran.between("saved", "resumed"),
            steps=ran.steps,
            note=self.note,
        )

    @property
    def made(self) -> tuple[str, list[str]]:
        return self.operation_id, [self.memory_path, *(overlay.path for overlay in self.overlays)]

    def lines(self) -> list[str]:
        return [
            f"create directory {self.directory}",
            *(f"create overlay {overlay.path}, backed by {overlay.backing}" for overlay in self.overlays),
            *self.capture_lines(),
            what_becomes(self.domain_name, self.after, self.was_running),
            *(f"note: {each}" for each in self.differs),
            *([f"note: {self.note}"] if self.note else []),
        ]

    def capture_lines(self) -> list[str]:
        return [
            f"save the memory of {self.domain_name} to {self.memory_path} ({self._needs()})",
            *(f"freeze {overlay.backing} ({overlay.target})" for overlay in self.overlays),
            f"record checkpoint {self.labels.name} in the catalog",
        ]

    def _needs(self) -> str:
        needs = f"at most {self.needed_bytes // MIB} MiB"
        if self.estimated_bytes is not None:
            needs += f", probably {self.estimated_bytes // MIB} MiB"
        if self.free_bytes is not None:
            needs += f"; {self.free_bytes // MIB} MiB free"
        return needs
