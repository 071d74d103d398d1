"""push, pop: which names are on the stack, and the rollback to the last of them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ...engine.runner import Runner
from ...errors import Refused, with_effect
from ...model import After, Checkpoint, Outcome
from ..delete import verb as delete
from ..rollback import verb as rollback
from ..rollback.plan import RollbackPlan
from ..shared.compound import Compound
from ..shared.guest import Guest, again, agreed_checkpoint, checkpoint_of
from ..shared.ids import generated_name, new_id
from ..shared.site import Site

PUSH = "push-"
PUSHED = re.compile(PUSH + r"[0-9]{8}-[0-9]{6}-[0-9a-f]{8}")
"""The names that `push` gives. What is called otherwise is not on the stack, or not any more."""


def name_to_push() -> str:
    return f"{PUSH}{generated_name(new_id())}"


def last_pushed(site: Site, guest: Guest) -> Checkpoint:
    """Raises `Refused` when nothing was pushed."""
    for name in reversed(site.catalog.ready_names(guest.uuid, PUSH)):
        if PUSHED.fullmatch(name):
            return checkpoint_of(site, guest, name)
    raise Refused(f"{guest.name} has no pushed checkpoint", hint=f"run: snapctl push {guest.name}")


def plan_pop(site: Site, guest: Guest, *, keep: bool) -> Pop:
    return Pop(guest, rollback.plan(site, guest, last_pushed(site, guest), After.AS_SAVED), keep)


@dataclass(frozen=True, slots=True)
class Pop(Compound[list[Outcome]]):
    guest: Guest
    rollback: RollbackPlan
    keep: bool  # do not delete the checkpoint afterwards

    @property
    def shown(self) -> tuple[RollbackPlan, ...]:
        return (self.rollback,)

    def execute(self, site: Site, runner: Runner) -> list[Outcome]:
        outcomes = rollback.run(site, runner, self.rollback)
        if self.keep:
            return outcomes
        name = self.rollback.checkpoint_name
        with with_effect(f"{self.rollback.domain_name} was rolled back to {name}"):
            guest = again(site, self.guest)
            popped = agreed_checkpoint(site, guest, self.rollback.checkpoint_id, name)
            return [*outcomes, *delete.plan_of(site, guest, [popped]).execute(site, runner)]
