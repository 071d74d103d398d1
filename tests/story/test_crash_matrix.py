"""Every fault at every call of checkpoint, rollback and delete; then recovery, and recovery again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from orchestrator.coordinator import Coordinator
from orchestrator.errors import SnapctlError
from orchestrator.model import Device, Disk, GuestState, Source
from orchestrator.operations.edit.plan import Edits
from tests.story.faults import Faults, Killed, Kind
from tests.story.lab import Lab
from tests.story.strikes import EFFECTS

Act = Callable[[Coordinator], object]

CDROM = Disk(target="sda", device=Device.CDROM, source=Source(path="/iso/a.iso", format="raw"), readonly=True)


class Scenario:
    """A world made anew for each fault, what is done to it, and how the guest may stand afterwards."""

    def __init__(self, name: str, prepare: Callable[[Path], Lab], act: Act, *, paused: bool = False) -> None:
        self.name = name
        self.prepare = prepare
        self.act = act
        self.state = GuestState.PAUSED if paused else GuestState.RUNNING


def first(catalog: Path) -> Lab:
    return Lab(catalog, disks=1)


def paused(catalog: Path) -> Lab:
    lab = Lab(catalog, others=[CDROM])
    lab.guest.suspend()
    return lab


def tree(catalog: Path) -> Lab:
    """a - b - c, and a second branch d on a, on which the guest stands."""
    lab = Lab(catalog)
    for name in ("a", "b", "c"):
        lab.checkpoint(name)
    lab.rollback("a")
    lab.checkpoint("d")
    return lab


SCENARIOS = [
    Scenario("first checkpoint", first, lambda session: session.checkpoint("web01", "new")),
    Scenario("checkpoint paused", paused, lambda session: session.checkpoint("web01", "new"), paused=True),
    Scenario("checkpoint deep", tree, lambda session: session.checkpoint("web01", "new")),
    Scenario("rollback", tree, lambda session: session.rollback("web01", "b")),
    Scenario("rollback to own", tree, lambda session: session.rollback("web01")),
    Scenario("keep current", tree, lambda s: s.rollback("web01", "c", keep_current=True, keep_name="new")),
    Scenario("delete", tree, lambda session: session.delete("web01", ["c"])),
    Scenario("delete in the middle", tree, lambda session: session.delete("web01", ["b", "a"])),
    Scenario("delete what it stands on", tree, lambda session: session.delete("web01", ["d"])),
    Scenario("flatten", tree, lambda session: session.flatten("web01")),
    Scenario("edit", tree, lambda session: session.edit("web01", "d", Edits(description="other", protected=True))),
]


@pytest.fixture(scope="module", params=SCENARIOS, ids=lambda scenario: scenario.name)
def prepared(request: pytest.FixtureRequest, quick_directory: Path) -> Iterator[tuple[Scenario, Lab, list[str]]]:
    """A scenario, its lab as it is before the act, and the calls that the act makes when all goes well."""
    scenario: Scenario = request.param
    lab = scenario.prepare(quick_directory / f"{scenario.name}.sqlite")
    lab.counters["new"] = lab.counter
    lab.keep()
    faults = Faults()
    scenario.act(lab.session(faults))
    lab.check(state=scenario.state)
    lab.check_rollbacks()
    yield scenario, lab, faults.calls
    lab.close()


@pytest.mark.parametrize("kind", list(Kind))
def test_a_fault_at_any_call_is_settled(prepared: tuple[Scenario, Lab, list[str]], kind: Kind) -> None:
    """A kill after each call that changes something, as one after a look leaves what the last change left.

    Of the other faults a sixth. All of them, at all calls, in the long run.
    """
    _, _, calls = prepared
    changing = [number for number, call in enumerate(calls) if call in EFFECTS]
    some = range(list(Kind).index(kind) % 6, len(calls), 6)
    strike_and_recover(prepared, kind, changing if kind is Kind.KILLED else some)


@pytest.mark.long
@pytest.mark.parametrize("kind", list(Kind))
def test_every_fault_at_every_call_is_settled(prepared: tuple[Scenario, Lab, list[str]], kind: Kind) -> None:
    strike_and_recover(prepared, kind, range(len(prepared[2])))


def strike_and_recover(prepared: tuple[Scenario, Lab, list[str]], kind: Kind, numbers: Iterable[int]) -> None:
    scenario, lab, calls = prepared
    for number in numbers:
        lab.put_back()
        before = lab.counter
        try:
            strike(lab, scenario.act, Faults(at=number, kind=kind))
            lab.session().recover()
            lab.check(state=scenario.state)
            assert lab.counter in (before, *lab.counters.values())
            assert lab.session().recover() == []
        except BaseException as error:
            error.add_note(f"{scenario.name}: {kind} call {number} ({calls[number]}) of {len(calls)}")
            raise
    lab.put_back()


def strike(lab: Lab, act: Act, faults: Faults) -> None:
    """Act under a fault: whatever leaves is an error of ours, a kill, or an interrupt while nothing was open."""
    try:
        act(lab.session(faults))
    except (Killed, SnapctlError):
        pass
    except KeyboardInterrupt:
        assert not any(operation.members[0].completed for operation in lab.session().unfinished())  # nothing was begun
    lab.bury()
