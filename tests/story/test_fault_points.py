"""Each fault at each named point of each operation, on each topology; then recovery, which may be struck as well.

After whatever happened and one recovery that nothing befell, everything holds (`Lab.check`), the
guest is at one of the instants it may be at, and a further recovery finds nothing to do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from random import Random
from time import process_time
from typing import Any

import pytest

from orchestrator.coordinator import Coordinator
from orchestrator.engine import runner
from orchestrator.engine.run import Run
from orchestrator.engine.story import Story
from orchestrator.errors import SnapctlError
from orchestrator.model import GuestState
from tests.story.faults import Killed
from tests.story.lab import Lab
from tests.story.strikes import HYPERVISOR_EFFECTS, Client, Fault, Strike
from tests.story.topologies import SCENARIOS, Act, Scenario
from tests.twin.files import PLENTY


@dataclass
class Tally:
    """How many faults have struck, and the CPU time that all of it took."""

    faults: int = 0
    in_recovery: int = 0
    began: float = 0.0

    def line(self) -> str:
        seconds = process_time() - self.began
        return f"fault points: {self.faults} faults, and {self.in_recovery} in recoveries, in {seconds:.0f} s of CPU"


@pytest.fixture(scope="module")
def tally(figure: Callable[[str], None]) -> Iterator[Tally]:
    tally = Tally(began=process_time())
    yield tally
    figure(tally.line())


@dataclass(frozen=True)
class Stage:
    """A scenario, and its lab as it is before the act."""

    scenario: Scenario
    lab: Lab
    tally: Tally

    # ------------------------------------------------------------------ one client after the other

    def calm(self) -> Client:
        """The act, when all goes well."""
        client = Client(self.lab.world)
        self.scenario.act(self.lab.session(client))
        return client

    def strike(self, fault: Fault, second: Fault | None = None) -> Client | None:
        """The act under a fault, a recovery under the second if there is one, and a recovery that must do.

        Returns the client of the last one; None when there was nothing for a fault to strike.
        """
        self.lab.put_back()
        before = self.lab.counter
        try:
            struck = [self._struck(self.scenario.act, fault)]
            if second is not None:
                struck.append(self._struck(Coordinator.recover, second))
            if not all(client.struck for client in struck):
                return None
            self.lab.world.files.free = PLENTY
            client = Client(self.lab.world)
            self.lab.session(client).recover()
            self.require_sound(before, lost=any(client.killed is self.scenario.state for client in struck))
        except BaseException as error:
            error.add_note(f"{self.scenario}: {fault}" + (f", then in the recovery {second}" if second else ""))
            raise
        self.tally.faults += 1
        self.tally.in_recovery += second is not None
        return client

    def _struck(self, act: Act, fault: Fault) -> Client:
        """Whatever leaves is an error of ours or a kill."""
        client = Client(self.lab.world, fault)
        with suppress(Killed, SnapctlError):
            act(self.lab.session(client))
        self.lab.bury()
        require_effects_within_points(client)
        return client

    # ------------------------------------------------------------------ what must hold

    def require_sound(self, before: int, *, lost: bool) -> None:
        """`lost` says that the guest's QEMU died under it, when it was neither saved nor being brought back."""
        lab = self.lab
        active = lab.guest.machine.active
        assert active or lost, "the guest is off"
        lab.check(state=self.scenario.state if active else GuestState.OFF)
        assert not active or lab.counter in (before, *lab.counters.values())
        again = Client(lab.world)
        assert lab.session(again).recover() == []
        assert again.effects == []


@pytest.fixture(scope="module", params=SCENARIOS, ids=str)
def stage(request: pytest.FixtureRequest, quick_directory: Path, tally: Tally) -> Iterator[Stage]:
    scenario: Scenario = request.param
    lab = scenario.prepare(quick_directory / f"{scenario}.sqlite")
    lab.keep()
    yield Stage(scenario, lab, tally)
    lab.close()


@pytest.fixture
def stories(monkeypatch: pytest.MonkeyPatch) -> list[Story]:
    """Every story that is run."""
    seen: list[Story] = []

    class SeenRun(Run):
        def __init__(self, stories: Sequence[Story], *arguments: Any) -> None:
            seen.extend(stories)
            super().__init__(stories, *arguments)

    monkeypatch.setattr(runner, "Run", SeenRun)
    return seen


def require_effects_within_points(client: Client) -> None:
    """Whatever is changed on the hypervisor is changed between the two points of one step."""
    within: str | None = None
    for each in client.trace:
        if each.endswith(".before"):
            within = each.removesuffix("before")
        elif each.endswith(".after"):
            assert each.removesuffix("after") == within, client.trace
            within = None
        elif each in HYPERVISOR_EFFECTS:
            assert within is not None, f"{each} is outside of all points: {client.trace}"


# --------------------------------------------------------------------------- the tests


def test_every_step_has_its_points(stage: Stage, stories: list[Story]) -> None:
    """Before and after its effect, and before and after what began of it is taken back."""
    stage.lab.put_back()
    client = stage.calm()
    require_effects_within_points(client)
    steps = [step.name for step in stories[0].steps]
    assert client.points == [f"{step}.{side}" for step in steps for side in ("before", "after")]

    recovery = stage.strike(Fault(f"{steps[0]}.before", Strike.KILL))
    assert recovery is not None
    assert recovery.points == [f"{steps[0]}.undo.{side}" for side in ("before", "after")]


def test_each_fault_at_each_point_is_settled(stage: Stage, seed: str) -> None:
    """Each on one topology, and then with one kill in its recovery, as they are drawn."""
    for fault in faults(stage):
        draw = Random(f"{seed}, {stage.scenario.operation}, {fault}")
        if draw.choice(alternatives(stage.scenario, fault)) == stage.scenario:
            recovery = stage.strike(fault)
            if recovery is not None and recovery.points:
                stage.strike(fault, Fault(draw.choice(recovery.points), Strike.KILL))


@pytest.mark.long
def test_every_fault_is_settled_and_so_is_every_fault_in_each_course_of_recovery(stage: Stage) -> None:
    """Many faults leave the same behind; what recovery comes to and does tells which."""
    courses: dict[tuple[str, ...], tuple[Fault, Client]] = {}
    for fault in faults(stage):
        if (recovery := stage.strike(fault)) is not None:
            courses.setdefault(tuple(recovery.trace), (fault, recovery))
    for fault, recovery in courses.values():
        for second in faults_at(recovery.points):
            stage.strike(fault, second)


def alternatives(scenario: Scenario, fault: Fault) -> list[Scenario]:
    """Those of the same operation that come to that point: a paused guest is not resumed."""
    same = [each for each in SCENARIOS if each.operation == scenario.operation]
    return [each for each in same if not each.topology.paused] if "resumed" in fault.point else same


def faults(stage: Stage) -> list[Fault]:
    """At each point of the act."""
    stage.lab.put_back()
    return list(faults_at(stage.calm().points))


def faults_at(points: Iterable[str]) -> Iterator[Fault]:
    return (Fault(*each) for each in product(points, Strike))
