"""Run, settle, recover: the one way through which every operation enters and leaves.

An operation has one member or several, each a *story* about one domain: a plan and some steps. Members take each
step together, one after the other. Each step has

    do       its effect, which may be started again at any time
    observe  "is it done?", asked of the world and not of memory: the evidence, or None
    undo     its effect undone; harmless when there was none

The catalog holds the plans before the first effect, and the evidence of each step, by name, after it. A step
is thus in one of three states: recorded done, possibly begun (the first one not recorded), not begun.

There is one decision for all members: it is recorded with what they commit, in one transaction, or when undoing
begins. A failure, a crash and an interrupt all leave by `settle()`. As long as nothing is decided, each story is
asked whether its part of the world is beyond the point of no return by what this operation did:

    all are               forward: the remaining steps are done, each observed first, as others may have acted since;
                          if that fails, undone as far as at least one of them can fall back, or all can give up
    none is               undone
    some are, or cannot   undone, if those that are beyond can fall back; else forward, if all others are as they were
    be determined         when the operation was begun; else undone: what time has made of a member is never discarded
                          for the others' sake

Forward is all or nothing. Undoing is each member's own: it falls back if it is beyond the point of no return, and its
begun steps are undone. What keeps one member from that keeps no other; it leaves the operation open, to be undone
further by the next recovery. Settling is idempotent and may itself be killed anywhere.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import monotonic, sleep

from ..errors import Busy, CatalogError, HypervisorError, Interrupted, SnapctlError, Unfinished
from ..model import Direction, OperationState, Ran, StepTime
from ..ports import Evidence, OpenOperation
from .story import Commit, FaultPoint, Step, Story, problem_of

log = logging.getLogger(__name__)

PATIENCE = 30.0
"""Seconds for which settling waits for a catalog that is out of reach: as long as for the hypervisor."""
PAUSE = 0.5
"""Seconds between two looks at it."""


class Member:
    """One story of an operation, and what the journal has of it."""

    def __init__(self, story: Story, completed: Sequence[str]) -> None:
        """Raises `CatalogError` when the journal has steps that the story does not."""
        self.story = story
        self.read(completed)

    def read(self, completed: Sequence[str]) -> None:
        self.completed = list(completed)
        known = [step.name for step in self.story.steps]
        if unknown := [name for name in completed if name not in known]:
            raise CatalogError(f"the journal has a step {unknown[0]}, which this version of snapctl does not know")

    @property
    def remaining(self) -> list[Step]:
        return [step for step in self.story.steps if step.name not in self.completed]

    @property
    def begun(self) -> list[Step]:
        """Those that may have had an effect: the completed ones, and the first that is not."""
        names = {*self.completed, *(step.name for step in self.remaining[:1])}
        return [step for step in self.story.steps if step.name in names]

    def after(self, step: Step) -> str | None:
        """The name of the step that follows, of those that remain."""
        names = [each.name for each in self.remaining]
        return next(iter(names[names.index(step.name) + 1 :]), None)


class Run:
    """One operation in progress: its members' stories, the lease on their domains, and how far they came."""

    def __init__(self, stories: Sequence[Story], operation: OpenOperation, point: FaultPoint) -> None:
        self._operation = operation
        self._members = [Member(story, operation.record.member(story.domain_uuid).completed) for story in stories]
        self._at = self._members[0]  # the member whose turn it is: an error is reported for it
        self._stuck: list[tuple[Member, Exception]] = []  # those that cannot be undone now, and why
        self._may_be_beyond = self._members  # the point of no return: to be brought back before they are undone
        self._point = point
        self.given_up: str | None = None  # why it was undone although it was beyond the point of no return
        self._opened = monotonic()
        self._began: dict[str, float] = {}
        self._ended: dict[str, float] = {}

    def execute(self) -> None:
        """Do all steps. Whatever goes wrong, the operation is settled before the error leaves."""
        try:
            for member in self._members:
                self._at = member
                member.story.check_preconditions()
            self._forward(settling=False)
            self._close(OperationState.DONE)
        except (Exception, KeyboardInterrupt) as cause:  # noqa: BLE001 - settled, then raised
            self._settle_after(cause)
        for caveat in self.caveats():
            raise caveat

    def caveats(self) -> list[SnapctlError]:
        """What was not done, of an operation that is done: what others did in between was left alone."""
        return [caveat for member in self._members if (caveat := member.story.caveat()) is not None]

    def losses(self) -> list[str]:
        """What was given up by undoing it, for people: others acted in between."""
        return [loss for member in self._members if (loss := member.story.loss()) is not None]

    def settle(self, cause: Exception | None = None, *, interrupted: bool = False) -> OperationState:
        """Leave the operation done or undone. Raises `Unfinished` when neither is possible now.

        An interrupt is raised, as `Interrupted`, once the operation is settled all the same; it only ends the settling
        when it is not the first (`interrupted`).
        """
        try:
            state = self._settle_patiently(cause, patience=0.0 if interrupted else PATIENCE)
        except Busy:
            raise
        except KeyboardInterrupt as interrupt:
            if not interrupted:
                self._stuck, self._may_be_beyond = [], self._members
                state = self.settle(cause, interrupted=True)
                raise self._with_states(Interrupted("interrupted", effect=self._became(state))) from interrupt
            if loss := self._loss():
                raise loss from interrupt
            raise self._with_states(self._at.story.unfinished_error(problem_of(interrupt))) from interrupt
        except Exception as problem:
            if loss := self._loss():
                raise loss from problem
            if isinstance(problem, Unfinished):
                self._with_states(problem)
                raise
            raise self._with_states(self._at.story.unfinished_error(problem_of(problem))) from problem
        return state

    def _became(self, state: OperationState) -> str:
        """Names the operation: it may be one of several of a verb."""
        return (
            f"the {self._operation.record.kind.label} was {'completed' if state is OperationState.DONE else 'undone'}"
        )

    def _with_states(self, error: SnapctlError) -> SnapctlError:
        """The error with what each guest is doing now."""
        error.effect = "; ".join((error.effect, *self.states()))
        return error

    def states(self) -> list[str]:
        """What each guest is doing now."""
        return list(dict.fromkeys(member.story.now() for member in self._members))

    def ran(self) -> Ran:
        """How long it took, from the durable intent to the end of the last step."""
        return Ran(
            seconds=max(self._ended.values(), default=self._opened) - self._opened,
            steps=tuple(StepTime(name=name, seconds=end - self._began[name]) for name, end in self._ended.items()),
            spans={name: (self._began[name], end) for name, end in self._ended.items()},
            kept={each.story.domain_uuid: each.story.kept() for each in self._members},
        )

    # ------------------------------------------------------------------ settling

    def _settle_after(self, cause: Exception | KeyboardInterrupt) -> None:
        log.debug("settling after %r", cause)
        if isinstance(cause, Busy) and self._loss():
            raise cause
        interrupted = isinstance(cause, KeyboardInterrupt | Interrupted)
        reason = SnapctlError("interrupted") if isinstance(cause, KeyboardInterrupt) else cause
        state = self.settle(reason, interrupted=interrupted)
        if interrupted:
            raise self._with_states(Interrupted("interrupted", effect=self._became(state))) from cause
        if state is OperationState.UNDONE:
            raise self._with_states(self._at.story.undone_error(reason)) from cause
        if not isinstance(cause, SnapctlError):
            raise cause  # a defect of ours: settled, but not to be hidden

    def _settle_patiently(self, cause: Exception | None, *, patience: float) -> OperationState:
        """Settle, again and again while the catalog is out of reach: a guest is not to stay off for a server that
        restarts or a file that is locked for a moment."""
        deadline = monotonic() + patience
        while True:
            try:
                return self._settle(cause)
            except CatalogError as outage:
                if not outage.may_pass or monotonic() >= deadline:
                    raise
                log.debug("the catalog is out of reach: %s", outage)
                self._await_catalog(deadline)
                if (state := self._operation.record.state) is not OperationState.OPEN:
                    return state  # it was closed, and only the answer was lost
                self._stuck, self._may_be_beyond = [], self._members

    def _await_catalog(self, deadline: float) -> None:
        """Until it can be read; then what the journal has of this operation counts, not what was thought to be written.
        Raises `CatalogError` at the deadline."""
        while True:
            sleep(PAUSE)
            try:
                self._operation.reread()
            except CatalogError as outage:
                if not outage.may_pass or monotonic() >= deadline:
                    raise
            else:
                break
        for member in self._members:
            record = self._operation.record.member(member.story.domain_uuid)
            member.read(record.completed)
            member.story.results.update(record.results)

    def _settle(self, cause: Exception | None) -> OperationState:
        if self._direction() is Direction.FORWARD:
            try:
                self._forward(settling=True)
            except Exception as failure:  # a defect of ours, too, must not keep a guest from running
                if self._loss():
                    raise
                if not self._fall_back(self._members) and not self._may_give_up(failure):
                    self._raise_stuck()
                    raise
                cause = failure
                self.given_up = problem_of(failure)
            else:
                self._close(OperationState.DONE)
                return OperationState.DONE
        self._backward()
        self._close(OperationState.UNDONE, error=str(cause) if cause else None)
        return OperationState.UNDONE

    def _direction(self) -> Direction:
        """The decision that is recorded, or that the world has come to. All members go the same way."""
        if (decided := self._operation.record.decision) is not None:
            return decided
        beyond, before, doubts = self._asked()
        self._may_be_beyond = beyond
        if doubts and not (beyond or before):
            self._at, doubt = doubts[0]
            raise doubt
        if not beyond:
            return Direction.UNDO
        if not before and not doubts:
            return Direction.FORWARD
        if all(member.story.may_fall_back() for member in beyond):
            return Direction.UNDO
        if doubts:
            self._at, doubt = doubts[0]
            raise doubt
        return Direction.FORWARD if all(member.story.may_advance() for member in before) else Direction.UNDO

    def _asked(self) -> tuple[list[Member], list[Member], list[tuple[Member, Unfinished]]]:
        """The members that are beyond the point of no return, those that are not, and those that cannot say."""
        beyond: list[Member] = []
        before: list[Member] = []
        doubts: list[tuple[Member, Unfinished]] = []
        for member in self._members:
            try:
                (beyond if member.story.is_past_no_return() else before).append(member)
            except Unfinished as doubt:
                doubts.append((member, doubt))
        return beyond, before, doubts

    def _fall_back(self, members: Sequence[Member]) -> bool:
        """Bring those that are beyond the point of no return back before it; whether that was done for any."""
        fell_back = False
        for member in members:
            with self._alone(member):
                if member.story.may_fall_back():
                    self._point("fall_back.before")
                    self._operation.check()
                    member.story.fall_back()
                    self._point("fall_back.after")
                    fell_back = True
        self._may_be_beyond = []
        return fell_back

    def _may_give_up(self, failure: Exception) -> bool:
        """Not for a catalog that fails: it will be there again, and then there is nothing to give up."""
        if self._stuck or isinstance(failure, CatalogError):
            return False
        return all(member.story.may_give_up() for member in self._members)

    @contextmanager
    def _alone(self, member: Member) -> Iterator[None]:
        """What goes wrong with this member keeps no other from its turn."""
        self._at = member
        try:
            yield
        except Busy:
            raise
        except Exception as problem:  # noqa: BLE001 - raised when all had their turn
            self._stuck.append((member, problem))

    def _raise_stuck(self) -> None:
        if self._stuck:
            self._at, problem = self._stuck[0]
            raise problem

    def _loss(self) -> Busy | None:
        """The refusal when another process has, or had, the operation: then its state is not ours to report."""
        try:
            self._operation.check()
        except Busy as busy:
            return busy
        except SnapctlError:
            return None  # unknown: each catalog update checks the token again
        return None

    # ------------------------------------------------------------------ steps

    def _forward(self, *, settling: bool) -> None:
        """Do the steps that are not recorded. When `settling`, any of them may have happened: look first."""
        while (name := self._next()) is not None:
            self._began.setdefault(name, monotonic())
            steps = [(member, step) for member in self._members for step in member.remaining if step.name == name]
            if all(isinstance(step, Commit) for _, step in steps):
                self._commit_together(steps, settling=settling)
            else:
                for member, step in steps:
                    self._at = member
                    evidence = step.observe() if settling else None
                    self._complete(member, step, self._do(step) if evidence is None else evidence)
            self._ended[name] = monotonic()

    def _next(self) -> str | None:
        """The name of the step to take now: no member takes a step before one that another has yet to take."""
        waiting = [[step.name for step in member.remaining] for member in self._members]
        firsts = [names[0] for names in waiting if names]
        return next((name for name in firsts if all(name not in names[1:] for names in waiting)), None)

    def _do(self, step: Step) -> Evidence:
        self._point(f"{step.name}.before")
        self._operation.check()  # as late as can be: whoever was frozen at the point finds out
        failure: HypervisorError | None = None
        try:
            step.do()
        except HypervisorError as error:
            failure = error  # an RPC error means unknown, not failed: look
        self._point(f"{step.name}.after")
        return _observed(step, failure)

    def _commit_together(self, steps: Sequence[tuple[Member, Step]], *, settling: bool) -> None:
        """All of them in one transaction, which is the decision: it holds for every member, or for none."""
        evidence = [step.observe() if settling else None for _, step in steps]
        if any(each is None for each in evidence):
            name = steps[0][1].name
            self._point(f"{name}.before")
            self._operation.check()
            failure: HypervisorError | None = None
            try:
                for _, step in steps:
                    assert isinstance(step, Commit)  # noqa: S101 - says so to the type checker
                    step.prepare()
                with self._operation.deciding():
                    for _, step in steps:
                        step.do()
            except HypervisorError as error:
                failure = error
            self._point(f"{name}.after")
            evidence = [_observed(step, failure) for _, step in steps]
        for (member, step), each in zip(steps, evidence, strict=True):
            assert each is not None  # noqa: S101 - observed
            self._complete(member, step, each)

    def _complete(self, member: Member, step: Step, evidence: Evidence) -> None:
        self._operation.complete(member.story.domain_uuid, step.name, evidence, member.after(step))
        member.completed.append(step.name)
        member.story.results.update(evidence)

    def _backward(self) -> None:
        """Undo what may have begun, last first. An undo that fails leaves the journal row open."""
        self._operation.decide(Direction.UNDO)
        self._fall_back(self._may_be_beyond)
        begun = {id(member): member.begun for member in self._members}
        most = max(len(steps) for steps in begun.values())
        for position in reversed(range(most)):
            for member in reversed(self._members):
                if position < len(begun[id(member)]) and all(member is not stuck for stuck, _ in self._stuck):
                    with self._alone(member):
                        self._undo(begun[id(member)][position])
        self._raise_stuck()

    def _undo(self, step: Step) -> None:
        self._point(f"{step.name}.undo.before")
        self._operation.check()
        step.undo()
        self._point(f"{step.name}.undo.after")

    def _close(self, state: OperationState, error: str | None = None) -> None:
        self._operation.close(state, error)


def _observed(step: Step, failure: HypervisorError | None) -> Evidence:
    evidence = step.observe()
    if evidence is None:
        raise failure or HypervisorError(f"step {step.name} had no effect", effect="its outcome is unknown")
    return evidence
