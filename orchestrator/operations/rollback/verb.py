"""rollback, undo: from a domain and a checkpoint to a plan, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from time import monotonic

from ...engine.runner import Runner
from ...engine.story import Plan
from ...errors import IntegrityError, Refused, UsageError, with_effect
from ...model import After, Checkpoint, Outcome
from ..checkpoint import verb as checkpointing
from ..checkpoint.plan import CheckpointPlan, CheckpointRequest
from ..shared.compound import Compound
from ..shared.guest import Guest, again, agreed_checkpoint, find, is_recent, require_not_deleted
from ..shared.ids import new_id
from ..shared.site import Site
from .facts import gather
from .plan import RollbackPlan, plan_rollback


def plan(
    site: Site,
    guest: Guest,
    checkpoint: Checkpoint,
    after: After,
    operation_id: str | None = None,
    *,
    force: bool = False,
    without_media: bool = False,
) -> RollbackPlan:
    if after is After.STOP:
        raise UsageError("a rollback ends with the guest running or paused, not stopped")
    try:
        facts = gather(site, guest, checkpoint)
        planned = plan_rollback(operation_id or new_id(), after, facts, force=force, without_media=without_media)
    except IntegrityError:
        require_not_deleted(site, guest, checkpoint)
        raise
    site.planned[planned.operation_id] = monotonic()
    return planned


def plan_keeping(
    site: Site,
    guest: Guest,
    checkpoint: Checkpoint,
    after: After,
    keep_name: str | None,
    *,
    force: bool = False,
    without_media: bool = False,
) -> KeepingRollback:
    """A rollback that checkpoints the present state first, as `keep_name` or a generated name."""
    back = plan(site, guest, checkpoint, after, force=force, without_media=without_media)
    if keep_name is not None and site.catalog.checkpoint(guest.uuid, keep_name) is not None:
        raise Refused(
            f"--keep-current {keep_name} names the new checkpoint, but {guest.name} already has one of that name",
            hint=f"to roll back to it: snapctl rollback {guest.name} {keep_name} --keep-current",
        )
    with with_effect("the rollback was not started"):
        asked = checkpointing.request(
            keep_name, {"description": f"before rollback to {checkpoint.name}", "force": force}
        )
        return KeepingRollback(guest, asked, checkpointing.plan(site, guest, asked), back)


def run(site: Site, runner: Runner, planned: RollbackPlan) -> list[Outcome]:
    """Execute a plan. Unless it was made here just now, all that it was made from is checked again first."""
    if not _was_just_made(site, planned):
        require_as_planned(site, find(site, planned.domain_uuid), planned)
    return runner.run(planned)


def require_as_planned(site: Site, guest: Guest, planned: RollbackPlan) -> None:
    """Raise `Refused` unless all that the plan was made from is still so, or what a plan made now would."""
    checkpoint = site.catalog.checkpoint_by_id(planned.checkpoint_id)
    now = _planned_again(site, guest, checkpoint, planned) if checkpoint else None
    site.planned.pop(planned.operation_id, None)  # what was checked now is as old as it was
    if now != planned:
        raise Refused(
            f"{planned.domain_name} or checkpoint {planned.checkpoint_name} changed after the plan was made",
            hint="try again",
        )


def _planned_again(site: Site, guest: Guest, checkpoint: Checkpoint, agreed: RollbackPlan) -> RollbackPlan:
    return plan(
        site,
        guest,
        checkpoint,
        agreed.after,
        agreed.operation_id,
        force=agreed.force,
        without_media=agreed.without_media,
    )


def _was_just_made(site: Site, planned: RollbackPlan) -> bool:
    """Only once: whoever was refused may come back in an hour."""
    return is_recent(site.planned.pop(planned.operation_id, -inf))


def kept_checkpoint(site: Site, guest: Guest) -> Checkpoint:
    """The checkpoint in which the last rollback kept the state before. Raises `Refused` when it kept nothing."""
    head = site.catalog.head(guest.uuid)
    kept = site.catalog.checkpoint_by_id(head.kept_id) if head and head.kept_id else None
    if kept is None:
        raise Refused(
            f"there is nothing to undo: the last rollback of {guest.name} did not keep the state before it",
            hint="only a rollback with --keep-current can be undone",
        )
    return kept


@dataclass(frozen=True, slots=True)
class KeepingRollback(Compound[Outcome]):
    guest: Guest
    asked: CheckpointRequest
    keep: CheckpointPlan
    rollback: RollbackPlan

    @property
    def shown(self) -> tuple[Plan, ...]:
        return (self.keep, self.rollback)

    def execute(self, site: Site, runner: Runner) -> Outcome:
        with with_effect("the rollback was not started"):
            keep = self.keep
            if not _was_just_made(site, self.rollback):
                guest = again(site, self.guest)
                require_as_planned(site, guest, self.rollback)
                keep = checkpointing.plan(site, guest, self.asked)  # of the guest as it is now
            runner.run(keep)
        with with_effect(f"checkpoint {self.keep.labels.name} was created"):
            guest = again(site, self.guest)
            self._require_kept(site)
            checkpoint = agreed_checkpoint(site, guest, self.rollback.checkpoint_id, self.rollback.checkpoint_name)
            back = _planned_again(site, guest, checkpoint, self.rollback)
            (outcome,) = runner.run(replace(back, kept_id=self.keep.checkpoint_id))
        return replace(outcome, kept=self.keep.labels.name)

    def _require_kept(self, site: Site) -> None:
        """Raise `Refused` unless the present state is the one that was kept: others may roll back in between."""
        head = site.catalog.head(self.guest.uuid)
        if head is None or head.checkpoint_id != self.keep.checkpoint_id:
            raise Refused(f"{self.guest.name} was rolled back or checkpointed in the meantime", hint="try again")
