"""Plan a rollback, or refuse it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ...errors import IntegrityError, Refused
from ...formats.needs import Needs
from ...integrity.damage import Chains, Inspected, check_files
from ...model import (
    After,
    Checkpoint,
    CheckpointState,
    Disk,
    Domain,
    FileInfo,
    Head,
    Host,
    MemoryImage,
    NewOverlay,
    OperationKind,
    Outcome,
    Ran,
    what_becomes,
)
from ...store.layout import OVERLAY_SIZE, operation_directory, overlay_path
from ...units import MIB
from ..shared.preflight import HostFacts, empty_drives, joined, obstacles, older_versions, refuse_obstacles
from ..shared.refusals import (
    refuse_busy,
    refuse_drift,
    refuse_fixed_definition,
    refuse_fixed_disks,
    refuse_foreign_state,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackFacts:
    host: Host
    domain: Domain | None  # None: the hypervisor does not know it now (it was transient)
    checkpoint: Checkpoint
    head: Head | None
    chains: Chains
    seen: Inspected
    needs: Needs  # of the checkpoint's definition, the same as its image's
    found: HostFacts
    discards: tuple[str, ...]
    free_bytes: int
    store: str
    reserve_bytes: int = 0
    tops: Sequence[FileInfo] = ()  # the files that a guest writes to, of one that is off


def plan_rollback(operation_id: str, after: After, facts: RollbackFacts, *, force: bool = False) -> RollbackPlan:
    """With `force` in spite of what would make the restore fail. Raises `Busy`, `Refused` or `IntegrityError`."""
    checkpoint, domain = facts.checkpoint, facts.domain
    if checkpoint.state is not CheckpointState.READY:
        raise Refused(f"checkpoint {checkpoint.name} is being deleted", hint="choose another one: snapctl list")
    if domain is None:
        _refuse_lost_definition(checkpoint)
    else:
        _refuse_unstoppable(domain, checkpoint)
        refuse_drift(domain, facts.head)
    memory = _memory(checkpoint)
    _refuse_damaged(checkpoint)
    check_files(checkpoint, facts.chains, facts.seen)
    needed = len(checkpoint.layers) * OVERLAY_SIZE
    if facts.free_bytes < needed + facts.reserve_bytes:
        raise Refused(
            f"the store {facts.store} has {facts.free_bytes // MIB} MiB free, "
            f"a rollback needs {(needed + facts.reserve_bytes) // MIB} MiB",
            hint="delete checkpoints or enlarge the store",
        )
    directory = operation_directory(facts.store, checkpoint.domain_uuid, operation_id)
    overlays = tuple(
        NewOverlay(
            target=target,
            path=overlay_path(directory, target),
            backing=layer.path,
            backing_format=layer.format,
            capacity=layer.capacity,
        )
        for target, layer in checkpoint.layers.items()
    )
    refuse_fixed_disks(facts.seen.memory_xml(memory.path), overlays)
    if domain is not None:
        refuse_fixed_definition(domain, overlays)
    notes = _restorable(facts, force=force)
    return RollbackPlan(
        operation_id=operation_id,
        host=facts.host,
        domain_uuid=checkpoint.domain_uuid,
        domain_name=checkpoint.domain_name,
        run_id=domain.run_id if domain else None,
        persistent=domain is not None and domain.persistent,
        checkpoint_id=checkpoint.id,
        checkpoint_name=checkpoint.name,
        memory_path=memory.path,
        was_running=memory.was_running,
        after=after,
        directory=directory,
        overlays=overlays,
        previous=_tops(domain.disks) if domain else (),
        defined=_tops(domain.persistent_disks) if domain else (),
        head=facts.head,
        discards=facts.discards,
        force=force,
        note=joined(notes),
        off_on=tuple((info.path, info.physical, info.mtime) for info in facts.tops),
    )


def _restorable(facts: RollbackFacts, *, force: bool) -> list[str]:
    """What is to be known of the restore; refused if it is certain to fail."""
    found = obstacles(facts.checkpoint.domain_name, facts.needs, facts.found)
    missing = [path for path, file in facts.seen.files.items() if file is None]
    return [
        *refuse_obstacles(found, force=force),
        *empty_drives(facts.needs, missing),
        *older_versions(facts.checkpoint.origin, facts.host),
    ]


def _tops(disks: Iterable[Disk]) -> tuple[Disk, ...]:
    """The writable ones without what is below them, which would make the plan as long as the chains are deep."""
    return tuple(replace(disk, backing=()) for disk in disks if disk.writable)


def _refuse_damaged(checkpoint: Checkpoint) -> None:
    if checkpoint.damage is not None:
        raise IntegrityError(
            f"checkpoint {checkpoint.name} is marked as damaged: {checkpoint.damage}",
            hint=f"repair it, then: snapctl verify {checkpoint.domain_name} {checkpoint.name}",
        )


def _memory(checkpoint: Checkpoint) -> MemoryImage:
    if checkpoint.memory is None:
        raise Refused(
            f"checkpoint {checkpoint.name} has no memory image, which a rollback needs",
            hint="choose another one: snapctl list",
        )
    return checkpoint.memory


def _refuse_lost_definition(checkpoint: Checkpoint) -> None:
    if checkpoint.origin.persistent:
        raise Refused(
            f"{checkpoint.domain_name} is no longer defined",
            hint=f"define it again with UUID {checkpoint.domain_uuid}: virsh define FILE",
        )


def _refuse_unstoppable(domain: Domain, checkpoint: Checkpoint) -> None:
    if domain.name != checkpoint.domain_name:
        raise Refused(
            f"{domain.name} was named {checkpoint.domain_name} when {checkpoint.name} was created, "
            "and libvirt restores a memory image only under that name",
            hint=f"rename it back: virsh domrename {domain.name} {checkpoint.domain_name}",
        )
    refuse_busy(domain)
    refuse_foreign_state(domain)
    extra = set(domain.sources()) - set(checkpoint.layers)
    if extra:
        raise Refused(
            f"{domain.name} has disk {', '.join(sorted(extra))}, which checkpoint {checkpoint.name} does not have",
            hint="detach it, then roll back",
        )
    missing = set(checkpoint.layers) - set(domain.persistent_sources()) - set(domain.sources())
    if domain.persistent and missing:  # a transient domain gets its disks back with its memory
        raise Refused(
            f"{domain.name} has no disk {', '.join(sorted(missing))}, which checkpoint {checkpoint.name} has",
            hint="attach one under that target, then roll back",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackPlan:
    """Roll a domain back to a checkpoint: storage first, then memory."""

    operation_id: str
    host: Host
    domain_uuid: str
    domain_name: str
    run_id: int | None
    persistent: bool
    checkpoint_id: str
    checkpoint_name: str
    memory_path: str
    was_running: bool
    after: After
    directory: str
    overlays: tuple[NewOverlay, ...]  # on the checkpoint's frozen layers
    previous: tuple[Disk, ...]  # the writable disks as the domain has them now
    defined: tuple[Disk, ...]  # the same as its persistent XML has them
    head: Head | None  # of the domain now
    discards: tuple[str, ...] = ()  # files that hold the present state and are deleted at the end
    force: bool = False  # in spite of what would make the restore fail
    note: str | None = None  # what its user should know
    kept_id: str | None = None  # the checkpoint in which the present state was kept
    off_on: tuple[tuple[str, int, str], ...] = ()  # path, length and mtime of its active layers, while a guest is off

    @property
    def previous_sources(self) -> dict[str, str | None]:
        return {disk.target: disk.path for disk in self.previous}

    @property
    def new_sources(self) -> dict[str, str | None]:
        """What the guest is to write to from then on, by target."""
        return {overlay.target: overlay.path for overlay in self.overlays}

    @property
    def kind(self) -> OperationKind:
        return OperationKind.ROLLBACK

    def outcome(self, ran: Ran) -> Outcome:
        return Outcome(
            operation=self.kind,
            domain=self.domain_name,
            checkpoint=self.checkpoint_name,
            id=self.checkpoint_id,
            duration_s=ran.seconds,
            downtime_s=ran.between("stopped", "resumed"),
            steps=ran.steps,
            note=self.note,
        )

    @property
    def made(self) -> tuple[str, list[str]]:
        return self.operation_id, [overlay.path for overlay in self.overlays]

    def lines(self) -> list[str]:
        return [
            f"create directory {self.directory}",
            *(f"create overlay {overlay.path}, backed by {overlay.backing}" for overlay in self.overlays),
            *([f"stop {self.domain_name}; its present memory is lost"] if self.run_id is not None else []),
            f"restore the memory of {self.domain_name} from {self.memory_path}",
            f"set {self.checkpoint_name} as the current checkpoint of {self.domain_name}",
            what_becomes(self.domain_name, self.after, self.was_running),
            *(f"remove {path}" for path in self.discards),
            *([f"note: {self.note}"] if self.note else []),
        ]
