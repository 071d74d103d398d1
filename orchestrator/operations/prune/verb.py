"""prune: from domains and a policy to what goes, and what comes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from functools import partial

from ...engine.runner import Runner
from ...model import CheckpointState, CheckpointSummary, Decision, Outcome, PruneReport, Recovered
from ..delete import verb as delete
from ..delete.plan import DeletePlan
from ..shared.compound import Compound
from ..shared.guest import Guest, again, agreed_checkpoint, fresh
from ..shared.site import Site
from ..shared.turns import Turns
from .policy import Policy, check_policy, decide


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneOptions:
    """`zone` is that of the policy's days, None for this computer's local time; `collapsing` is as in a delete."""

    policy: Policy
    now: datetime
    zone: tzinfo | None = None
    collapsing: bool = True


def plan(site: Site, guests: Sequence[Guest], options: PruneOptions) -> Pruning:
    check_policy(options.policy)
    return Pruning(tuple((guest, _decide(site, guest, options)) for guest in guests), options)


@dataclass(frozen=True, slots=True)
class Pruning(Compound[PruneReport]):
    by_domain: tuple[tuple[Guest, tuple[Decision, ...]], ...]
    options: PruneOptions

    @property
    def decisions(self) -> tuple[Decision, ...]:
        return tuple(each for _, decided in self.by_domain for each in decided)

    @property
    def removed(self) -> tuple[Decision, ...]:
        return tuple(each for each in self.decisions if not each.kept)

    @property
    def shown(self) -> tuple[DeletePlan, ...]:
        return ()  # what a deletion takes with it depends on those before it: the decisions say enough

    def execute(self, site: Site, runner: Runner) -> PruneReport:
        """Remove what was agreed to go and still is to go, as things are now: what was given a tag that keeps it
        stays. A domain that fails does not keep the others from being pruned: its error is raised at the end."""
        decisions: list[Decision] = []
        outcomes: list[Outcome] = []
        recovered: list[Recovered] = []
        turns = Turns()
        for guest, agreed in self.by_domain:
            with turns.turn():
                before = len(recovered)
                runner.recover(recovered, guest.uuid)
                decided = _decide(site, guest, self.options)
                decisions += decided
                going = _going(decided, {each.checkpoint.id for each in agreed if not each.kept})
                if going:
                    now = again(site, guest) if len(recovered) > before else fresh(site, guest)
                    checkpoints = [agreed_checkpoint(site, now, each.id, each.name) for each in going]
                    deletion = delete.plan_of(
                        site,
                        now,
                        checkpoints,
                        collapsing=self.options.collapsing,
                        only_if_unneeded=True,
                        may_go=partial(_is_still_going, site, guest, self.options),
                    )
                    outcomes += deletion.execute(site, runner)
        turns.end(done="pruned", what=[f"{each.domain}/{each.checkpoint}" for each in outcomes])
        return PruneReport(decisions=tuple(decisions), outcomes=tuple(outcomes), recovered=tuple(recovered))


def _decide(site: Site, guest: Guest, options: PruneOptions) -> tuple[Decision, ...]:
    """A decision for each of the checkpoints of a domain that are not being deleted, newest first."""
    living = [each for each in site.catalog.summaries(guest.uuid) if each.state != CheckpointState.DELETING]
    if living and guest.domain is None and site.catalog.head(guest.uuid) is None:
        # Nobody knows where it stood, as after a rebuild: its newest one may be all that is left of it.
        living[-1] = replace(living[-1], current=True)
    return tuple(decide(living, options.policy, options.now, options.zone))


def _is_still_going(site: Site, guest: Guest, options: PruneOptions, checkpoint_id: str) -> bool:
    """Whether the policy still does not keep it: the one that was kept in its place may be gone or damaged by now."""
    return all(each.checkpoint.id != checkpoint_id for each in _decide(site, guest, options) if each.kept)


def _going(decided: Sequence[Decision], agreed: set[str]) -> list[CheckpointSummary]:
    return [each.checkpoint for each in decided if not each.kept and each.checkpoint.id in agreed]
