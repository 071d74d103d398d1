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
from orchestrator.engine.story import Step, undone
from orchestrator.errors import HypervisorError, Interrupted, SnapctlError, Unfinished
from orchestrator.model import MemberRecord, OperationKind, OperationRecord, OperationState
from orchestrator.ports import Evidence, OpenOperation
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


class Killed(BaseException):
    """SIGKILL, as far as a test can: nobody settles anything after it."""


@dataclass
class World:
    """What a kill leaves. `events` is the order in which things happened or were asked."""

    effects: list[str] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    faults: dict[str, list[BaseException]] = field(default_factory=dict)
    retreats: bool = False
    witness: Callable[[str], None] = lambda event: None

    def reach(self, event: str) -> None:
        """Note the event; the next fault that is due there strikes."""
        self.events.append(event)
        self.witness(event)
        if self.faults.get(event):
            raise self.faults[event].pop(0)

    def count(self, event: str) -> int:
        return self.events.count(event)


class Story:
    """Implements `engine.story.Story` over a `World`."""

    domain_uuid = DOMAIN

    def __init__(self, world: World, facts: MutableMapping[str, Any]) -> None:
        self.world = world
        self.facts = facts

    @property
    def steps(self) -> tuple[Step, ...]:
        return tuple(
            Step(name, partial(self._do, name), partial(self._see, name), partial(self._undo, name)) for name in STEPS
        )

    def _do(self, name: str) -> None:
        self.world.reach(f"{name}.do")
        if name not in self.world.effects:
            self.world.effects.append(name)
        self.world.reach(f"{name}.done")

    def _see(self, name: str) -> Evidence | None:
        self.world.reach(f"{name}.observe")
        return {name: "seen"} if name in self.world.effects else None

    def _undo(self, name: str) -> None:
        self.world.reach(f"{name}.undo")
        if name in self.world.effects:
            self.world.effects.remove(name)

    def premises(self) -> None:
        self.world.reach("premises")

    def decided(self) -> bool:
        return PIVOT in self.world.effects

    def may_retreat(self) -> bool:
        return self.world.retreats

    def retreat(self) -> None:
        self.world.reach("retreat")
        self.world.effects.remove(PIVOT)

    def undone(self, cause: Exception) -> SnapctlError:
        return undone(cause, "web01")

    def unfinished(self, problem: str) -> Unfinished:
        return Unfinished(f"not finished: {problem}", effect="nothing is lost")


class Bench:
    """A catalog, a world, and an operation to carry out in it."""

    def __init__(self, catalog: SqlCatalog) -> None:
        self.catalog = catalog
        self.world = World()
        self.facts: dict[str, Any] = {}
        self.lease: OpenOperation = catalog.open_operation(
            operation_id=NEXT,
            kind=OperationKind.CHECKPOINT,
            version=1,
            members=[MemberRecord(domain_uuid=DOMAIN, domain_name="web01", plan={})],
        )

    def fail(self, event: str, *faults: BaseException) -> None:
        self.world.faults[event] = list(faults)

    def kill(self, event: str) -> None:
        """Carry it out, and be killed there."""
        self.fail(event, Killed())
        with pytest.raises(Killed):
            self.carry_out()

    def watch(self) -> dict[str, OperationRecord]:
        """From now on: the journal's row as it is at each event, as any other process reads it."""
        seen: dict[str, OperationRecord] = {}

        def note(event: str) -> None:
            (seen[event],) = self.catalog.unsettled(DOMAIN)

        self.world.witness = note
        return seen

    def run(self) -> Run:
        """As the coordinator does it: the story gets its facts from the journal row alone."""
        self.facts = dict(self.member.results)
        return Run([Story(self.world, self.facts)], self.lease, self.world.reach)

    def carry_out(self) -> None:
        try:
            self.run().carry_out()
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
        assert self.world.effects == list(STEPS)
        assert self.lease.record.state is OperationState.DONE
        assert self.member.completed == STEPS
        assert not self.is_open

    def assert_undone(self) -> None:
        assert self.world.effects == []
        assert self.lease.record.state is OperationState.UNDONE
        assert not self.is_open

    def assert_whole(self) -> None:
        """Done or undone, nothing between; the journal says which."""
        (self.assert_done if self.world.effects else self.assert_undone)()


def aborted() -> Interrupted:
    return Interrupted("the save was aborted")


def rpc_error() -> HypervisorError:
    return HypervisorError("End of file while reading data", hint="look at the daemon's log")
