"""rollback, undo: from a domain and a checkpoint to a plan, and what comes of it."""

from __future__ import annotations

from math import inf
from time import monotonic

from ...engine.runner import Runner
from ...errors import IntegrityError, Refused, UsageError
from ...model import After, Checkpoint, Outcome
from ..shared.guest import Guest, find, is_recent, require_not_deleted
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
    kept_id: str | None = None,
) -> RollbackPlan:
    if after is After.STOP:
        raise UsageError("a rollback ends with the guest running or paused, not stopped")
    try:
        facts = gather(site, guest, checkpoint)
        planned = plan_rollback(
            operation_id or new_id(), after, facts, force=force, without_media=without_media, kept_id=kept_id
        )
    except IntegrityError:
        require_not_deleted(site, guest, checkpoint)
        raise
    site.planned[planned.operation_id] = monotonic()
    return planned


def run(site: Site, runner: Runner, planned: RollbackPlan) -> list[Outcome]:
    """Execute a plan. Unless it was made here just now, all that it was made from is checked again first."""
    if not was_just_made(site, planned):
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
        kept_id=agreed.kept_id,
    )


def was_just_made(site: Site, planned: RollbackPlan) -> bool:
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
