"""The public verbs: what the command line, reset scripts and test suites call.

Each changing verb reads: settle what was left unfinished, survey, plan, run. The values it returns
are the model's; everything it raises is a `SnapctlError`.
"""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from posixpath import normpath
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import msgspec

from .doctor import examine
from .errors import Busy, CatalogError, IntegrityError, Refused, SnapctlError, UsageError, telling
from .fence import Fenced
from .journal import FaultPoint, Run, Story
from .model import (
    Advice,
    After,
    Checkpoint,
    CheckpointDetails,
    CheckpointSummary,
    OperationKind,
    OperationRecord,
    Outcome,
    Rebuilt,
    Recovered,
    VerifyReport,
)
from .operations.checkpoint import CheckpointStory
from .operations.delete import DeleteStory
from .operations.rollback import RollbackStory
from .planning import (
    CheckpointPlan,
    CheckpointRequest,
    DeletePlan,
    Plan,
    RollbackPlan,
    check_name,
    misplaced,
    plan_checkpoint,
    plan_delete,
    plan_rollback,
)
from .ports import Catalog, Hypervisor, Lease, Progress, silent
from .rebuild import rebuild
from .settings import Settings
from .survey import Subject, Survey
from .verification import Verification

MIB = 1024 * 1024


def _no_point(name: str) -> None:
    """Fault points are for tests: they sit before and after each effect."""


