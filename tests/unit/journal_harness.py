"""One small story on a real catalog, with a place for a fault wherever there can be one.

The story has the steps `made → turned* → kept → told`; its world is a list of the effects that exist.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest

from orchestrator.catalog import SqlCatalog
from orchestrator.engine.run import Run
from orchestrator.engine.story import Step, undone_error
from orchestrator.errors import HypervisorError, Interrupted, SnapctlError, Unfinished
from orchestrator.model import MemberRecord, OperationKind, OperationRecord, OperationState
from orchestrator.ports import Evidence, OpenOperation
from tests.crash.faults import Killed, Kind
from tests.unit.builders import DOMAIN, NEXT

STEPS = ("made", "turned", "kept", "told")
PIVOT = "turned"
BEFORE_PIVOT = STEPS[: STEPS.index(PIVOT)]
FROM_PIVOT = STEPS[STEPS.index(PIVOT) :]
POINTS = [f"{step}.{side}" for step in STEPS for side in ("before", "after")]
UNDO_POINTS = [
    f"{step}.{moment}" for step in (PIVOT, *reversed(BEFORE_PIVOT)) for moment in ("undo.before", "undo", "undo.after")
]
"""In the order in which they are reached when the pivot fails."""


@dataclass
class Outside:
    """What is outside of snapctl, and outlives a kill. `events` is the order in which things happened or were asked."""

    effects: list[str] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    faults: dict[str, list[BaseException]] = field(default_factory=dict)
    retreats: bool = False
    observer: Callable[[str], None] = lambda event: None

    def reach(self, event: str) -> None:
        """Note the event; the next fault that is due there is injected."""
        self.events.append(event)
        self.observer(event)
        if self.faults.get(event):
            raise self.faults[event].pop(0)

    def count(self, event: str) -> int:
        return self.events.count(event)


class FourSteps:
    """Implements `engine.story.Story` over an `Outside`."""

    domain_uuid = DOMAIN

    def __init__(self, outside: Outside, results: MutableMapping[str, Any]) -> None:
        self.outside = outside
        self.results = results

    @property
    def steps(self) -> tuple[Step, ...]:
        return tuple(
            Step(name, partial(self._do, name), partial(self._see, name), partial(self._undo, name)) for name in STEPS
        )

    def _do(self, name: str) -> None:
        self.outside.reach(f"{name}.do")
        if name not in self.outside.effects:
            self.outside.effects.append(name)
        self.outside.reach(f"{name}.done")

    def _see(self, name: str) -> Evidence | None:
        self.outside.reach(f"{name}.observe")
        return {name: "seen"} if name in self.outside.effects else None

    def _undo(self, name: str) -> None:
        self.outside.reach(f"{name}.undo")
        if name in self.outside.effects:
            self.outside.effects.remove(name)

    def check_preconditions(self) -> None:
        self.outside.reach("check_preconditions")

    def is_past_no_return(self) -> bool:
        return PIVOT in self.outside.effects

    def loss(self) -> str | None:
        return None

    def may_advance(self) -> bool:
        return True

    def may_fall_back(self) -> bool:
        return self.outside.retreats and PIVOT in self.outside.effects

    def fall_back(self) -> None:
        self.outside.reach("fall_back")
        self.outside.effects.remove(PIVOT)

    def may_give_up(self) -> bool:
        return False

    def now(self) -> str:
        return "web01 is running"

    def kept(self) -> dict[str, str]:
        return {}

    def caveat(self) -> SnapctlError | None:
        return None

    def undone_error(self, cause: Exception) -> SnapctlError:
        return undone_error(cause, "web01")

    def unfinished_error(self, problem: str) -> Unfinished:
        return Unfinished(f"not finished: {problem}", effect="nothing is lost")


class JournalHarness:
    """A catalog, a world, and an operation to carry out in it."""

    def __init__(self, catalog: SqlCatalog) -> None:
        self.catalog = catalog
        self.outside = Outside()
        self.results: dict[str, Any] = {}
        self.lease: OpenOperation = catalog.open_operation(
            operation_id=NEXT,
            kind=OperationKind.CHECKPOINT,
            version=1,
            members=[MemberRecord(domain_uuid=DOMAIN, domain_name="web01", plan={})],
        )

    def fail(self, event: str, *faults: Kind | BaseException) -> None:
        """From now on the event has these faults, one each time: of a kind, or one particular error."""
        self.outside.faults[event] = [raised(each) if isinstance(each, Kind) else each for each in faults]

    def kill(self, event: str) -> None:
        """Carry it out, and be killed there."""
        self.fail(event, Kind.KILLED)
        with pytest.raises(Killed):
            self.execute()

    def watch(self) -> dict[str, OperationRecord]:
        """From now on: the journal's row as it is at each event, as any other process reads it."""
        seen: dict[str, OperationRecord] = {}

        def note(event: str) -> None:
            (seen[event],) = self.catalog.unsettled(DOMAIN)

        self.outside.observer = note
        return seen

    def run(self) -> Run:
        """As the coordinator does it: the story gets its results from the journal row alone."""
        self.results = dict(self.member.results)
        return Run([FourSteps(self.outside, self.results)], self.lease, self.outside.reach)

    def execute(self) -> None:
        try:
            self.run().execute()
        finally:
            self.lease.release()

    def recover(self) -> OperationState:
        (operation,) = self.catalog.unsettled(DOMAIN)
        self.lease = self.catalog.take_over(operation)
        try:
            return self.run().settle()
        finally:
            self.lease.release()

    @property
    def member(self) -> MemberRecord:
        return self.lease.record.member(DOMAIN)

    @property
    def is_open(self) -> bool:
        return bool(self.catalog.unsettled(DOMAIN))

    def assert_done(self) -> None:
        assert self.outside.effects == list(STEPS)
        assert self.lease.record.state is OperationState.DONE
        assert self.member.completed == STEPS
        assert not self.is_open

    def assert_undone(self) -> None:
        assert self.outside.effects == []
        assert self.lease.record.state is OperationState.UNDONE
        assert not self.is_open

    def assert_whole(self) -> None:
        """Done or undone, nothing between; the journal says which."""
        (self.assert_done if self.outside.effects else self.assert_undone)()


def aborted() -> Interrupted:
    return Interrupted("the save was aborted")


def raised(kind: Kind) -> BaseException:
    """What the kind raises in the client. An event is before the effect (`made.do`) or after it (`made.done`)."""
    match kind:
        case Kind.KILLED:
            return Killed()
        case Kind.INTERRUPTED:
            return KeyboardInterrupt()
        case Kind.ERROR_BEFORE | Kind.ERROR_AFTER:
            return HypervisorError("End of file while reading data", hint="look at the daemon's log")
        case _:
            raise ValueError(f"not a fault of the journal's events: {kind}")
