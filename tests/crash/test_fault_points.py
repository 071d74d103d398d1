"""Each fault at each named point of each operation, on each topology; then recovery, which may have a fault as well.

After whatever happened and one recovery without a fault, everything holds (`TwinHost.check`), the
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
from tests.crash.faults import AT_POINTS, HYPERVISOR_EFFECTS, Fault, Killed, Kind
from tests.crash.injectors import PointInjector
from tests.crash.topologies import SCENARIOS, Act, Scenario
from tests.crash.twin_host import TwinHost
from tests.twin.files import PLENTY


@dataclass
class FaultCount:
    """How many faults were injected, and the CPU time that all of it took."""

    faults: int = 0
    in_recovery: int = 0
    began: float = 0.0

    def line(self) -> str:
        seconds = process_time() - self.began
        return f"fault points: {self.faults} faults, and {self.in_recovery} in recoveries, in {seconds:.0f} s of CPU"


@pytest.fixture(scope="module")
def count(figure: Callable[[str], None]) -> Iterator[FaultCount]:
    count = FaultCount(began=process_time())
    yield count
    figure(count.line())


@dataclass(frozen=True)
class Prepared:
    """A scenario, and its host as it is before the act."""

    scenario: Scenario
    host: TwinHost
    count: FaultCount

    # ------------------------------------------------------------------ one client after the other

    def without_fault(self) -> PointInjector:
        """The act, when all goes well."""
        injector = PointInjector(self.host.world)
        self.scenario.act(self.host.session(injector))
        return injector

    def inject(self, fault: Fault, second: Fault | None = None) -> PointInjector | None:
        """The act under a fault, a recovery under the second if there is one, and a recovery that must do.

        Returns the injector of the last one; None when a fault had nothing to be injected into.
        """
        self.host.put_back()
        before = self.host.counter
        try:
            injectors = [self._act_under(self.scenario.act, fault)]
            stopped = bool(self.host.stopped_unrecorded())  # and nothing tells whether by us: so it stays
            if second is not None:
                injectors.append(self._act_under(Coordinator.recover, second))
            if not all(each.injected for each in injectors):
                return None
            self.host.world.files.free = PLENTY
            injector = PointInjector(self.host.world)
            self.host.session(injector).recover()
            lost = any(each.qemu_killed is self.scenario.state for each in injectors)
            self.require_sound(before, lost=lost or stopped or self._may_have_given_up(fault, second))
            assert not (stopped and self.host.guest.machine.active), "it was started, and nothing says why it was off"
        except BaseException as error:
            error.add_note(f"{self.scenario}: {fault}" + (f", then in the recovery {second}" if second else ""))
            raise
        self.count.faults += 1
        self.count.in_recovery += second is not None
        return injector

    def _may_have_given_up(self, *faults: Fault | None) -> bool:
        """A rollback that libvirt refuses more often than it is tried again is undone: the guest is off then."""
        often = any(fault is not None and fault.kind is Kind.TIMEOUT for fault in faults)
        return often and str(self.scenario).startswith("rollback")

    def _act_under(self, act: Act, fault: Fault) -> PointInjector:
        """Whatever leaves is an error of ours or a kill."""
        injector = PointInjector(self.host.world, fault)
        with suppress(Killed, SnapctlError):
            act(self.host.session(injector))
        self.host.expire_leases()
        require_effects_within_points(injector)
        return injector

    # ------------------------------------------------------------------ what must hold

    def require_sound(self, before: int, *, lost: bool) -> None:
        """`lost` says that the guest may be off: its QEMU died under it, when it was neither saved nor being brought
        back, or a rollback was given up after the stop, or undone as its stop was not recorded."""
        host = self.host
        active = host.guest.machine.active
        assert active or lost, "the guest is off"
        host.check(state=self.scenario.state if active else GuestState.OFF)
        assert not active or host.counter in (before, *host.counters.values())
        again = PointInjector(host.world)
        assert host.session(again).recover() == []
        assert again.effects == []


@pytest.fixture(scope="module", params=SCENARIOS, ids=str)
def prepared(request: pytest.FixtureRequest, quick_directory: Path, count: FaultCount) -> Iterator[Prepared]:
    scenario: Scenario = request.param
    host = scenario.prepare(quick_directory / f"{scenario}.sqlite")
    host.keep()
    yield Prepared(scenario, host, count)
    host.close()


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


CLAIM = ("make_directory", "create_file")
"""What makes a store the catalog's, before an operation is opened: `tests/cli/test_owner.py`."""


def require_effects_within_points(injector: PointInjector) -> None:
    """Whatever is changed on the hypervisor is changed between the two points of one step."""
    within: str | None = None
    claiming = injector.trace.index("open_operation") if "open_operation" in injector.trace else len(injector.trace)
    for number, each in enumerate(injector.trace):
        if number < claiming and each in CLAIM:
            continue
        if each.endswith(".before"):
            within = each.removesuffix("before")
        elif each.endswith(".after"):
            assert each.removesuffix("after") == within, injector.trace
            within = None
        elif each in HYPERVISOR_EFFECTS:
            assert within is not None, f"{each} is outside of all points: {injector.trace}"


# --------------------------------------------------------------------------- the tests


def test_fault_points_every_step_has_them_before_and_after(prepared: Prepared, stories: list[Story]) -> None:
    """Before and after its effect, and before and after what began of it is taken back."""
    prepared.host.put_back()
    injector = prepared.without_fault()
    require_effects_within_points(injector)
    steps = [step.name for step in stories[0].steps]
    assert injector.points == [f"{step}.{side}" for step in steps for side in ("before", "after")]

    recovery = prepared.inject(Fault(f"{steps[0]}.before", Kind.KILLED))
    assert recovery is not None
    assert recovery.points == [f"{steps[0]}.undo.{side}" for side in ("before", "after")]


def test_recover_each_fault_at_each_point_is_settled(prepared: Prepared, seed: str) -> None:
    """Each on one topology, and then with one kill in its recovery, as they are drawn."""
    for fault in faults(prepared):
        draw = Random(f"{seed}, {prepared.scenario.operation}, {fault}")
        if draw.choice(alternatives(prepared.scenario, fault)) == prepared.scenario:
            recovery = prepared.inject(fault)
            if recovery is not None and recovery.points:
                prepared.inject(fault, Fault(draw.choice(recovery.points), Kind.KILLED))


@pytest.mark.long
def test_recover_each_fault_at_each_point_also_of_recovery_is_settled(prepared: Prepared) -> None:
    """Many faults leave the same behind; what recovery comes to and does tells which."""
    courses: dict[tuple[str, ...], tuple[Fault, PointInjector]] = {}
    for fault in faults(prepared):
        if (recovery := prepared.inject(fault)) is not None:
            courses.setdefault(tuple(recovery.trace), (fault, recovery))
    for fault, recovery in courses.values():
        for second in faults_at(recovery.points):
            prepared.inject(fault, second)


def alternatives(scenario: Scenario, fault: Fault) -> list[Scenario]:
    """Those of the same operation that come to that point: a paused guest is not resumed."""
    same = [each for each in SCENARIOS if each.operation == scenario.operation]
    return [each for each in same if not each.topology.paused] if "resumed" in str(fault.where) else same


def faults(prepared: Prepared) -> list[Fault]:
    """At each point of the act."""
    prepared.host.put_back()
    return list(faults_at(prepared.without_fault().points))


def faults_at(points: Iterable[str]) -> Iterator[Fault]:
    return (Fault(*each) for each in product(points, AT_POINTS))
