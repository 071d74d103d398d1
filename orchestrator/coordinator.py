"""The public verbs: what the command line, reset scripts and test suites call.

Each changing verb reads: settle what was left unfinished, survey, plan, run. The values it returns
are the model's; everything it raises is a `SnapctlError`.
"""

from __future__ import annotations

import builtins
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from posixpath import normpath
from types import TracebackType
from typing import Self
from uuid import uuid4

from .engine.runner import Runner, outcome
from .engine.story import FaultPoint
from .errors import Busy, IntegrityError, Refused, UsageError, telling
from .model import (
    Advice,
    After,
    Checkpoint,
    CheckpointDetails,
    CheckpointSummary,
    Layer,
    OperationKind,
    OperationRecord,
    Outcome,
    Postponed,
    PruneReport,
    Rebuilt,
    Recovered,
    Usage,
    VerifyReport,
    check_name,
)
from .operations.checkpoint.plan import CheckpointPlan, CheckpointRequest, plan_checkpoint
from .operations.collapse.plan import CollapsePlan
from .operations.delete.plan import DeletePlan
from .operations.edit.plan import EditPlan, Edits, plan_edit
from .operations.prune.policy import Policy
from .operations.registry import Operations
from .operations.rollback.plan import RollbackPlan, plan_rollback
from .operations.shared.depth import SOFT_LIMIT, depth_note
from .ports import Catalog, Hypervisor, Progress, silent
from .reports.doctor import examine
from .reports.rebuild import rebuild
from .reports.usage import gather, sum_up
from .reports.verify import Verification
from .settings import Settings
from .survey import Subject, Survey
from .thinning import Thinning