class Coordinator:
    """Checkpoints and rollbacks of the domains of one hypervisor, recorded in one catalog.

    Use it as a context manager::

        with Coordinator.open(settings.load(connect="qemu:///system")) as snapctl:
            snapctl.checkpoint("web01", "clean")
            ...
            snapctl.rollback("web01", "clean")

    One thread at a time. Several coordinators, in any number of processes, may share a catalog:
    there is one open operation per domain, and whoever comes second gets `Busy`.
    """

    def __init__(
        self,
        hypervisor: Hypervisor,
        catalog: Catalog,
        *,
        store: str,
        reserve_bytes: int = 0,
        progress: Progress = silent,
        point: FaultPoint = _no_point,
    ) -> None:
        self._hypervisor = hypervisor
        self._catalog = catalog
        self._store = normpath(store)
        self._reserve_bytes = reserve_bytes
        self._survey = Survey(hypervisor, catalog, self._store, reserve_bytes)
        self._progress = progress
        self._point = point

    @classmethod
    def open(cls, settings: Settings, *, progress: Progress = silent) -> Self:
        """Connect to the hypervisor and open the catalog; raises `UsageError` or `EnvironmentLacks`."""
        from .catalog import open_catalog
        from .hypervisor import connect

        hypervisor = connect(
            settings.uri, connect_timeout=settings.connection.timeout_s, job_timeout=settings.job.timeout_s
        )
        try:
            catalog = open_catalog(settings.catalog)
        except BaseException:
            hypervisor.close()
            raise
        return cls(
            hypervisor,
            catalog,
            store=settings.store.path,
            reserve_bytes=settings.store.reserve_mib * MIB,
            progress=progress,
        )

    def close(self) -> None:
        self._hypervisor.close()
        self._catalog.close_connection()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # ------------------------------------------------------------------ checkpoint

    def plan_checkpoint(
        self,
        domain: str,
        name: str | None = None,
        *,
        description: str = "",
        tags: Sequence[str] = (),
        after: After = After.AS_SAVED,
    ) -> CheckpointPlan:
        """What `checkpoint` would do; no effect. Raises what `checkpoint` would refuse with."""
        return self._plan_checkpoint(self._survey.subject(domain), name, description, tags, after)

    def checkpoint(
        self,
        domain: str,
        name: str | None = None,
        *,
        description: str = "",
        tags: Sequence[str] = (),
        after: After = After.AS_SAVED,
    ) -> Outcome:
        """Save the memory of a domain and freeze its disks; without a name it gets one that never recurs.

        Raises `Refused`, `Busy`, `OperationUndone` or `GuestLost` (nothing was kept), `Interrupted`
        (settled) or `Unfinished` (`recover` settles it).
        """
        recovered = self.recover(domain)
        subject = self._survey.subject(domain)
        plan = self._plan_checkpoint(subject, name, description, tags, after)
        run = self._run(OperationKind.CHECKPOINT, plan)
        return _outcome(OperationKind.CHECKPOINT, plan.name, plan.operation_id, plan, run, "saved", recovered)

    def _plan_checkpoint(
        self, subject: Subject, name: str | None, description: str, tags: Sequence[str], after: After
    ) -> CheckpointPlan:
        operation_id = str(uuid4())
        name = name if name is not None else _generated_name(operation_id)
        check_name(name, "checkpoint")
        request = CheckpointRequest(
            operation_id=operation_id, name=name, description=description, tags=tuple(tags), after=after
        )
        return plan_checkpoint(request, self._survey.for_checkpoint(subject, name))

    # ------------------------------------------------------------------ rollback

    def plan_rollback(self, domain: str, name: str | None = None, *, after: After = After.AS_SAVED) -> RollbackPlan:
        """What `rollback` would do; no effect. Raises what `rollback` would refuse with."""
        subject = self._survey.subject(domain)
        return self._plan_rollback(subject, self._wanted(subject, name), after)

    def rollback(
        self,
        domain: str,
        name: str | None = None,
        *,
        after: After = After.AS_SAVED,
        keep_current: bool = False,
        keep_name: str | None = None,
        verify: bool = False,
    ) -> Outcome:
        """Put a domain back to a checkpoint, by default the one it stands on. Its present state is lost,
        unless `keep_current` checkpoints it first (as `keep_name`, or a generated name).

        The checkpoint's files are always looked at before; with `verify` they are read whole (a deep
        `verify` of this checkpoint: what is wrong is marked, too).

        Raises `Refused`, `Busy` or `IntegrityError` before the guest notices; afterwards the
        operation goes forward, and `Unfinished` means that `recover` will do so.
        """
        recovered = self.recover(domain)
        subject = self._survey.subject(domain)
        checkpoint = self._wanted(subject, name)
        if verify:
            self.verify(domain, checkpoint.name, deep=True)
            checkpoint = self._survey.checkpoint(subject, checkpoint.name)
        plan = self._plan_rollback(subject, checkpoint, after)
        kept = None
        if keep_current:
            with telling("the rollback was not begun"):
                kept = self.checkpoint(
                    domain, keep_name, description=f"before rollback to {checkpoint.name}"
                ).checkpoint
        with telling(f"checkpoint {kept} was made" if kept else ""):
            if kept:
                plan = self._plan_rollback(self._survey.subject(domain), checkpoint, after)
            run = self._run(OperationKind.ROLLBACK, plan)
        return _outcome(
            OperationKind.ROLLBACK, checkpoint.name, checkpoint.id, plan, run, "stopped", recovered, kept=kept
        )

    def _wanted(self, subject: Subject, name: str | None) -> Checkpoint:
        return self._survey.standing_on(subject) if name is None else self._survey.checkpoint(subject, name)

    def _plan_rollback(self, subject: Subject, checkpoint: Checkpoint, after: After) -> RollbackPlan:
        if after is After.STOP:
            raise UsageError("a rollback ends with the guest running or paused, not stopped")
        try:
            return plan_rollback(str(uuid4()), after, self._survey.for_rollback(subject, checkpoint))
        except IntegrityError:
            self._require_still_there(subject, checkpoint)
            raise

    def _require_still_there(self, subject: Subject, checkpoint: Checkpoint) -> None:
        """Raise `Busy` or `NotFound` when a file may lack since somebody deletes, or has deleted, the checkpoint."""
        open_ = self._catalog.unsettled(self._hypervisor.host.uuid, subject.uuid)
        if any(not self._catalog.is_abandoned(operation) for operation in open_):
            raise Busy(f"somebody is at {subject.name}", hint="wait until it ends")
        self._survey.checkpoint(subject, checkpoint.name)

    # ------------------------------------------------------------------ delete

    def plan_delete(self, domain: str, names: Sequence[str]) -> list[DeletePlan]:
        """What `delete` would do, one plan a checkpoint, children before their parents; no effect."""
        subject = self._survey.subject(domain)
        plans: builtins.list[DeletePlan] = []
        for checkpoint in self._children_first(subject, names):
            plans.append(self._plan_delete(subject, checkpoint, gone=[plan.checkpoint_name for plan in plans]))
        return plans

    def delete(self, domain: str, names: Sequence[str]) -> list[Outcome]:
        """Delete checkpoints that nothing but each other depends on, children before their parents.

        Raises `NotFound` or `Refused` before anything is deleted.
        """
        recovered = self.recover(domain)
        self.plan_delete(domain, names)
        subject = self._survey.subject(domain)
        outcomes = []
        checkpoints = self._children_first(subject, names)
        for number, checkpoint in enumerate(checkpoints):
            with telling(_shares(checkpoints[:number], checkpoints[number + 1 :])):
                plan = self._plan_delete(subject, checkpoint)
                run = self._run(OperationKind.DELETE, plan)
            outcomes.append(
                _outcome(
                    OperationKind.DELETE,
                    checkpoint.name,
                    checkpoint.id,
                    plan,
                    run,
                    "",
                    recovered,
                    freed=plan.freed_bytes,
                )
            )
        return outcomes

    def _children_first(self, subject: Subject, names: Sequence[str]) -> builtins.list[Checkpoint]:
        found = [self._survey.checkpoint(subject, name) for name in dict.fromkeys(names)]
        by_id = {checkpoint.id: checkpoint for checkpoint in found}
        return sorted(found, key=lambda checkpoint: _depth(checkpoint, by_id), reverse=True)

    def _plan_delete(self, subject: Subject, checkpoint: Checkpoint, gone: Sequence[str] = ()) -> DeletePlan:
        """`gone` are the names of children that will be deleted before it."""
        return plan_delete(str(uuid4()), self._survey.for_delete(subject, checkpoint, gone))

    # ------------------------------------------------------------------ recover

    def recover(self, domain: str | None = None) -> list[Recovered]:
        """Settle the operations that were left unfinished; idempotent, and may itself be killed anywhere.

        Raises `Busy` when another process is at one of them, `Unfinished` when one can neither be
        done nor undone as things are; whatever it raises, the others have been settled.
        """
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

    # ------------------------------------------------------------------ reading

    def list(self, domain: str | None = None) -> list[CheckpointSummary]:
        """The checkpoints of a domain, or of all domains of the host, oldest first."""
        uuid = self._survey.subject(domain).uuid if domain is not None else None
        return self._catalog.summaries(self._hypervisor.host.uuid, uuid)

    def show(self, domain: str, name: str) -> CheckpointDetails:
        subject = self._survey.subject(domain)
        checkpoint = self._survey.checkpoint(subject, name)
        head = self._catalog.head(checkpoint.host_uuid, checkpoint.domain_uuid)
        parent = self._catalog.checkpoint_by_id(checkpoint.parent_id) if checkpoint.parent_id else None
        return CheckpointDetails(
            checkpoint=checkpoint,
            host=self._hypervisor.host,
            parent=parent.name if parent else None,
            current=head is not None and head.checkpoint_id == checkpoint.id,
            children=tuple(self._catalog.child_names(checkpoint.id)),
        )

    def unfinished(self, domain: str | None = None) -> builtins.list[OperationRecord]:
        """The operations that are open now: under way, or left behind by a crash."""
        uuid = self._survey.subject(domain).uuid if domain is not None else None
        return self._catalog.unsettled(self._hypervisor.host.uuid, uuid)

    # ------------------------------------------------------------------ looking after the whole

    def verify(self, domain: str | None = None, name: str | None = None, *, deep: bool = False) -> VerifyReport:
        """Hold the files of a checkpoint, of all those of a domain, or of all of the host against the catalog.

        A checkpoint with findings is marked as damaged, and so is every other one that relies on the
        same file: none is rolled back to until a later verify finds it sound. With `deep` every file is
        read whole and its SHA-256 compared; that of a layer is recorded the first time. Raises
        `NotFound`, `Refused`, `EnvironmentLacks`; never for what it finds.
        """
        if name is not None and domain is None:
            raise UsageError(f"checkpoint {name} of which domain?")
        report = Verification(self._hypervisor, self._catalog, self._progress, deep=deep).run(
            [each for each in self.list(domain) if name in (None, each.name)]
        )
        if name is not None and domain is not None and not report.checkpoints:
            self._survey.checkpoint(self._survey.subject(domain), name)  # which raises unless it is there
            raise Refused(f"checkpoint {name} is being deleted", hint=f"see: snapctl list {domain}")
        return report

    def doctor(self, *, clean: bool = False) -> builtins.list[Advice]:
        """Look at hypervisor, store, catalog and guests, and say what is amiss and what to do.

        With `clean`, directories of ours that nobody needs are deleted; nothing else is ever changed.
        """
        return examine(
            self._hypervisor,
            self._catalog,
            store=self._store,
            reserve_bytes=self._reserve_bytes,
            now=datetime.now(UTC),
            clean=clean,
        )

    def rebuild_catalog(self) -> Rebuilt:
        """Fill a new catalog from the store's manifests alone. Raises `Refused` when this one is in use."""
        return rebuild(self._hypervisor, self._catalog, self._store)

    # ------------------------------------------------------------------ running

    def _run(self, kind: OperationKind, plan: Plan) -> Run:
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


