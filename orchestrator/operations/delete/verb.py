"""delete: from a domain and names to plans, and what comes of them."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ...engine.runner import Runner
from ...errors import Refused, with_effect
from ...model import Checkpoint, CheckpointSummary, Layer, Outcome
from ..collapse import verb as collapse
from ..shared.compound import Compound
from ..shared.guest import Guest, again, agreed_checkpoint, checkpoint_of, fresh
from ..shared.ids import new_id
from ..shared.site import Site
from .facts import gather
from .plan import DeletePlan, plan_delete


def plan(
    site: Site,
    guest: Guest,
    names: Sequence[str],
    *,
    recursive: bool = False,
    collapsing: bool = True,
    with_reasons: bool = False,
    force: bool = False,
) -> Deletion:
    """One plan a checkpoint, children before their parents; with `recursive` all that descend from them, too."""
    checkpoints = _named(site, guest, names, recursive=recursive)
    return plan_of(site, guest, checkpoints, collapsing=collapsing, with_reasons=with_reasons, force=force)


def plan_of(
    site: Site,
    guest: Guest,
    checkpoints: Sequence[Checkpoint],
    *,
    collapsing: bool = True,
    only_if_unneeded: bool = False,
    with_reasons: bool = False,
    force: bool = False,
    may_go: Callable[[str], bool] = lambda _: True,
) -> Deletion:
    """The same of these checkpoints.

    With `collapsing`, layers that only one layer needs afterwards are collapsed. `only_if_unneeded` is for a prune: a
    checkpoint that is current or protected by then is kept. `force` takes the only copy of a guest's memory, too.
    `with_reasons` finds out what needs retained layers.
    """
    ordered = _children_first(checkpoints)
    freed = _freed(site, ordered)
    plans = (
        plan_delete(
            new_id(),
            gather(
                site,
                guest,
                each,
                freed[each.id],
                with_reasons=with_reasons,
                only_if_unneeded=only_if_unneeded,
                force=force,
            ),
        )
        for each in ordered
    )
    return Deletion(guest, tuple(plans), collapsing, may_go)


@dataclass(frozen=True, slots=True)
class Deletion(Compound[list[Outcome]]):
    """`may_go` is asked before each of them, by its id: deleting those before it may take hours."""

    guest: Guest
    plans: tuple[DeletePlan, ...]
    collapsing: bool
    may_go: Callable[[str], bool] = lambda _: True

    @property
    def shown(self) -> tuple[DeletePlan, ...]:
        return self.plans

    def execute(self, site: Site, runner: Runner) -> list[Outcome]:
        """Each is planned again right before it, as those before it have changed what is needed: it may
        delete less than was agreed, and is refused if it came to more."""
        outcomes: list[Outcome] = []
        kept: list[str] = []
        deleted: list[DeletePlan] = []
        agreed = {path for each in self.plans for path in (*each.files, *each.layers)}
        for number, each in enumerate(self.plans):
            if not self.may_go(each.checkpoint_id):
                continue
            with with_effect(_shares(deleted, self.plans[number + 1 :])):
                guest = again(site, self.guest) if number else fresh(site, self.guest)
                now = _as_it_is_now(site, guest, each)
                if more := [path for path in (*now.files, *now.layers) if path not in agreed]:
                    raise Refused(f"{more[0]} would now be removed, too", hint="try again")
                outcomes += runner.run(now)
                kept += now.stays
            deleted.append(each)
        if self.collapsing and kept:
            with with_effect(_shares(deleted, [])):
                after = collapse.plan(site, [again(site, self.guest)], list(dict.fromkeys(kept)))
                outcomes += after.execute(site, runner)
        return outcomes


def _as_it_is_now(site: Site, guest: Guest, agreed: DeletePlan) -> DeletePlan:
    checkpoint = agreed_checkpoint(site, guest, agreed.checkpoint_id, agreed.checkpoint_name)
    facts = gather(site, guest, checkpoint, only_if_unneeded=agreed.sparing, force=agreed.force)
    now = plan_delete(agreed.operation_id, facts)
    kept = dict(now.kept) | {path: user for path, user in agreed.kept if path in now.layers}
    layers = tuple(path for path in now.layers if path not in kept)
    return replace(now, layers=layers, kept=tuple(sorted(kept.items())), seen={**now.seen, **agreed.seen})


def _named(site: Site, guest: Guest, names: Sequence[str], *, recursive: bool) -> list[Checkpoint]:
    found = {each.id: each for name in names if (each := checkpoint_of(site, guest, name))}
    if recursive:
        for summary in _descendants(site.catalog.summaries(guest.uuid), found):
            found.setdefault(summary.id, checkpoint_of(site, guest, summary.name))
    return list(found.values())


def _children_first(checkpoints: Sequence[Checkpoint]) -> list[Checkpoint]:
    among = {each.id: each for each in checkpoints}
    return sorted(among.values(), key=lambda checkpoint: _depth(checkpoint, among), reverse=True)


def _freed(site: Site, checkpoints: Sequence[Checkpoint]) -> dict[str, list[Layer]]:
    """By checkpoint, when they are deleted in this order: the layers that go with it, each with the last
    of those that need it."""
    free = {layer.path: layer for layer in site.catalog.layers_freed_by(*(each.id for each in checkpoints))}
    freed: dict[str, list[Layer]] = {}
    for each in reversed(checkpoints):
        below = (site.catalog.chain(layer.path) for layer in each.layers.values())
        paths = [layer.path for chain in below for layer in chain if layer.path in free]
        freed[each.id] = [free.pop(path) for path in paths]
    for layer in free.values():  # that the domain left: it goes with the checkpoint right below it
        distances = {each.id: _distance(each, site.catalog.chain(layer.path)) for each in reversed(checkpoints)}
        freed[min(distances, key=lambda id_: distances[id_])].append(layer)
    return freed


def _distance(checkpoint: Checkpoint, chain: Sequence[Layer]) -> int:
    """How far down a chain the first layer is that a checkpoint froze."""
    frozen = {layer.path for layer in checkpoint.layers.values()}
    return next((number for number, layer in enumerate(chain) if layer.path in frozen), len(chain))


def _depth(checkpoint: Checkpoint, among: Mapping[str, Checkpoint]) -> int:
    """How many of them it descends from in a line. Not by their times: clocks are set back."""
    depth = 0
    above = among.get(checkpoint.parent_id or "")
    while above is not None and depth < len(among):  # in a damaged catalog they may go in a circle
        depth += 1
        above = among.get(above.parent_id or "")
    return depth


def _descendants(checkpoints: Sequence[CheckpointSummary], ancestors: Container[str]) -> Iterator[CheckpointSummary]:
    """All that descend from one of `ancestors`, by id, oldest first."""
    parents = {each.id: each.parent_id for each in checkpoints}
    for each in checkpoints:
        above, walked = each.parent_id, {each.id}
        while above is not None and above not in ancestors and above not in walked:
            walked.add(above)
            above = parents.get(above)
        if above is not None and above in ancestors:
            yield each


def _shares(deleted: Sequence[DeletePlan], waiting: Sequence[DeletePlan]) -> str:
    """Which of several checkpoints were deleted, and which were not, when one of them failed."""
    parts = (("deleted", deleted), ("not deleted", waiting))
    return "; ".join(f"{what}: {', '.join(each.checkpoint_name for each in some)}" for what, some in parts if some)
