"""collapse, flatten: from domains to plans, and what comes of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from time import monotonic

from ...engine.runner import Runner
from ...errors import Refused, SnapctlError
from ...model import Collapsible, OperationKind, Outcome, Postponed
from ..shared.compound import Compound
from ..shared.guest import Guest, again, is_recent
from ..shared.ids import new_id
from ..shared.site import Site
from ..shared.turns import Turns
from .facts import gather, in_use, stacks
from .plan import CollapsePlan, plan_collapse


def plan(site: Site, guests: Iterable[Guest], paths: Sequence[str] | None = None) -> Collapsing:
    """All that can be collapsed of these domains, or what is among `paths` and next to them."""
    planned: list[PlannedCollapse] = []
    postponed: list[Postponed] = []
    turns = Turns()
    for guest in guests:
        candidates = site.catalog.collapsible(guest.uuid, paths)
        used = in_use(site, guest, candidates)
        for found in candidates:
            with turns.turn():
                try:
                    planned.append(PlannedCollapse(guest, plan_collapse(new_id(), gather(site, guest, found, used))))
                except Refused as refusal:
                    postponed.append(Postponed(layer=found.layer.path, reason=refusal.problem, advice=refusal.hint))
    return Collapsing(tuple(planned), tuple(postponed), turns.failure)


def plan_flatten(site: Site, guest: Guest) -> Collapsing:
    """One plan a disk."""
    candidates = stacks(site, guest)
    used = in_use(site, guest, candidates)
    return Collapsing(
        tuple(
            PlannedCollapse(guest, plan_collapse(new_id(), gather(site, guest, found, used), OperationKind.FLATTEN))
            for found in candidates
        )
    )


@dataclass(frozen=True, slots=True)
class PlannedCollapse:
    """A plan, whose domain it is about, and when it was made, by a clock that never jumps."""

    guest: Guest
    plan: CollapsePlan
    made: float = field(default_factory=monotonic, compare=False)


@dataclass(frozen=True, slots=True)
class Collapsing(Compound[list[Outcome]]):
    """`postponed` is what could be collapsed, but not now; `failure` the first error of what cannot even be planned."""

    planned: tuple[PlannedCollapse, ...]
    postponed: tuple[Postponed, ...] = ()
    failure: SnapctlError | None = None

    @property
    def plans(self) -> tuple[CollapsePlan, ...]:
        return tuple(each.plan for each in self.planned)

    @property
    def shown(self) -> tuple[CollapsePlan, ...]:
        return self.plans

    def execute(self, site: Site, runner: Runner) -> list[Outcome]:
        """Each is planned again right before it, unless that was just now: those before it took hours, and space.
        One that fails does not keep the others from their turn: the first error is raised at the end."""
        outcomes: list[Outcome] = []
        turns = Turns(self.failure)
        for number, each in enumerate(self.planned):
            with turns.turn():
                is_new = number == 0 and is_recent(each.made)
                if (now := each.plan if is_new else _as_it_is_now(site, each)) is not None:
                    outcomes += runner.run(now)
        flattened = any(each.operation is OperationKind.FLATTEN for each in outcomes)
        turns.end(done="flattened" if flattened else "collapsed", what=[each.layer or "" for each in outcomes])
        return outcomes


def _as_it_is_now(site: Site, agreed: PlannedCollapse) -> CollapsePlan | None:
    """None for a collapse that has nothing to do any more, or that must be postponed now: only a flatten must be."""
    guest, then = again(site, agreed.guest), agreed.plan
    flattens = then.kind is OperationKind.FLATTEN
    try:
        candidates = stacks(site, guest) if flattens else site.catalog.collapsible(guest.uuid, then.drops)
        for found in candidates:
            if _is_that_of(then, found):
                used = in_use(site, guest, [found])
                return plan_collapse(then.operation_id, gather(site, guest, found, used), then.kind)
        raise Refused(f"the disks of {guest.name} changed after the plan was made", hint="try again")
    except Refused:
        if flattens:
            raise
        return None


def _is_that_of(plan: CollapsePlan, found: Collapsible) -> bool:
    drops = tuple(each.path for each in found.absorbed if each.operation_id is not None)
    base = found.base.path if found.base else None
    return (found.layer.path, drops, base) == (plan.layer.path, plan.drops, plan.base_path)
