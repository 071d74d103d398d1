"""collapse, flatten: from domains to plans, and what comes of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ...engine.runner import Runner
from ...errors import Refused
from ...model import OperationKind, Outcome, Postponed
from ..shared.compound import Compound
from ..shared.guest import Guest
from ..shared.ids import new_id
from ..shared.site import Site
from .facts import gather, stacks
from .plan import CollapsePlan, plan_collapse


def plan(site: Site, guests: Iterable[Guest], paths: Sequence[str] | None = None) -> Collapsing:
    """All that can be collapsed of these domains, or what is among `paths` and next to them."""
    plans: list[CollapsePlan] = []
    postponed: list[Postponed] = []
    for guest in guests:
        for found in site.catalog.collapsible(guest.uuid, paths):
            try:
                plans.append(plan_collapse(new_id(), gather(site, guest, found)))
            except Refused as refusal:
                postponed.append(Postponed(layer=found.layer.path, reason=refusal.problem, advice=refusal.hint))
    return Collapsing(tuple(plans), tuple(postponed))


def plan_flatten(site: Site, guest: Guest) -> Collapsing:
    """One plan a disk."""
    return Collapsing(
        tuple(
            plan_collapse(new_id(), gather(site, guest, found), OperationKind.FLATTEN) for found in stacks(site, guest)
        )
    )


@dataclass(frozen=True, slots=True)
class Collapsing(Compound[list[Outcome]]):
    plans: tuple[CollapsePlan, ...]
    postponed: tuple[Postponed, ...] = ()  # what could be collapsed, but not now

    @property
    def shown(self) -> tuple[CollapsePlan, ...]:
        return self.plans

    def carry_out(self, site: Site, runner: Runner) -> list[Outcome]:
        return [outcome for each in self.plans for outcome in runner.run(each)]
