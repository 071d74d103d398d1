"""The doing half of the door: settles what was left open, and executes plans. Knows no verb by name.

The verbs, each a plan and its execution, are in `coordinator.py`; what only reads is in `observer.py`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar, Unpack, overload

from .engine.runner import Runner
from .engine.story import Plan
from .errors import SnapctlError, is_interrupt
from .model import Outcome, PruneReport, Recovered
from .observer import Observer, Options, no_point
from .operations.registry import Operations
from .operations.rollback import verb as rollback
from .operations.rollback.plan import RollbackPlan
from .operations.rollback.verb import KeepingRollback
from .operations.shared.compound import Compound
from .operations.shared.guest import Guest, again, catalogued, find
from .ports import Catalog, Hypervisor

R = TypeVar("R")


class Executor(Observer):
    """Executes plans, and settles before and after. See `Coordinator`."""

    def __init__(self, hypervisor: Hypervisor, catalog: Catalog, **options: Unpack[Options]) -> None:
        super().__init__(hypervisor, catalog, **options)
        point = options.get("point", no_point)
        self._runner = Runner(hypervisor, catalog, Operations(), progress=self._progress, point=point)
        self._recovered: list[Recovered] = []  # what was settled, for the next outcome

    def settle(self, domain: str) -> Guest:
        """Settle the domain's interrupted operations, then look it up: what every changing verb begins with.

        Raises `NotFound`; `Busy` and `Unfinished` as `recover` does.
        """
        return self._settled(find(self._site, domain))

    def _settled(self, guest: Guest) -> Guest:
        if recovered := self._runner.recover(guest.uuid):
            self._recovered += recovered
            return again(self._site, guest)
        return guest

    def without_open(self, domain: str) -> Guest:
        """Look a domain up for a verb that changes only what is recorded of its checkpoints. It carries out no recovery
        that would start, stop or discard anything.

        Raises `NotFound`; `Unfinished` when an operation of the domain, other than an edit, was left open.
        """
        guest = find(self._site, domain)
        self._runner.require_settled(guest.uuid)
        return self._settled(guest)

    def settle_all(self, domain: str | None = None) -> list[Guest]:
        """The same for all domains that have checkpoints, or for one. What cannot be settled is no error here: it is
        one when it is that domain's turn."""
        guests = []
        for name in catalogued(self._site) if domain is None else [domain]:
            try:
                guests.append(self.settle(name))
            except SnapctlError as error:
                if is_interrupt(error):
                    raise
                guests.append(find(self._site, name))
        return guests

    def recover(self, domain: str | None = None) -> list[Recovered]:
        """Settle the operations that were left unfinished; idempotent, and may itself be killed anywhere.

        Raises `Busy` when another process is at one of them, `Unfinished` when one can neither be
        done nor undone now; all others have been settled all the same.
        """
        return self._runner.recover(self._uuid(domain))

    # ------------------------------------------------------------------ plans

    def verify_whole(self, plan: RollbackPlan | KeepingRollback) -> None:
        """Read the files of the checkpoint of a rollback whole: a deep `verify` of it, which marks what is damaged.

        As that may take hours, `execute` checks again all that the plan was made from, that mark included.
        """
        back = plan.rollback if isinstance(plan, KeepingRollback) else plan
        self.verify(back.domain_uuid, back.checkpoint_name, deep=True)
        self._site.planned.pop(back.operation_id, None)

    @overload
    def execute(self, plan: Compound[R]) -> R: ...
    @overload
    def execute(self, plan: Plan) -> Outcome: ...
    def execute(self, plan: Compound[R] | Plan) -> R | Outcome:
        """Execute a plan, or raise `Refused`, with nothing changed, when what it was made from has changed.

        An operation that fails is settled before its error leaves: `OperationUndone`, `GuestLost`, `Interrupted`,
        or `Unfinished`, which `recover` settles. `Busy` when another operation has the domain.
        """
        if isinstance(plan, Compound):
            return self._with_recovered(plan.execute(self._site, self._runner))
        if isinstance(plan, RollbackPlan):
            (outcome,) = rollback.run(self._site, self._runner, plan)
        else:
            (outcome,) = self._runner.run(plan)
        return self._with_recovered(outcome)

    def _with_recovered(self, result: R) -> R:
        """With the operations that had to be settled first."""
        recovered, self._recovered = tuple(self._recovered), []
        if isinstance(result, Outcome):
            return replace(result, recovered=recovered)
        if isinstance(result, list):
            return [replace(each, recovered=recovered) for each in result]  # type: ignore[return-value]
        if isinstance(result, PruneReport):
            return replace(result, recovered=(*recovered, *result.recovered))
        return result
