"""rollback --keep-current, undo --keep-current: from a domain and a checkpoint to a plan, and what comes of it."""

from __future__ import annotations

from ...engine.runner import Runner
from ...errors import Refused, with_effect
from ...model import After, Checkpoint, Outcome
from ..checkpoint import verb as checkpointing
from ..checkpoint.plan import CheckpointPlan, CheckpointRequest
from ..rollback import verb as rollback
from ..rollback.plan import RollbackPlan
from ..shared.guest import Guest, find
from ..shared.ids import generated_name, new_id
from ..shared.site import Site
from .plan import KeepingPlan

NOT_STARTED = "the rollback was not started"


def plan(
    site: Site,
    guest: Guest,
    checkpoint: Checkpoint,
    after: After,
    keep_name: str | None,
    *,
    force: bool = False,
    without_media: bool = False,
) -> KeepingPlan:
    """A rollback that keeps the present state as a checkpoint `keep_name`, or of a generated name."""
    id_ = new_id()  # of the operation, and of the checkpoint that it makes
    back = rollback.plan(site, guest, checkpoint, after, id_, force=force, without_media=without_media, kept_id=id_)
    if keep_name is not None and site.catalog.checkpoint(guest.uuid, keep_name) is not None:
        raise Refused(
            f"--keep-current {keep_name} names the new checkpoint, but {guest.name} already has one of that name",
            hint=f"to roll back to it: snapctl rollback {guest.name} {keep_name} --keep-current",
        )
    name = keep_name if keep_name is not None else generated_name(id_)
    with with_effect(NOT_STARTED):
        return KeepingPlan(keep=_kept(site, guest, name, f"before rollback to {checkpoint.name}", back), back=back)


def run(site: Site, runner: Runner, planned: KeepingPlan) -> list[Outcome]:
    """Execute a plan. Unless it was made here just now, all that the rollback was planned from is checked again first,
    and what is kept is the guest as it is by then."""
    back, labels = planned.back, planned.keep.labels
    if not rollback.was_just_made(site, back):
        with with_effect(NOT_STARTED):
            guest = find(site, planned.domain_uuid)
            rollback.require_as_planned(site, guest, back)
            planned = KeepingPlan(keep=_kept(site, guest, labels.name, labels.description, back), back=back)
    return runner.run(planned)


def _kept(site: Site, guest: Guest, name: str, description: str, back: RollbackPlan) -> CheckpointPlan:
    asked = CheckpointRequest(operation_id=back.operation_id, name=name, description=description, force=back.force)
    return checkpointing.plan(site, guest, asked)
