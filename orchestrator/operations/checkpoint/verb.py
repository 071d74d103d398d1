"""checkpoint: from a domain and what is to be said of it to a plan, and what comes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypedDict

from ...engine.runner import Runner
from ...engine.story import Plan
from ...model import After, Outcome, check_name
from ..collapse import verb as collapse
from ..shared.compound import Compound
from ..shared.guest import Guest, again
from ..shared.ids import generated_name, new_id
from ..shared.site import Site
from .facts import gather
from .plan import CheckpointPlan, CheckpointRequest, plan_checkpoint


class CheckpointOptions(TypedDict, total=False):
    """What a checkpoint may be given beside its name. From `expires` on, a prune that is asked to removes it. With
    `force` it is made although the host seems unable to restore the guest, with `adopt` of the disks that it has now,
    although the catalog knows others."""

    description: str
    tags: Sequence[str]
    after: After
    expires: datetime | None
    force: bool
    adopt: bool


def request(name: str | None, options: CheckpointOptions) -> CheckpointRequest:
    """Without a name it gets one that never recurs."""
    operation_id = new_id()
    return CheckpointRequest(
        operation_id=operation_id,
        name=name if name is not None else generated_name(operation_id),
        description=options.get("description", ""),
        tags=tuple(options.get("tags", ())),
        after=options.get("after", After.AS_SAVED),
        expires=options.get("expires"),
        force=options.get("force", False),
        adopt=options.get("adopt", False),
    )


def plan(site: Site, guest: Guest, asked: CheckpointRequest) -> CheckpointPlan:
    check_name(asked.name, "checkpoint")
    return plan_checkpoint(asked, gather(site, guest, asked.name))


def plan_flattened(site: Site, guest: Guest, asked: CheckpointRequest) -> FlattenedCheckpoint:
    """The same once the domain's disks are flattened, however deep they are now."""
    after = plan(site, guest, replace(asked, flatten=True))
    return FlattenedCheckpoint(guest, collapse.plan_flatten(site, guest), asked, after)


@dataclass(frozen=True, slots=True)
class FlattenedCheckpoint(Compound[Outcome]):
    guest: Guest
    flattening: collapse.Collapsing
    asked: CheckpointRequest
    checkpoint: CheckpointPlan  # as far as it is known before

    @property
    def shown(self) -> tuple[Plan, ...]:
        return (*self.flattening.plans, self.checkpoint)

    def execute(self, site: Site, runner: Runner) -> Outcome:
        self.flattening.execute(site, runner)
        (outcome,) = runner.run(plan(site, again(site, self.guest), self.asked))
        return outcome
