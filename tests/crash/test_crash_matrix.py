"""Every fault at every call of checkpoint, rollback and delete; then recovery, and recovery again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from orchestrator.coordinator import Coordinator
from orchestrator.errors import SnapctlError
from orchestrator.model import Device, Disk, GuestState, Source
from orchestrator.operations.edit.plan import Edits
from tests.crash.faults import AT_CALLS, EFFECTS, Fault, Killed, Kind
from tests.crash.injectors import CallInjector
from tests.crash.twin_host import TwinHost

Act = Callable[[Coordinator], object]

CDROM = Disk(target="sda", device=Device.CDROM, source=Source(path="/iso/a.iso", format="raw"), readonly=True)


class MatrixCase:
    """A world made anew for each fault, what is done to it, and how the guest may stand afterwards."""

    def __init__(self, name: str, prepare: Callable[[Path], TwinHost], act: Act, *, paused: bool = False) -> None:
        self.name = name
        self.prepare = prepare
        self.act = act
        self.state = GuestState.PAUSED if paused else GuestState.RUNNING


def first(catalog: Path) -> TwinHost:
    return TwinHost(catalog, disks=1)


def paused(catalog: Path) -> TwinHost:
    host = TwinHost(catalog, others=[CDROM])
    host.guest.suspend()
    return host


def tree(catalog: Path) -> TwinHost:
    """a - b - c, and a second branch d on a, on which the guest stands."""
    host = TwinHost(catalog)
    for name in ("a", "b", "c"):
        host.checkpoint(name)
    host.rollback("a")
    host.checkpoint("d")
    return host


CASES = [
    MatrixCase("first checkpoint", first, lambda session: session.checkpoint("web01", "new")),
    MatrixCase("checkpoint paused", paused, lambda session: session.checkpoint("web01", "new"), paused=True),
    MatrixCase("checkpoint deep", tree, lambda session: session.checkpoint("web01", "new")),
    MatrixCase("rollback", tree, lambda session: session.rollback("web01", "b")),
    MatrixCase("rollback to own", tree, lambda session: session.rollback("web01")),
    MatrixCase("keep current", tree, lambda s: s.rollback("web01", "c", keep_current=True, keep_name="new")),
    MatrixCase("delete", tree, lambda session: session.delete("web01", ["c"])),
    MatrixCase("delete in the middle", tree, lambda session: session.delete("web01", ["b", "a"])),
    MatrixCase("delete what it stands on", tree, lambda session: session.delete("web01", ["d"])),
    MatrixCase("flatten", tree, lambda session: session.flatten("web01")),
    MatrixCase("edit", tree, lambda session: session.edit("web01", "d", Edits(description="other", protected=True))),
]


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case.name)
def prepared(request: pytest.FixtureRequest, quick_directory: Path) -> Iterator[tuple[MatrixCase, TwinHost, list[str]]]:
    """A case, its host as it is before the act, and the calls that the act makes when all goes well."""
    case: MatrixCase = request.param
    host = case.prepare(quick_directory / f"{case.name}.sqlite")
    host.counters["new"] = host.counter
    host.keep()
    injector = CallInjector()
    case.act(host.session(injector))
    host.check(state=case.state)
    host.check_rollbacks()
    yield case, host, injector.calls
    host.close()


EVERY = 6
FIRST_CALL = {Kind.ERROR_BEFORE: 1, Kind.ERROR_AFTER: 2, Kind.ERROR_FOREVER: 3, Kind.INTERRUPTED: 4}
"""The first call of the short run that gets a fault of the kind; then every sixth one does.

Each kind begins at another call, so that together they come to four of any six calls in a row.
"""


@pytest.mark.parametrize("kind", AT_CALLS)
def test_recover_fault_at_some_calls_is_settled(prepared: tuple[MatrixCase, TwinHost, list[str]], kind: Kind) -> None:
    """All kinds at all calls are the long run's. Here a kill after each call that changes something, as one after
    a look leaves what the last change left; and of each other kind every sixth call (`FIRST_CALL`).
    """
    _, _, calls = prepared
    changing = [number for number, call in enumerate(calls) if call in EFFECTS]
    numbers = changing if kind is Kind.KILLED else range(FIRST_CALL[kind], len(calls), EVERY)
    inject_and_recover(prepared, kind, numbers)


@pytest.mark.long
@pytest.mark.parametrize("kind", AT_CALLS)
def test_recover_fault_at_every_call_is_settled(prepared: tuple[MatrixCase, TwinHost, list[str]], kind: Kind) -> None:
    inject_and_recover(prepared, kind, range(len(prepared[2])))


def inject_and_recover(prepared: tuple[MatrixCase, TwinHost, list[str]], kind: Kind, numbers: Iterable[int]) -> None:
    case, host, calls = prepared
    for number in numbers:
        host.put_back()
        before = host.counter
        try:
            act_under(Fault(number, kind), host, case.act)
            host.recover()
            host.check(state=case.state)
            assert host.counter in (before, *host.counters.values())
            assert host.session().recover() == []
        except BaseException as error:
            error.add_note(f"{case.name}: {kind} call {number} ({calls[number]}) of {len(calls)}")
            raise
    host.put_back()


def act_under(fault: Fault, host: TwinHost, act: Act) -> None:
    """Act under a fault: whatever leaves is an error of ours, a kill, or an interrupt while nothing was open."""
    try:
        act(host.session(CallInjector(fault)))
    except (Killed, SnapctlError):
        pass
    except KeyboardInterrupt:
        assert not any(operation.members[0].completed for operation in host.session().unfinished())  # nothing was begun
    host.expire_leases()
