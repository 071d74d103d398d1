"""Plan a rollback, or refuse it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from posixpath import join

from ..errors import IntegrityError, Refused
from ..model import After, Checkpoint, CheckpointState, Disk, Domain, Head, Host, NewOverlay
from ..store.layout import operation_directory
from .files import Chains, Seen, check_files
from .plans import MIB, OVERLAY_SIZE, RollbackPlan
from .refusals import refuse_busy, refuse_drift, refuse_foreign_state


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackFacts:
    host: Host
    domain: Domain | None  # None: the hypervisor does not know it now (it was transient)
    checkpoint: Checkpoint
    head: Head | None
    chains: Chains
    seen: Seen
    discards: tuple[str, ...]
    free_bytes: int
    store: str
    reserve_bytes: int = 0


def plan_rollback(operation_id: str, after: After, facts: RollbackFacts) -> RollbackPlan:
    """Raises `Busy`, `Refused` or `IntegrityError`."""
    checkpoint, domain = facts.checkpoint, facts.domain
    if checkpoint.state is not CheckpointState.READY:
        raise Refused(f"checkpoint {checkpoint.name} is being deleted", hint="take another one: snapctl list")
    if domain is None:
        _refuse_lost_definition(checkpoint)
    else:
        _refuse_unstoppable(domain, checkpoint)
        refuse_drift(domain, facts.head)
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
    return RollbackPlan(
        operation_id=operation_id,
        host=facts.host,
        domain_uuid=checkpoint.domain_uuid,
        domain_name=checkpoint.domain_name,
        run_id=domain.run_id if domain else None,
        persistent=domain is not None and domain.persistent,
        checkpoint_id=checkpoint.id,
        checkpoint_name=checkpoint.name,
        memory_path=checkpoint.memory.path,
        was_running=checkpoint.memory.was_running,
        after=after,
        directory=directory,
        overlays=tuple(
            NewOverlay(
                target=target,
                path=join(directory, f"{target}.qcow2"),
                backing=layer.path,
                backing_format=layer.format,
                capacity=layer.capacity,
            )
            for target, layer in checkpoint.layers.items()
        ),
        previous=_tops(domain.disks) if domain else (),
        defined=_tops(domain.persistent_disks) if domain else (),
        head=facts.head,
        discards=facts.discards,
    )


def _tops(disks: Iterable[Disk]) -> tuple[Disk, ...]:
    """The writable ones without what is below them, which would make the plan as long as the chains are deep."""
    return tuple(replace(disk, backing=()) for disk in disks if disk.writable)


def _refuse_damaged(checkpoint: Checkpoint) -> None:
    if checkpoint.damage is not None:
        raise IntegrityError(
            f"checkpoint {checkpoint.name} is marked as damaged: {checkpoint.damage}",
            hint=f"mend it, then: snapctl verify {checkpoint.domain_name} {checkpoint.name}",
        )


def _refuse_lost_definition(checkpoint: Checkpoint) -> None:
    if checkpoint.persistent:
        raise Refused(
            f"{checkpoint.domain_name} is not defined any more",
            hint=f"define it again with UUID {checkpoint.domain_uuid}: virsh define FILE",
        )


def _refuse_unstoppable(domain: Domain, checkpoint: Checkpoint) -> None:
    if domain.name != checkpoint.domain_name:
        raise Refused(
            f"{domain.name} was called {checkpoint.domain_name} when {checkpoint.name} was made, "
            "and libvirt restores a memory image under its own name only",
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
