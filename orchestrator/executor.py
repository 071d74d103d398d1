"""The doing half of the door: settles what was left open, and executes plans. Knows no verb by name.

The verbs, each a plan and its execution, are in `coordinator.py`; what only reads is in `observer.py`.
"""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar, Unpack, overload

from .engine.runner import Runner
from .engine.story import Plan
from .errors import SnapctlError, is_interrupt
from .model import Adoption, Outcome, PruneReport, Rebuilt, Recovered
from .observer import Observer, Options, no_point
from .operations.abandon import verb as abandon
from .operations.abandon.plan import Abandonment
from .operations.keeping import verb as keeping
from .operations.keeping.plan import KeepingPlan
from .operations.registry import Operations
from .operations.rollback import verb as rollback
from .operations.rollback.plan import RollbackPlan
from .operations.shared.compound import Compound
from .operations.shared.guest import Guest, again, all_of_its_name, catalogued, find, recorded
from .ports import Catalog, Hypervisor
from .reports.adopt import adopt, plan_adoption
from .reports.rebuild import rebuild

R = TypeVar("R")


class Executor(Observer):
    """Executes plans, and settles before and after. See `Coordinator`."""

    def __init__(self, hypervisor: Hypervisor, catalog: Catalog, **options: Unpack[Options]) -> None:
        super().__init__(hypervisor, catalog, **options)
        point = options.get("point", no_point)
        self._runner = Runner(
            hypervisor,
            catalog,
            Operations(),
            progress=self._progress,
            point=point,
            claim=self._site.owner.claim,
        )
        self._recovered: list[Recovered] = []  # what was settled, for the next outcome

    def settle(self, domain: str) -> Guest:
        """Settle the domain's interrupted operations, then look it up: what every changing verb begins with.

        Raises `NotFound`; `Refused` when the store belongs to another catalog; `Busy` and `Unfinished` as `recover`
        does.
        """
        return self._settled(self._owned(domain))

    def _owned(self, domain: str | Guest) -> Guest:
        """Look a domain up for a verb that changes something of it: that its store's owner alone may do."""
        guest = self._guest(domain)
        self._site.owner.require()
        return guest

    def _owned_guests(self, domain: str | Guest | None) -> builtins.list[Guest]:
        """The same for all that have checkpoints, or for one."""
        self._site.owner.require()
        return self._guests(domain)

    def _settled(self, guest: Guest) -> Guest:
        """With what is open of its checkpoints, should they be those of a domain that had its name before."""
        before = len(self._recovered)
        for uuid in {guest.uuid, recorded(self._site, guest).uuid}:
            self._runner.recover(self._recovered, uuid)
        return again(self._site, guest) if len(self._recovered) > before else guest

    def without_open(self, domain: str) -> Guest:
        """Look a domain up for a verb that changes only what is recorded of its checkpoints. It carries out no recovery
        that would start, stop or discard anything.

        Raises `NotFound`; `Unfinished` when an operation of the domain, other than an edit, was left open.
        """
        guest = self._owned(domain)
        self._runner.require_settled(recorded(self._site, guest).uuid)
        return self._settled(guest)

    def settle_all(self, domain: str | None = None) -> list[Guest]:
        """The same for all domains that have checkpoints, or for one. What cannot be settled is no error here: it is
        one when it is that domain's turn."""
        self._site.owner.require()
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
        guests = all_of_its_name(self._site, find(self._site, domain)) if domain is not None else []
        self._site.owner.require()
        failure: SnapctlError | None = None
        uuids: list[str | None] = [guest.uuid for guest in guests]
        for uuid in uuids or [None]:
            try:
                self._runner.recover(self._recovered, uuid)
            except SnapctlError as error:
                if is_interrupt(error):
                    raise
                failure = failure or error
        if failure is not None:
            raise failure
        return self.untold()

    def untold(self) -> list[Recovered]:
        """What was settled, and is in no outcome as yet: a user whose verb is refused is to be told all the same."""
        recovered, self._recovered = self._recovered, []
        return recovered

    # ------------------------------------------------------------------ whose the store is

    def rebuild_catalog(self) -> Rebuilt:
        """Fill a new catalog from the store's manifests alone. Raises `Refused` when this one is in use, or the store
        belongs to another."""
        owner = self._site.owner
        owner.refuse_foreign()
        former = owner.owner.former_hosts if owner.owner is not None else ()
        self._catalog.make()
        rebuilt = rebuild(self._hypervisor, self._catalog, self._site.store, former)
        if rebuilt.checkpoints:
            owner.claim(rebuilt=True)
        return rebuilt

    def plan_adoption(self) -> Adoption:
        """Make the store this catalog's, and the catalog one of what is in it; only reads.

        Raises `Busy` while its owner is seen to have something in progress; `Refused` when the catalog has other
        checkpoints of the host.
        """
        from .catalog import at_work

        return plan_adoption(self._hypervisor, self._catalog, self._site.owner, at_work)

    def adopt_store(self, adoption: Adoption | None = None) -> Rebuilt:
        """See `plan_adoption`."""
        return adopt(self._catalog, self._site.owner, adoption or self.plan_adoption())

    def plan_abandon(self, domain: str | Guest) -> list[Abandonment]:
        """What closing the open operations of a domain as they are would leave: each file, and how to go on by hand.

        Raises `NotFound`; `Busy` while a process is at work on one of them.
        """
        guest, *others = all_of_its_name(self._site, self._guest(domain))
        former = [each for each in others if each.domain is None or each.domain.name == guest.name]
        return [plan for each in (guest, *former) for plan in abandon.plan(self._site, each)]

    def abandon(self, planned: Sequence[Abandonment]) -> list[Recovered]:
        """Close them, with everything kept and nothing changed on the hypervisor. Raises `Busy` as `recover` does, and
        `Refused` when the store is another catalog's."""
        self._site.owner.require()
        return abandon.execute(self._site, planned)

    # ------------------------------------------------------------------ plans

    def verify_whole(self, plan: RollbackPlan | KeepingPlan) -> None:
        """Read the files of the checkpoint of a rollback whole: a deep `verify` of it, which marks what is damaged.

        As that may take hours, `execute` checks again all that the plan was made from, that mark included.
        """
        back = plan.back if isinstance(plan, KeepingPlan) else plan
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
        if isinstance(plan, KeepingPlan):
            (outcome,) = keeping.run(self._site, self._runner, plan)
        elif isinstance(plan, RollbackPlan):
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
