"""A library below the command line that needs no hypervisor: the verbs of `Coordinator` over lists.

`python -m tests.cli.standin VERB ...` runs the command on a sample of it, to look at the output by eye.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

from orchestrator.cli import main
from orchestrator.errors import NotFound, Refused
from orchestrator.model import (
    Advice,
    After,
    CaptureMode,
    CheckpointDetails,
    CheckpointSummary,
    Finding,
    Labels,
    Layer,
    MemberRecord,
    NewOverlay,
    OperationKind,
    OperationRecord,
    OperationState,
    Origin,
    Outcome,
    Owner,
    Postponed,
    PruneReport,
    Rebuilt,
    Recovered,
    Skipped,
    StepTime,
    Usage,
    Verdict,
    VerifyReport,
)
from orchestrator.operations.checkpoint.plan import CheckpointPlan
from orchestrator.operations.collapse.plan import CollapsePlan
from orchestrator.operations.delete.plan import DeletePlan
from orchestrator.operations.edit.plan import EditPlan, Edits
from orchestrator.operations.prune.policy import Policy, decide
from orchestrator.operations.rollback.plan import RollbackPlan
from orchestrator.ports import Progress, silent

from . import values

if TYPE_CHECKING:
    from orchestrator.coordinator import Coordinator
    from orchestrator.settings import Settings


class StandIn:
    """Knows the domains it is given, and obeys the refusals that the command line can show."""

    def __init__(self, domains: Sequence[str] = ("web01",)) -> None:
        self.domains = domains
        self.checkpoints: list[CheckpointSummary] = []
        self.operations: list[OperationRecord] = []
        self.kept: str | None = None  # by the last rollback
        self.edits: list[tuple[str, Edits]] = []
        self.policies: list[Policy] = []
        self.left: list[Recovered] = []
        self.afters: list[After] = []
        self.recursive = False  # of the last deletion
        self.collapses = True  # after the last prune
        self.verified: list[tuple[str, bool]] = []  # checkpoint -> whether it was read whole
        self.findings: dict[str, tuple[Finding, ...]] = {}  # of checkpoints by name
        self.damage: str | None = None  # of every checkpoint that is shown
        self.advice: list[Advice] = []
        self.cleaned: list[bool] = []  # by each doctor
        self.skipped: tuple[Skipped, ...] = ()  # by a rebuild
        self.settings: list[Settings] = []
        self.during: Callable[[Progress], None] = lambda progress: None
        self._progress: Progress = silent

    def connect(self, settings: Settings, *, progress: Progress = silent) -> Coordinator:
        self.settings.append(settings)
        self._progress = progress
        return cast("Coordinator", self)

    def __enter__(self) -> StandIn:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress = silent

    def add(self, name: str, parent: str | None = None, **facts: object) -> None:
        """A checkpoint of the first domain, unless `facts` say of which; the domain stands on it then."""
        domain = str(facts.pop("domain", self.domains[0]))
        self._stand_on(domain, None)
        above = self._find(domain, parent) if parent else None
        known = values.summary(domain, name, above)
        self.checkpoints.append(replace(known, **facts))  # type: ignore[arg-type]

    # ------------------------------------------------------------------ changing verbs

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
        self._require(domain)
        overlay = NewOverlay(
            target="vda", path="/store/op/vda.qcow2", backing="/base.qcow2", backing_format="qcow2", capacity=values.GIB
        )
        return CheckpointPlan(
            operation_id="op",
            checkpoint_id="op",
            host=values.HOST,
            domain_uuid=domain,
            domain_name=domain,
            run_id=1,
            was_running=True,
            after=after,
            mode=CaptureMode.SAVE,
            labels=Labels(name=name or "generated", description=description, tags=tuple(tags)),
            origin=Origin(
                domain_xml="<domain/>",
                persistent=True,
                machine="pc",
                cpu="",
                emulator="/usr/bin/qemu",
                qemu_version=values.HOST.qemu_version,
                libvirt_version=values.HOST.libvirt_version,
            ),
            head=None,
            directory="/store/op",
            memory_path="/store/op/memory.save",
            disks=(),
            overlays=(overlay,),
            needed_bytes=256 * values.MIB,
            estimated_bytes=97 * values.MIB,
            free_bytes=60 * values.GIB,
        )

    def checkpoint(
        self,
        domain: str,
        name: str | None = None,
        *,
        description: str = "",
        tags: Sequence[str] = (),
        after: After = After.AS_SAVED,
        flatten: bool = False,
        expires: datetime | None = None,
    ) -> Outcome:
        self._require(domain)
        name = name or f"generated-{len(self.checkpoints) + 1}"
        if any(each.name == name for each in self.list(domain)):
            raise Refused(f"{domain} already has a checkpoint {name}", hint="take another name")
        self.during(self._progress)
        self.afters.append(after)
        here = next((each.name for each in self.list(domain) if each.current), None)
        self.add(name, here, domain=domain, description=description, tags=tuple(tags), expires=expires)
        return self._outcome(OperationKind.CHECKPOINT, domain, name)

    def plan_rollback(self, domain: str, name: str | None = None, *, after: After = After.AS_SAVED) -> RollbackPlan:
        wanted = self._wanted(domain, name)
        return RollbackPlan(
            operation_id="op",
            host=values.HOST,
            domain_uuid=domain,
            domain_name=domain,
            run_id=1,
            persistent=True,
            checkpoint_id=wanted.id,
            checkpoint_name=wanted.name,
            memory_path="/store/op/memory.save",
            was_running=True,
            after=after,
            directory="/store/op2",
            overlays=(),
            previous=(),
            defined=(),
            head=None,
            discards=("/store/op/vda.qcow2",),
        )

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
        wanted = self._wanted(domain, name)
        if verify:
            self.verify(domain, wanted.name, deep=True)
        kept = self.checkpoint(domain, keep_name).checkpoint if keep_current else None
        self.during(self._progress)
        self.afters.append(after)
        self._stand_on(domain, wanted.name)
        return replace(self._outcome(OperationKind.ROLLBACK, domain, wanted.name), kept=kept)

    def plan_undo(self, domain: str) -> RollbackPlan:
        return self.plan_rollback(domain, self._kept())

    def undo(self, domain: str, *, keep_current: bool = False, keep_name: str | None = None) -> Outcome:
        return self.rollback(domain, self._kept(), keep_current=keep_current, keep_name=keep_name)

    def _kept(self) -> str:
        if self.kept is None:
            raise Refused("there is nothing to undo", hint="only a rollback with --keep-current can be undone")
        return self.kept

    def push(self, domain: str, *, description: str = "") -> Outcome:
        return self.checkpoint(domain, f"push-{len(self.checkpoints)}", description=description)

    def plan_pop(self, domain: str) -> RollbackPlan:
        return self.plan_rollback(domain, self._pushed(domain))

    def pop(self, domain: str, *, keep: bool = False) -> Sequence[Outcome]:
        back = self.rollback(domain, self._pushed(domain))
        return [back] if keep else [back, *self.delete(domain, [back.checkpoint])]

    def _pushed(self, domain: str) -> str:
        for each in reversed(self.list(domain)):
            if each.name.startswith("push-"):
                return each.name
        raise Refused(f"nothing was pushed of {domain}", hint=f"run: snapctl push {domain}")

    def plan_edit(self, domain: str, name: str, edits: Edits) -> EditPlan:
        found = self._find(domain, name)
        before = Labels(name=name)
        return EditPlan(
            operation_id="op",
            host=values.HOST,
            domain_uuid=domain,
            domain_name=domain,
            checkpoint_id=found.id,
            maker_id=found.id,
            directory=f"/store/{found.id}",
            previous=before,
            labels=replace(before, name=edits.name or name, tags=edits.tags),
        )

    def edit(self, domain: str, name: str, edits: Edits) -> Outcome:
        self._find(domain, name)
        self.edits.append((name, edits))
        return replace(self._outcome(OperationKind.EDIT, domain, edits.name or name), downtime_s=None)

    def protect(self, domain: str, names: Sequence[str], *, protected: bool = True) -> Sequence[Outcome]:
        return [self.edit(domain, name, Edits(protected=protected)) for name in names]

    def plan_prune(self, domain: str | None, policy: Policy, *, now: datetime) -> PruneReport:
        self.policies.append(policy)
        domains = self.domains if domain is None else [domain]
        decisions = [each for name in domains for each in decide(self.list(name), policy, now, UTC)]
        return PruneReport(decisions=tuple(decisions))

    def prune(
        self, domain: str | None, policy: Policy, *, now: datetime, only: Collection[str], collapse: bool
    ) -> PruneReport:
        self.collapses = collapse
        plan = self.plan_prune(domain, policy, now=now)
        going = [each.checkpoint for each in plan.removed if each.checkpoint.id in only]
        self.checkpoints = [each for each in self.checkpoints if each not in going]
        done = [replace(self._outcome(OperationKind.DELETE, each.domain, each.name), downtime_s=None) for each in going]
        return replace(plan, outcomes=tuple(done))

    def plan_delete(self, domain: str, names: Sequence[str], *, recursive: bool = False) -> list[DeletePlan]:
        plans = []
        for wanted in [self._find(domain, name) for name in names]:
            self.recursive = recursive
            plans.append(
                DeletePlan(
                    operation_id="op",
                    host=values.HOST,
                    domain_uuid=domain,
                    domain_name=domain,
                    checkpoint_id=wanted.id,
                    checkpoint_name=wanted.name,
                    maker_id=wanted.id,
                    directory=f"/store/{wanted.id}",
                    memory_path=f"/store/{wanted.id}/memory.save",
                    sidecars=(),
                    layers=(),
                    freed_bytes=wanted.memory_bytes,
                )
            )
        return plans

    def delete(
        self, domain: str, names: Sequence[str], *, recursive: bool = False, collapse: bool = True
    ) -> list[Outcome]:
        plans = self.plan_delete(domain, names, recursive=recursive)
        gone = {plan.checkpoint_id for plan in plans}
        self.checkpoints = [each for each in self.checkpoints if each.id not in gone]
        return [
            replace(
                self._outcome(OperationKind.DELETE, domain, plan.checkpoint_name),
                downtime_s=None,
                freed_bytes=plan.freed_bytes,
            )
            for plan in plans
        ]

    def plan_collapse(self, domain: str | None = None) -> tuple[Any, Any]:
        waiting = Postponed(layer="/store/op2/vda.qcow2", reason="/store/op2/vda.qcow2 is in use", advice="later")
        return [self._collapse_plan(domain or "web01")], [waiting]

    def plan_flatten(self, domain: str) -> Any:
        return [self._collapse_plan(domain)]

    def collapse(self, domain: str | None = None) -> Any:
        return [self._pulled(OperationKind.COLLAPSE, domain or "web01")]

    def flatten(self, domain: str) -> Any:
        return [self._pulled(OperationKind.FLATTEN, domain)]

    def _pulled(self, kind: OperationKind, domain: str) -> Outcome:
        return replace(self._outcome(kind, domain, ""), downtime_s=None, layer="/store/op/vda.qcow2")

    def _collapse_plan(self, domain: str) -> CollapsePlan:
        self._require(domain)
        return CollapsePlan(
            operation_id="op2",
            host=values.HOST,
            domain_uuid=domain,
            domain_name=domain,
            layer=Layer(path="/store/op/vda.qcow2", target="vda", format="qcow2", capacity=1 << 30),
            drops=("/store/op1/vda.qcow2",),
            base=None,
            moved_bytes=4 << 20,
            helper_xml="<domain/>",
        )

    def recover(self, domain: str | None = None) -> list[Recovered]:
        recovered, self.left = self.left, []
        return recovered

    # ------------------------------------------------------------------ reading

    def list(self, domain: str | None = None) -> list[CheckpointSummary]:
        if domain is not None:
            self._require(domain)
        return [each for each in self.checkpoints if domain in (None, each.domain)]

    def show(self, domain: str, name: str) -> CheckpointDetails:
        details = values.details(self._find(domain, name))
        return replace(details, checkpoint=replace(details.checkpoint, damage=self.damage))

    def usage(self, domain: str | None = None) -> Usage:
        return values.usage(self.list(domain))

    def verify(self, domain: str | None = None, name: str | None = None, *, deep: bool = False) -> VerifyReport:
        wanted = self.list(domain) if name is None or domain is None else [self._find(domain, name)]
        self.verified += [(each.name, deep) for each in wanted]
        verdicts = [
            Verdict(domain=each.domain, name=each.name, id=each.id, findings=self.findings.get(each.name, ()))
            for each in wanted
        ]
        read = 2 * values.GIB if deep else 0
        return VerifyReport(checkpoints=tuple(verdicts), read_bytes=read, seconds=4.0)

    def unfinished(self, domain: str | None = None) -> Sequence[OperationRecord]:
        return [each for each in self.operations if domain in (None, each.members[0].domain_name)]

    # ------------------------------------------------------------------ looking after the whole

    def doctor(self, *, clean: bool = False) -> Sequence[Advice]:
        self.cleaned.append(clean)
        return self.advice

    def rebuild_catalog(self) -> Rebuilt:
        headless = [name for name in self.domains if not any(each.current for each in self.list(name))]
        return Rebuilt(checkpoints=tuple(self.checkpoints), headless=tuple(headless), skipped=self.skipped)

    # ------------------------------------------------------------------

    def _require(self, domain: str) -> None:
        if domain not in self.domains:
            raise NotFound(f"there is no domain {domain}", hint="see: virsh list --all")

    def _find(self, domain: str, name: str) -> CheckpointSummary:
        for each in self.list(domain):
            if each.name == name:
                return each
        raise NotFound(f"{domain} has no checkpoint {name}", hint=f"see: snapctl list {domain}")

    def _wanted(self, domain: str, name: str | None) -> CheckpointSummary:
        return self._find(domain, name) if name else next(each for each in self.list(domain) if each.current)

    def _stand_on(self, domain: str, name: str | None) -> None:
        self.checkpoints = [
            replace(each, current=each.name == name) if each.domain == domain else each for each in self.checkpoints
        ]

    def _outcome(self, kind: OperationKind, domain: str, name: str) -> Outcome:
        return Outcome(
            operation=kind,
            domain=domain,
            checkpoint=name,
            id=f"id-{name}",
            duration_s=0.84,
            downtime_s=0.61,
            steps=(StepTime(name="prepared", seconds=0.05), StepTime(name="saved", seconds=0.35)),
            recovered=tuple(self.recover(domain)),
        )


def sample() -> StandIn:
    """A domain with branches, and an operation that somebody left."""
    world = StandIn(("web01", "db"))
    ago = datetime.now(UTC) - timedelta(seconds=1)
    world.add("base", tags=("base", "debian"), created=ago - timedelta(days=3), description="fresh install")
    world.add("experiment", "base", created=ago - timedelta(hours=5))
    world.add("experiment-2", "experiment", created=ago - timedelta(hours=4), state="deleting")
    world.add("patched", "base", created=ago - timedelta(hours=2), description="all updates of May")
    world.add("before-test", "patched", created=ago - timedelta(minutes=3), state="unhashed")
    world.add("empty", domain="db", created=ago - timedelta(seconds=41), memory_bytes=3 * values.GIB)
    return world


def unfinished(kind: OperationKind = OperationKind.ROLLBACK, domain: str = "web01") -> OperationRecord:
    now = datetime.now(UTC)
    return OperationRecord(
        id="op-1",
        kind=kind,
        host_uuid=values.HOST.uuid,
        state=OperationState.OPEN,
        members=(
            MemberRecord(domain_uuid=domain, domain_name=domain, step="stopped", completed=("prepared",), plan={}),
        ),
        version=1,
        token=1,
        owner=Owner(user="ann", host="desk", boot_id="boot", pid=4711, pid_start="1"),
        opened=now - timedelta(minutes=2, seconds=1),
        lease_until=now,
    )


def slowly(progress: Progress) -> None:
    """Report as a save of a second and a half does."""
    logging.getLogger("orchestrator.standin").debug("a save begins")
    for tick in range(16):
        progress("save", tick * 20 * values.MIB, 300 * values.MIB)
        time.sleep(0.1)


if __name__ == "__main__":
    shown = sample()
    shown.operations.append(unfinished())
    shown.during = slowly
    sys.exit(main(connect=shown.connect))
