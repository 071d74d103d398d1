"""edit, protect: from a domain and names to plans, and what comes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...engine.runner import Runner
from ...errors import with_effect
from ...model import Outcome
from ..shared.compound import Compound
from ..shared.guest import Guest, checkpoint_of
from ..shared.ids import new_id
from ..shared.site import Site
from .facts import gather
from .plan import EditPlan, Edits, plan_edit


def plan(site: Site, guest: Guest, name: str, edits: Edits) -> EditPlan:
    return plan_edit(new_id(), edits, gather(site, guest, checkpoint_of(site, guest, name), edits.name))


def plan_all(site: Site, guest: Guest, names: Sequence[str], edits: Edits) -> SeveralEdits:
    """Raises what any of them would be refused with."""
    return SeveralEdits(tuple(plan(site, guest, name, edits) for name in dict.fromkeys(names)))


@dataclass(frozen=True, slots=True)
class SeveralEdits(Compound[list[Outcome]]):
    plans: tuple[EditPlan, ...]

    @property
    def shown(self) -> tuple[EditPlan, ...]:
        return self.plans

    def execute(self, site: Site, runner: Runner) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for each in self.plans:
            edited = ", ".join(outcome.checkpoint for outcome in outcomes)
            with with_effect(f"edited: {edited}" if edited else ""):
                outcomes += runner.run(each)
        return outcomes
