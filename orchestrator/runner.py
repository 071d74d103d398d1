"""Where every operation begins and ends: a plan is carried out under a lease, and what a crash left is settled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from .errors import CatalogError, SnapctlError
from .fence import Fenced
from .journal import FaultPoint, Run, Story
from .model import OperationKind, OperationRecord, Outcome, Recovered
from .operations.checkpoint import CheckpointStory
from .operations.collapse import CollapseStory
from .operations.delete import DeleteStory
from .operations.edit import EditStory
from .operations.rollback import RollbackStory
from .planning import CheckpointPlan, CollapsePlan, DeletePlan, EditPlan, Plan, RollbackPlan, misplaced
from .ports import Catalog, Hypervisor, Lease, Progress
from .survey import Survey


class Runner:
    """`progress` is told how far long steps are; `point` is reached before and after each effect."""

    def __init__(
        self, hypervisor: Hypervisor, catalog: Catalog, survey: Survey, *, progress: Progress, point: FaultPoint
    ) -> None:
        self._hypervisor = hypervisor
        self._catalog = catalog
        self._survey = survey
        self._progress = progress
        self._point = point

    def run(self, kind: OperationKind, plan: Plan) -> Run:
        """Carry a plan out. Raises what its story does; `Busy` when somebody else is at the domain."""
        lease = self._catalog.open_operation(
            operation_id=plan.operation_id,
            kind=kind,
            host=plan.host,
            domain_uuid=plan.domain_uuid,
            domain_name=plan.domain_name,
            plan=msgspec.to_builtins(plan),
        )
        try:
            run = Run(self._story(lease), self._catalog, lease, self._point)
            run.carry_out()
        finally:
            lease.release()
        return run

    def recover(self, domain: str | None = None) -> list[Recovered]:
        """Settle what was left unfinished of a domain, or of the whole host: see `Coordinator.recover`."""
        uuid = self._survey.subject(domain).uuid if domain is not None else None
        recovered = []
        failure: SnapctlError | None = None
        for operation in self._catalog.unsettled(self._hypervisor.host.uuid, uuid):
            try:
                recovered.append(self._recover(operation))
            except SnapctlError as error:
                failure = failure or error
        if failure is not None:
            raise failure
        return recovered

    def _recover(self, operation: OperationRecord) -> Recovered:
        if self._catalog.is_abandoned(operation):
            _plan(operation)  # raises for a damaged one, before anybody becomes its owner
        lease = self._catalog.take_over(operation)
        try:
            run = Run(self._story(lease), self._catalog, lease, self._point)
            state = run.settle()
        finally:
            lease.release()
        return Recovered(
            operation=operation.kind,
            domain=operation.domain_name,
            id=operation.id,
            state=state,
            detail=f"it had stopped at step {operation.step}" if operation.step else "it had stopped in its first step",
        )

    def _story(self, lease: Lease) -> Story:
        """The story of a journal row: the same for a new operation and for one a crash left behind."""
        facts: dict[str, Any] = dict(lease.operation.facts)
        hypervisor = Fenced(self._hypervisor, lease)
        match _plan(lease.operation):
            case CheckpointPlan() as plan:
                return CheckpointStory(plan, hypervisor, self._catalog, lease, facts, self._progress)
            case RollbackPlan() as plan:
                return RollbackStory(plan, hypervisor, self._catalog, lease, facts)
            case DeletePlan() as plan:
                return DeleteStory(plan, hypervisor, self._catalog, lease, facts)
            case CollapsePlan() as plan:
                return CollapseStory(plan, hypervisor, self._catalog, lease, facts, self._progress)
            case EditPlan() as plan:
                return EditStory(plan, hypervisor, self._catalog, lease, facts)


_PLANS: dict[OperationKind, type[Plan]] = {
    OperationKind.CHECKPOINT: CheckpointPlan,
    OperationKind.ROLLBACK: RollbackPlan,
    OperationKind.DELETE: DeletePlan,
    OperationKind.COLLAPSE: CollapsePlan,
    OperationKind.FLATTEN: CollapsePlan,
    OperationKind.EDIT: EditPlan,
}


def _plan(operation: OperationRecord) -> Plan:
    """The plan as the journal has it. Raises `CatalogError`: it is input, too."""
    try:
        plan = msgspec.convert(operation.plan, _PLANS[operation.kind])
    except msgspec.ValidationError as error:
        raise _damaged(operation, str(error)) from error
    for path in misplaced(plan):
        raise _damaged(operation, f"{path!r} is not where snapctl puts a file")
    return plan


def _damaged(operation: OperationRecord, problem: str) -> CatalogError:
    return CatalogError(
        f"the plan of operation {operation.id} is damaged: {problem}", hint="restore the catalog from a backup"
    )


def outcome(
    kind: OperationKind,
    plan: Plan,
    run: Run,
    recovered: Sequence[Recovered],
    *,
    checkpoint: str = "",
    checkpoint_id: str | None = None,
    stops_at: str = "",
    kept: str | None = None,
    freed: int | None = None,
    layer: str | None = None,
) -> Outcome:
    """What a verb returns of a run.

    `recovered` was settled before it; the guest stood still from step `stops_at` until it was resumed.
    """
    return Outcome(
        operation=kind,
        domain=plan.domain_name,
        checkpoint=checkpoint,
        id=checkpoint_id or plan.operation_id,
        duration_s=run.seconds(),
        downtime_s=run.seconds_between(stops_at, "resumed"),
        steps=run.times,
        kept=kept,
        freed_bytes=freed,
        layer=layer,
        recovered=tuple(recovered),
    )
