"""What makes a tree smaller: delete and prune, collapse and flatten.

Each reads as the verbs of `Coordinator` do: settle what was left unfinished, survey, plan, run. What they
promise and raise is said there.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from datetime import datetime, tzinfo
from uuid import uuid4

from .engine.runner import Runner, outcome
from .errors import Interrupted, Refused, SnapctlError, telling
from .model import (
    Checkpoint,
    CheckpointState,
    CheckpointSummary,
    Decision,
    Layer,
    OperationKind,
    Outcome,
    Postponed,
    PruneReport,
    Recovered,
)
from .operations.collapse.plan import CollapsePlan, plan_collapse
from .operations.delete.plan import DeletePlan, plan_delete
from .operations.prune.policy import Policy, check_policy, decide
from .ports import Catalog, Hypervisor
from .survey import Subject, Survey


class Thinning:
    def __init__(self, hypervisor: Hypervisor, catalog: Catalog, survey: Survey, runner: Runner) -> None:
        self._hypervisor = hypervisor
        self._catalog = catalog
        self._survey = survey
        self._runner = runner

    @property
    def _host(self) -> str:
        return self._hypervisor.host.uuid

    # ------------------------------------------------------------------ prune

    def plan_prune(self, domain: str | None, policy: Policy, *, now: datetime, zone: tzinfo | None) -> PruneReport:
        check_policy(policy)
        domains = self._catalogued() if domain is None else [domain]
        return PruneReport(
            decisions=tuple(each for name in domains for each in decide(self._living(name), policy, now, zone))
        )

    def prune(
        self,
        domain: str | None,
        policy: Policy,
        *,
        now: datetime,
        zone: tzinfo | None,
        only: Collection[str] | None,
        collapse: bool,
    ) -> PruneReport:
        check_policy(policy)
        decisions: list[Decision] = []
        outcomes: list[Outcome] = []
        recovered: list[Recovered] = []
        failure: SnapctlError | None = None
        for name in self._catalogued() if domain is None else [domain]:
            try:
                recovered += self._runner.recover(self._survey.subject(name).uuid)
                decided = decide(self._living(name), policy, now, zone)
                decisions += decided
                removed = [each.checkpoint for each in decided if not each.kept]
                agreed = [each.name for each in removed if only is None or each.id in only]
                outcomes += self.delete(name, agreed, collapse=collapse, sparing=True) if agreed else []
            except Interrupted:
                raise
            except SnapctlError as error:
                failure = failure or error
        if failure is not None:
            gone = ", ".join(f"{each.domain}/{each.checkpoint}" for each in outcomes)
            with telling(f"pruned: {gone}" if gone else ""):
                raise failure
        return PruneReport(decisions=tuple(decisions), outcomes=tuple(outcomes), recovered=tuple(recovered))

    def _catalogued(self) -> list[str]:
        """The UUIDs of the domains that have checkpoints."""
        return list(dict.fromkeys(each.domain_uuid for each in self._catalog.summaries()))

    def _living(self, domain: str) -> list[CheckpointSummary]:
        """The checkpoints of a domain that are not being deleted, oldest first."""
        summaries = self._catalog.summaries(self._survey.subject(domain).uuid)
        return [each for each in summaries if each.state != CheckpointState.DELETING]

    # ------------------------------------------------------------------ delete

    def plan_delete(self, domain: str, names: Sequence[str], *, recursive: bool) -> list[DeletePlan]:
        subject = self._survey.subject(domain)
        return self._plan_delete(subject, self._to_delete(subject, names, recursive=recursive), explain=True)

    def _plan_delete(
        self, subject: Subject, checkpoints: Sequence[Checkpoint], *, explain: bool = False
    ) -> list[DeletePlan]:
        freed = self._freed(checkpoints)
        return [
            plan_delete(str(uuid4()), self._survey.for_delete(subject, each, freed[each.id], explain=explain))
            for each in checkpoints
        ]

    def delete(
        self, domain: str, names: Sequence[str], *, collapse: bool, recursive: bool = False, sparing: bool = False
    ) -> list[Outcome]:
        """`sparing` says that a prune asks: what came to be needed meanwhile stays."""
        recovered = self._runner.recover(self._survey.subject(domain).uuid)
        subject = self._survey.subject(domain)
        checkpoints = self._to_delete(subject, names, recursive=recursive)
        self._plan_delete(subject, checkpoints)  # raises what any of them is refused with
        outcomes = []
        kept: list[str] = []
        for number, checkpoint in enumerate(checkpoints):
            with telling(_shares(checkpoints[:number], checkpoints[number + 1 :])):
                plan = plan_delete(str(uuid4()), self._survey.for_delete(subject, checkpoint, sparing=sparing))
                run = self._runner.run(OperationKind.DELETE, plan)
                kept += plan.stays
            outcomes.append(
                outcome(
                    OperationKind.DELETE,
                    plan,
                    run,
                    recovered,
                    checkpoint=checkpoint.name,
                    checkpoint_id=checkpoint.id,
                    freed=plan.freed_bytes,
                )
            )
        if collapse and kept:
            with telling(_shares(checkpoints, [])):
                outcomes += self._collapse(self._survey.subject(domain), list(dict.fromkeys(kept)))
        return outcomes

    def _to_delete(self, subject: Subject, names: Sequence[str], *, recursive: bool) -> list[Checkpoint]:
        """Children first."""
        found = {each.id: each for name in names if (each := self._survey.checkpoint(subject, name))}
        if recursive:
            for summary in _descendants(self._catalog.summaries(subject.uuid), found):
                found.setdefault(summary.id, self._survey.checkpoint(subject, summary.name))
        return sorted(found.values(), key=lambda checkpoint: _depth(checkpoint, found), reverse=True)

    def _freed(self, checkpoints: Sequence[Checkpoint]) -> dict[str, list[Layer]]:
        """By checkpoint, when they are deleted in this order: the layers that go with it, each with the last
        of those that need it."""
        free = {layer.path: layer for layer in self._catalog.layers_freed_by(*(each.id for each in checkpoints))}
        freed: dict[str, list[Layer]] = {}
        for each in reversed(checkpoints):
            below = (self._catalog.chain(layer.path) for layer in each.layers.values())
            paths = [layer.path for chain in below for layer in chain if layer.path in free]
            freed[each.id] = [free.pop(path) for path in paths]
        return freed

    # ------------------------------------------------------------------ collapse, flatten

    def plan_collapse(self, domain: str | None) -> tuple[list[CollapsePlan], list[Postponed]]:
        plans: list[CollapsePlan] = []
        waiting: list[Postponed] = []
        for name in self._catalogued() if domain is None else [domain]:
            subject = self._survey.subject(name)
            for found in self._catalog.collapsible(subject.uuid):
                try:
                    plans.append(plan_collapse(str(uuid4()), self._survey.for_collapse(subject, found)))
                except Refused as refusal:
                    waiting.append(Postponed(layer=found.layer.path, reason=refusal.problem, advice=refusal.hint))
        return plans, waiting

    def collapse(self, domain: str | None) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for name in self._catalogued() if domain is None else [domain]:
            recovered = self._runner.recover(self._survey.subject(name).uuid)
            outcomes += self._collapse(self._survey.subject(name), None, recovered)
        return outcomes

    def _collapse(
        self, subject: Subject, paths: Sequence[str] | None, recovered: Sequence[Recovered] = ()
    ) -> list[Outcome]:
        outcomes = []
        for found in self._catalog.collapsible(subject.uuid, paths):
            try:
                plan = plan_collapse(str(uuid4()), self._survey.for_collapse(subject, found))
            except Refused:
                continue  # it waits
            outcomes.append(self._pull(OperationKind.COLLAPSE, plan, recovered))
            subject = self._survey.subject(subject.uuid)
        return outcomes

    def plan_flatten(self, domain: str) -> list[CollapsePlan]:
        subject = self._survey.subject(domain)
        stacks = self._survey.stacks(subject)
        return [plan_collapse(str(uuid4()), self._survey.for_collapse(subject, found)) for found in stacks]

    def flatten(self, domain: str) -> list[Outcome]:
        recovered = self._runner.recover(self._survey.subject(domain).uuid)
        outcomes = []
        for found in self._survey.stacks(self._survey.subject(domain)):
            plan = plan_collapse(str(uuid4()), self._survey.for_collapse(self._survey.subject(domain), found))
            outcomes.append(self._pull(OperationKind.FLATTEN, plan, recovered))
        return outcomes

    def _pull(self, kind: OperationKind, plan: CollapsePlan, recovered: Sequence[Recovered]) -> Outcome:
        run = self._runner.run(kind, plan)
        return outcome(kind, plan, run, recovered, layer=plan.layer.path)


def _depth(checkpoint: Checkpoint, among: Mapping[str, Checkpoint]) -> int:
    """How many of them it descends from in a line. When they were made does not tell: clocks are set back."""
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


def _shares(deleted: Sequence[Checkpoint], waiting: Sequence[Checkpoint]) -> str:
    """What became of the other checkpoints when one of several was not deleted."""
    parts = (("deleted", deleted), ("not deleted", waiting))
    return "; ".join(f"{what}: {', '.join(each.name for each in some)}" for what, some in parts if some)
