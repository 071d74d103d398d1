"""Run, settle, recover: the one way through which every operation enters and leaves.

An operation is a *story*: a plan and some steps. Each step has

    do       its effect, which may be begun anew at any time
    observe  "is it done?", asked of the world and not of memory: the evidence, or None
    undo     its effect taken back; harmless when there was none

The catalog holds the plan before the first effect, and the evidence of each step after it. A step
is thus in one of three states: recorded done, possibly begun (the first one not recorded), not
begun. A failure, a crash and an interrupt all leave by `settle()`: the story is asked whether it
is decided, that is, whether the world is beyond the point of no return. If so the remaining steps
are done, each observed first, as anybody may have acted since; else the begun ones are undone, and
that is recorded too: what was being undone is never taken up again. Settling is idempotent and may
itself be killed anywhere.
"""

from __future__ import annotations

import logging
from itertools import zip_longest
from time import monotonic

from ..errors import Busy, HypervisorError, Interrupted, SnapctlError, Unfinished
from ..model import OperationState, StepTime
from ..ports import Evidence, OpenOperation
from .story import FaultPoint, Step, Story, in_words

UNDOING = "undoing"
"""What the journal has in place of a step once an operation is being undone."""


log = logging.getLogger(__name__)


class Run:
    """One operation under way: a story, the lease on its domain, and what the journal has of it."""

    def __init__(self, story: Story, operation: OpenOperation, point: FaultPoint) -> None:
        self._story = story
        self._operation = operation
        self._point = point
        self._completed = list(operation.record.completed)
        self._opened = monotonic()
        self._began: dict[str, float] = {}
        self._ended: dict[str, float] = {}

    def carry_out(self) -> None:
        """Do all steps. Whatever goes wrong, the operation is settled before the error leaves."""
        try:
            self._story.premises()
            self._forward(settling=False)
            self._close(OperationState.DONE)
        except (Exception, KeyboardInterrupt) as cause:  # noqa: BLE001 - settled, then raised
            self._settle_after(cause)

    def settle(self, cause: Exception | None = None) -> OperationState:
        """Leave the operation done or undone. Raises `Unfinished` when neither is possible now."""
        try:
            state = self._settle(cause)
        except Busy:
            raise
        except (Exception, KeyboardInterrupt) as problem:
            if loss := self._loss():
                raise loss from problem
            if isinstance(problem, Unfinished):
                raise
            raise self._story.unfinished(in_words(problem)) from problem
        return state

    @property
    def times(self) -> tuple[StepTime, ...]:
        """How long each step of this run took, in the order in which they ended."""
        return tuple(StepTime(name=name, seconds=end - self._began[name]) for name, end in self._ended.items())

    def seconds(self) -> float:
        """From the durable intent to the end of the last step."""
        return max(self._ended.values(), default=self._opened) - self._opened

    def seconds_between(self, first: str, last: str) -> float | None:
        """From the beginning of one step to the end of another, if both were done in this run."""
        if first in self._began and last in self._ended:
            return self._ended[last] - self._began[first]
        return None

    # ------------------------------------------------------------------ settling

    def _settle_after(self, cause: Exception | KeyboardInterrupt) -> None:
        log.debug("settling after %r", cause)
        if isinstance(cause, Busy) and self._loss():
            raise cause
        interrupted = isinstance(cause, KeyboardInterrupt | Interrupted)
        reason = SnapctlError("interrupted") if isinstance(cause, KeyboardInterrupt) else cause
        state = self.settle(reason)
        if interrupted:
            raise Interrupted("interrupted", effect=_effect(state)) from cause
        if state is OperationState.UNDONE:
            raise self._story.undone(reason) from cause
        if not isinstance(cause, SnapctlError):
            raise cause  # a defect of ours: settled, but not to be hidden

    def _settle(self, cause: Exception | None) -> OperationState:
        if self._operation.record.step != UNDOING and self._story.decided():
            try:
                self._forward(settling=True)
            except Exception as failure:  # a defect of ours, too, must not keep a guest from running
                self._point("retreat.before")
                if self._loss() or not self._story.retreat():
                    raise
                self._point("retreat.after")
                cause = failure
            else:
                self._close(OperationState.DONE)
                return OperationState.DONE
        self._backward()
        self._close(OperationState.UNDONE, error=str(cause) if cause else None)
        return OperationState.UNDONE

    def _loss(self) -> Busy | None:
        """The refusal when somebody else has, or had, the operation: then how things stand is not for us to say."""
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
        remaining = self._story.steps[len(self._completed) :]
        for step, following in zip_longest(remaining, remaining[1:]):
            self._began.setdefault(step.name, monotonic())
            evidence = step.observe() if settling else None
            if evidence is None:
                evidence = self._do(step)
            self._operation.complete(step.name, evidence, following.name if following else None)
            self._completed.append(step.name)
            self._story.facts.update(evidence)
            self._ended[step.name] = monotonic()

    def _do(self, step: Step) -> Evidence:
        self._point(f"{step.name}.before")
        self._operation.check()  # as late as can be: whoever was frozen at the point finds out
        failure: HypervisorError | None = None
        try:
            step.do()
        except HypervisorError as error:
            failure = error  # an RPC error means unknown, not failed: look
        self._point(f"{step.name}.after")
        evidence = step.observe()
        if evidence is None:
            raise failure or HypervisorError(f"step {step.name} had no effect", effect="its outcome is unknown")
        return evidence

    def _backward(self) -> None:
        """Undo what may have begun, last first. An undo that fails leaves the journal row open."""
        begun = len(self._completed) + 1
        self._operation.enter(UNDOING)
        for step in reversed(self._story.steps[:begun]):
            self._point(f"{step.name}.undo.before")
            self._operation.check()
            step.undo()
            self._point(f"{step.name}.undo.after")

    def _close(self, state: OperationState, error: str | None = None) -> None:
        self._operation.close(state, error)


def _effect(state: OperationState) -> str:
    return "the operation was completed" if state is OperationState.DONE else "the operation was undone"