MIB = 1024 * 1024
PUSH = "push-"
PUSHED = re.compile(PUSH + r"[0-9]{8}-[0-9]{6}-[0-9a-f]{8}")
"""The names that `push` gives. What is called otherwise is not on the stack, or not any more."""


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
        soft_limit: int = SOFT_LIMIT,
        progress: Progress = silent,
        point: FaultPoint = _no_point,
    ) -> None:
        self._hypervisor = hypervisor
        self._catalog = catalog
        self._store = normpath(store)
        self._reserve_bytes = reserve_bytes
        self._survey = Survey(hypervisor, catalog, self._store, reserve_bytes)
        self._soft_limit = soft_limit
        self._progress = progress
        self._runner = Runner(hypervisor, catalog, Operations(), progress=progress, point=point)
        self._thinning = Thinning(hypervisor, catalog, self._survey, self._runner)

    @classmethod
    def open(cls, settings: Settings, *, progress: Progress = silent) -> Self:
        """Connect to the hypervisor and open the catalog; raises `UsageError` or `EnvironmentLacks`."""
        from .catalog import open_catalog
        from .hypervisor import connect

        hypervisor = connect(
            settings.uri, connect_timeout=settings.connection.timeout_s, job_timeout=settings.job.timeout_s
        )
        try:
            catalog = open_catalog(settings.catalog, hypervisor.host, keep=timedelta(days=settings.journal.keep_days))
        except BaseException:
            hypervisor.close()
            raise
        return cls(
            hypervisor,
            catalog,
            store=settings.store.path,
            reserve_bytes=settings.store.reserve_mib * MIB,
            soft_limit=settings.chain.soft_limit,
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
        expires: datetime | None = None,
        flatten: bool = False,
    ) -> CheckpointPlan:
        """What `checkpoint` would do (what `flatten` adds, `plan_flatten` tells); no effect. Raises what
        `checkpoint` would refuse with."""
        subject = self._survey.subject(domain)
        return self._plan_checkpoint(subject, name, description, tags, after, expires, flatten=flatten)

    def checkpoint(
        self,
        domain: str,
        name: str | None = None,
        *,
        description: str = "",
        tags: Sequence[str] = (),
        after: After = After.AS_SAVED,
        expires: datetime | None = None,
        flatten: bool = False,
    ) -> Outcome:
        """Save the memory of a domain and freeze its disks; without a name it gets one that never recurs.

        With `flatten` its disks are made independent of what they stand on, first: see `flatten`.
        From `expires` on, a prune that is asked to removes it. Raises `Refused`, `Busy`,
        `OperationUndone` or `GuestLost` (nothing was kept), `Interrupted` (settled) or `Unfinished`
        (`recover` settles it).
        """
        recovered = self.recover(domain)
        subject = self._survey.subject(domain)
        if flatten:
            self._plan_checkpoint(subject, name, description, tags, after, expires, flatten=True)
            self.flatten(domain)
            subject = self._survey.subject(domain)
        plan = self._plan_checkpoint(subject, name, description, tags, after, expires)
        run = self._runner.run(OperationKind.CHECKPOINT, plan)
        done = outcome(OperationKind.CHECKPOINT, plan, run, recovered, checkpoint=plan.labels.name, stops_at="saved")
        note = depth_note(plan.domain_name, plan.depth, plan.host.libvirt_version, self._soft_limit)
        return replace(done, note=note)

    def _plan_checkpoint(
        self,
        subject: Subject,
        name: str | None,
        description: str,
        tags: Sequence[str],
        after: After,
        expires: datetime | None,
        *,
        flatten: bool = False,
    ) -> CheckpointPlan:
        operation_id = str(uuid4())
        name = name if name is not None else _generated_name(operation_id)
        check_name(name, "checkpoint")
        request = CheckpointRequest(
            operation_id=operation_id,
            name=name,
            description=description,
            tags=tuple(tags),
            after=after,
            expires=expires,
            flatten=flatten,
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
                kept = self.checkpoint(domain, keep_name, description=f"before rollback to {checkpoint.name}")
        with telling(f"checkpoint {kept.checkpoint} was made" if kept else ""):
            if kept:
                plan = self._plan_rollback(self._survey.subject(domain), checkpoint, after)
                plan = replace(plan, kept_id=kept.id)
            run = self._runner.run(OperationKind.ROLLBACK, plan)
        return outcome(
            OperationKind.ROLLBACK,
            plan,
            run,
            recovered,
            checkpoint=checkpoint.name,
            checkpoint_id=checkpoint.id,
            stops_at="stopped",
            kept=kept.checkpoint if kept else None,
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
        open_ = self._catalog.unsettled(subject.uuid)
        if any(not self._catalog.is_abandoned(operation) for operation in open_):
            raise Busy(f"somebody is at {subject.name}", hint="wait until it ends")
        self._survey.checkpoint(subject, checkpoint.name)

    def plan_undo(self, domain: str) -> RollbackPlan:
        """What `undo` would do; no effect. Raises what `undo` would refuse with."""
        return self.plan_rollback(domain, self._kept(domain))

    def undo(self, domain: str, *, keep_current: bool = False, keep_name: str | None = None) -> Outcome:
        """Take the last rollback back, memory and disks: roll back to what it kept of the state before.

        With `keep_current` this may itself be undone. Raises `Refused` when the last rollback kept
        nothing, or that is gone; else as `rollback` does.
        """
        self.recover(domain)
        return self.rollback(domain, self._kept(domain), keep_current=keep_current, keep_name=keep_name)

    def _kept(self, domain: str) -> str:
        """The name of the checkpoint in which the last rollback kept the state before."""
        subject = self._survey.subject(domain)
        head = self._catalog.head(subject.uuid)
        kept = self._catalog.checkpoint_by_id(head.kept_id) if head and head.kept_id else None
        if kept is None:
            raise Refused(
                f"there is nothing to undo: the last rollback of {subject.name} kept nothing of the state before",
                hint="only a rollback with --keep-current can be undone",
            )
        return kept.name

    # ------------------------------------------------------------------ push, pop

    def push(self, domain: str, *, description: str = "") -> Outcome:
        """Checkpoint a domain under a name of its own making, for `pop` to find."""
        return self.checkpoint(domain, f"{PUSH}{_generated_name(str(uuid4()))}", description=description)

    def plan_pop(self, domain: str) -> RollbackPlan:
        """The rollback that `pop` would do; no effect. Raises what `pop` would refuse with."""
        return self.plan_rollback(domain, self._pushed(domain))

    def pop(self, domain: str, *, keep: bool = False) -> builtins.list[Outcome]:
        """Roll back to what was pushed last and delete that checkpoint, unless `keep`.

        Raises `Refused` when nothing was pushed; else as `rollback` and `delete` do.
        """
        self.recover(domain)
        name = self._pushed(domain)
        back = self.rollback(domain, name)
        if keep:
            return [back]
        with telling(f"{back.domain} was rolled back to {name}"):
            return [back, *self.delete(domain, [name])]

    def _pushed(self, domain: str) -> str:
        """The name of the checkpoint that was pushed last."""
        subject = self._survey.subject(domain)
        names = self._catalog.ready_names(subject.uuid, PUSH)
        for name in reversed(names):
            if PUSHED.fullmatch(name):
                return name
        raise Refused(f"nothing was pushed of {domain}", hint=f"run: snapctl push {domain}")

    # ------------------------------------------------------------------ edit

    def plan_edit(self, domain: str, name: str, edits: Edits) -> EditPlan:
        """What `edit` would do; no effect. Raises what `edit` would refuse with."""
        return self._plan_edit(self._survey.subject(domain), name, edits)

    def edit(self, domain: str, name: str, edits: Edits) -> Outcome:
        """Give a checkpoint another name, description, tags or time of expiry, or protect it from `prune`.

        Raises `UsageError`, `NotFound`, `Refused` (the name is taken) or `Busy` with nothing changed.
        """
        (outcome,) = self._edit(domain, [name], edits)
        return outcome

    def protect(self, domain: str, names: Sequence[str], *, protected: bool = True) -> builtins.list[Outcome]:
        """Let no prune remove these checkpoints; or let it again. Raises `NotFound` before any is changed."""
        return self._edit(domain, names, Edits(protected=protected))

    def _edit(self, domain: str, names: Sequence[str], edits: Edits) -> builtins.list[Outcome]:
        recovered = self.recover(domain)
        subject = self._survey.subject(domain)
        plans = [self._plan_edit(subject, name, edits) for name in dict.fromkeys(names)]
        outcomes = []
        for number, plan in enumerate(plans):
            edited = ", ".join(each.labels.name for each in plans[:number])
            with telling(f"edited: {edited}" if edited else ""):
                run = self._runner.run(OperationKind.EDIT, plan)
            name, identifier = plan.labels.name, plan.checkpoint_id
            done = outcome(OperationKind.EDIT, plan, run, recovered, checkpoint=name, checkpoint_id=identifier)
            outcomes.append(done)
        return outcomes

    def _plan_edit(self, subject: Subject, name: str, edits: Edits) -> EditPlan:
        checkpoint = self._survey.checkpoint(subject, name)
        return plan_edit(str(uuid4()), edits, self._survey.for_edit(subject, checkpoint, edits.name))

    # ------------------------------------------------------------------ prune

    def plan_prune(
        self, domain: str | None, policy: Policy, *, now: datetime | None = None, zone: tzinfo | None = None
    ) -> PruneReport:
        """What `prune` would keep and remove, and why; no effect. Raises `UsageError` or `NotFound`."""
        return self._thinning.plan_prune(domain, policy, now=now or datetime.now(UTC), zone=zone)

    def prune(
        self,
        domain: str | None,
        policy: Policy,
        *,
        now: datetime | None = None,
        zone: tzinfo | None = None,
        only: Collection[str] | None = None,
        collapse: bool = True,
    ) -> PruneReport:
        """Delete the checkpoints of a domain, or of each domain of the host, that a policy does not keep.

        What the domain stands on and what is protected always stays. Days and the like are those of `zone`,
        of this computer's local time without it. With `only`, nothing is removed but these, by id: what
        somebody has agreed to. With `collapse`, layers are pulled together as after `delete`. A domain that
        fails does not keep the others from being pruned: its error is raised at the end.
        """
        now = now or datetime.now(UTC)
        return self._thinning.prune(domain, policy, now=now, zone=zone, only=only, collapse=collapse)

    # ------------------------------------------------------------------ delete

    def plan_delete(self, domain: str, names: Sequence[str], *, recursive: bool = False) -> list[DeletePlan]:
        """What `delete` would do, one plan a checkpoint, children before their parents; no effect."""
        return self._thinning.plan_delete(domain, names, recursive=recursive)

    def delete(
        self, domain: str, names: Sequence[str], *, recursive: bool = False, collapse: bool = True
    ) -> list[Outcome]:
        """Delete checkpoints, with `recursive` all that descend from them, too.

        What descends from a deleted one and stays, checkpoints and the running guest, does not notice: it
        descends from its parent from then on. Layers go when nothing needs them; those that only one layer
        stands on by then are pulled into it if `collapse` and as far as no running guest is in the way
        (`plan_collapse` tells what waits). Raises `NotFound` or `Refused` before anything is deleted.
        """
        return self._thinning.delete(domain, names, recursive=recursive, collapse=collapse)

    # ------------------------------------------------------------------ collapse, flatten

    def plan_collapse(self, domain: str | None = None) -> tuple[list[CollapsePlan], list[Postponed]]:
        """What `collapse` would do, and what has to wait; no effect."""
        return self._thinning.plan_collapse(domain)

    def collapse(self, domain: str | None = None) -> list[Outcome]:
        """Pull layers that no checkpoint needs into the only one that stands on them, as far as can be now.

        Of a domain, or of each that has checkpoints. What cannot be now, because a running guest has it
        below its disk, is left alone: see `plan_collapse`. Raises `Busy`, `IntegrityError`, `Interrupted`,
        `Unfinished`.
        """
        return self._thinning.collapse(domain)

    def plan_flatten(self, domain: str) -> list[CollapsePlan]:
        """What `flatten` would do, one plan a disk; no effect."""
        return self._thinning.plan_flatten(domain)

    def flatten(self, domain: str) -> list[Outcome]:
        """Copy all that a domain's disks stand on into its active overlays: its chains are one layer long then.

        Its checkpoints keep what they need. Takes as much space as the guest has data. Raises as `collapse`.
        """
        return self._thinning.flatten(domain)

    # ------------------------------------------------------------------ recover

    def recover(self, domain: str | None = None) -> list[Recovered]:
        """Settle the operations that were left unfinished; idempotent, and may itself be killed anywhere.

        Raises `Busy` when another process is at one of them, `Unfinished` when one can neither be
        done nor undone as things are; whatever it raises, the others have been settled.
        """
        uuid = self._survey.subject(domain).uuid if domain is not None else None
        return self._runner.recover(uuid)

    # ------------------------------------------------------------------ reading

    def list(self, domain: str | None = None) -> list[CheckpointSummary]:
        """The checkpoints of a domain, or of all domains of the host, oldest first."""
        uuid = self._survey.subject(domain).uuid if domain is not None else None
        return self._catalog.summaries(uuid)

    def show(self, domain: str, name: str) -> CheckpointDetails:
        subject = self._survey.subject(domain)
        checkpoint = self._survey.checkpoint(subject, name)
        head = self._catalog.head(checkpoint.domain_uuid)
        parent = self._catalog.checkpoint_by_id(checkpoint.parent_id) if checkpoint.parent_id else None
        freed = self._catalog.layers_freed_by(checkpoint.id)
        frozen = [layer for layer in checkpoint.layers.values() if layer.operation_id is not None]
        return CheckpointDetails(
            checkpoint=checkpoint,
            host=self._hypervisor.host,
            parent=parent.name if parent else None,
            current=head is not None and head.checkpoint_id == checkpoint.id,
            children=tuple(self._catalog.child_names(checkpoint.id)),
            exclusive_bytes=checkpoint.own_bytes + _allocation(freed),
            shared_bytes=_allocation(layer for layer in frozen if layer.path not in {each.path for each in freed}),
        )

    def usage(self, domain: str | None = None) -> Usage:
        """What the checkpoints of a domain, or of all, occupy on disk now: asked of the hypervisor."""
        uuid = self._survey.subject(domain).uuid if domain is not None else None
        return sum_up(gather(self._hypervisor, self._catalog, store=self._store, domain_uuid=uuid))

    def unfinished(self, domain: str | None = None) -> builtins.list[OperationRecord]:
        """The operations that are open now: under way, or left behind by a crash."""
        uuid = self._survey.subject(domain).uuid if domain is not None else None
        return self._catalog.unsettled(uuid)

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
        uuid = self._survey.subject(domain).uuid if domain is not None else None
        report = Verification(self._hypervisor, self._catalog, self._progress, deep=deep).run(
            self._catalog.summaries(uuid, name)
        )
        if name is not None and domain is not None and not report.checkpoints:
            self._survey.checkpoint(self._survey.subject(domain), name)  # which raises unless it is there
            raise Refused(f"checkpoint {name} is being deleted", hint=f"see: snapctl list {domain}")
        return report

    def doctor(self, *, clean: bool = False) -> builtins.list[Advice]:
        """Look at hypervisor, store, catalog and guests, and say what is amiss and what to do.

        With `clean`, directories of ours that nobody needs are deleted, and helper domains that a collapse left
        behind are ended; nothing else is ever changed.
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


def _allocation(layers: Iterable[Layer]) -> int:
    """What they took when they froze."""
    return sum(layer.allocation or 0 for layer in layers)


def _generated_name(operation_id: str) -> str:
    """A name that reads as a time and never recurs, as it has a part of the id in it."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{operation_id[:8]}"
