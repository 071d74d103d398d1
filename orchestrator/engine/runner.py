"""Where every operation begins and ends: a plan is carried out under a lease, and what a crash left is settled."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from ..errors import UNCHANGED, Refused, SnapctlError, Unfinished, is_interrupt
from ..model import MemberRecord, OperationKind, OperationRecord, OperationState, Outcome, Recovered
from ..ports import Catalog, Hypervisor, OpenOperation, Progress
from .fence import Fenced
from .run import Run
from .story import FaultPoint, Plan, Registry


class Runner:
    """`progress` is called during long steps; `point` is reached before and after each effect. `claim` is called before
    an operation is begun or taken over: it makes the store the catalog's, or refuses."""

    def __init__(
        self,
        hypervisor: Hypervisor,
        catalog: Catalog,
        registry: Registry,
        *,
        progress: Progress,
        point: FaultPoint,
        claim: Callable[[], None],
    ) -> None:
        self._claim = claim
        self._hypervisor = hypervisor
        self._catalog = catalog
        self._registry = registry
        self._progress = progress
        self._point = point

    def run(self, *plans: Plan) -> list[Outcome]:
        """Carry the plans of one operation out, one for each of its domains; an outcome each.

        Raises what their stories do; `Busy` when another operation holds one of the domains, `Refused` when they were
        planned on another host: a domain that migrates keeps its UUID.
        """
        kind = plans[0].kind
        self._require_here(plans)
        self._claim()
        operation = self._catalog.open_operation(
            operation_id=plans[0].operation_id,
            kind=kind,
            version=self._registry.version(kind),
            members=[
                MemberRecord(domain_uuid=plan.domain_uuid, domain_name=plan.domain_name, plan=msgspec.to_builtins(plan))
                for plan in plans
            ],
        )
        try:
            run = self._begun(operation)
            run.execute()
        finally:
            operation.release()
        return [plan.outcome(run.ran()) for plan in plans]

    def _require_here(self, plans: Iterable[Plan]) -> None:
        """Raise `Refused` for a plan that was made on another host."""
        here = self._hypervisor.host
        for plan in plans:
            if plan.host.uuid != here.uuid:
                raise Refused(
                    f"the plan was made for host {plan.host.name}, and this is {here.name}",
                    hint="plan it again on this host",
                )

    def require_settled(self, domain_uuid: str) -> None:
        """Raise `Unfinished` when an operation of a domain was left open that is more than an edit."""
        for left in self._catalog.unsettled(domain_uuid):
            if left.kind is not OperationKind.EDIT and self._catalog.is_abandoned(left):
                self._registry.plans(left)  # raises for one of another version, which `recover` refuses
                raise Unfinished(
                    f"a {left.kind.label} of {left.domains} is not finished ({left.progress})",
                    effect=UNCHANGED,
                    hint=f"run: snapctl recover {left.members[0].domain_name}",
                )

    def recover(self, recovered: list[Recovered], domain_uuid: str | None = None) -> None:
        """Settle what was left unfinished of a domain, or of the whole host: see `Coordinator.recover`. What was
        settled is added to `recovered`, also when something else cannot be."""
        failure: SnapctlError | None = None
        for operation in self._catalog.unsettled(domain_uuid):
            try:
                recovered.append(self._recover(operation))
            except SnapctlError as error:
                if is_interrupt(error):
                    raise
                failure = failure or error
        if failure is not None:
            raise failure

    def _recover(self, left: OperationRecord) -> Recovered:
        if self._catalog.is_abandoned(left):
            self._registry.plans(left)  # raises for a damaged one, before the operation gets a new owner
            self._claim()
        operation = self._catalog.take_over(left)
        try:
            run = self._begun(operation)
            state = run.settle()
        except Unfinished as error:
            name = left.members[0].domain_name
            if error.hint == f"run: snapctl recover {name}":  # which is what was tried
                error.hint = f"try again, or close it as it is: snapctl recover {name} --abandon"
            raise
        finally:
            operation.release()
        caveats = run.caveats() if state is OperationState.DONE else []
        reasons = [run.given_up] if run.given_up and state is OperationState.UNDONE else []
        kept = [line for member in left.members for line in run.ran().kept_files(member.domain_uuid)]
        losses = run.losses() if state is OperationState.UNDONE else []
        told = (*reasons, *losses, *(each.problem for each in caveats), *kept, *run.states())
        return Recovered(
            operation=left.kind,
            domain=left.domains,
            id=left.id,
            state=state,
            detail="; ".join((f"it was interrupted {left.progress}", *told)),
            title=", ".join(dict.fromkeys(plan.title for plan in self._registry.plans(left))),
        )

    def _begun(self, operation: OpenOperation) -> Run:
        hypervisor = Fenced(self._hypervisor, operation)
        return Run(self._registry.stories(hypervisor, self._catalog, operation, self._progress), operation, self._point)