_PLANS: dict[OperationKind, type[Plan]] = {
    OperationKind.CHECKPOINT: CheckpointPlan,
    OperationKind.ROLLBACK: RollbackPlan,
    OperationKind.DELETE: DeletePlan,
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


def _depth(checkpoint: Checkpoint, among: Mapping[str, Checkpoint]) -> int:
    """How many of them it descends from in a line. When they were made does not tell: clocks are set back."""
    depth = 0
    above = among.get(checkpoint.parent_id or "")
    while above is not None and depth < len(among):  # in a damaged catalog they may go in a circle
        depth += 1
        above = among.get(above.parent_id or "")
    return depth


def _shares(deleted: Sequence[Checkpoint], waiting: Sequence[Checkpoint]) -> str:
    """What became of the other checkpoints when one of several was not deleted."""
    parts = (("deleted", deleted), ("not deleted", waiting))
    return "; ".join(f"{what}: {', '.join(each.name for each in some)}" for what, some in parts if some)


def _generated_name(operation_id: str) -> str:
    """A name that reads as a time and never recurs, as it has a part of the id in it."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{operation_id[:8]}"


def _outcome(
    kind: OperationKind,
    checkpoint: str,
    checkpoint_id: str,
    plan: Plan,
    run: Run,
    stops_at: str,
    recovered: Sequence[Recovered],
    *,
    kept: str | None = None,
    freed: int | None = None,
) -> Outcome:
    return Outcome(
        operation=kind,
        domain=plan.domain_name,
        checkpoint=checkpoint,
        id=checkpoint_id,
        duration_s=run.seconds(),
        downtime_s=run.seconds_between(stops_at, "resumed"),
        steps=run.times,
        kept=kept,
        freed_bytes=freed,
        recovered=tuple(recovered),
    )
