"""The store without its catalog: whenever that is lost, the manifests give it back, and nothing wrong comes with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from orchestrator.catalog import open_catalog
from orchestrator.coordinator import Coordinator
from orchestrator.errors import Refused
from orchestrator.model import Advice, Checkpoint, CheckpointDetails, Level
from orchestrator.operations.edit.plan import Edits
from orchestrator.reports.doctor import examine
from orchestrator.reports.doctor.orphans import SETTLED_AFTER
from orchestrator.store.ownership import Ownership
from tests.crash.faults import Fault, Killed, Kind
from tests.crash.injectors import CallInjector
from tests.crash.twin_host import STORE, TwinHost
from tests.twin import TwinHypervisor

Act = Callable[[Coordinator], object]

EDITS = Edits(
    description="öther", tags=("u",), expires=datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=UTC), protected=True
)

ACTS: dict[str, Act] = {
    "checkpoint": lambda session: session.checkpoint("web01", "new", tags=("t",), description="wörds"),
    "rollback": lambda session: session.rollback("web01", "b"),
    "delete": lambda session: session.delete("web01", ["c"]),
    "edit": lambda session: session.edit("web01", "d", EDITS),
}

_numbers = count()


@pytest.fixture(scope="module")
def host(quick_directory: Path) -> Iterator[TwinHost]:
    """a - b - c, and a second branch d on a, on which the guest stands."""
    host = TwinHost(quick_directory / "tells.sqlite")
    for name in ("a", "b", "c"):
        host.checkpoint(name)
    host.rollback("a")
    host.checkpoint("d")
    host.counters["new"] = host.counter
    host.keep()
    yield host
    host.close()


@pytest.fixture
def another(host: TwinHost, quick_directory: Path) -> Iterator[Callable[[], Coordinator]]:
    """Makes clients with a new catalog."""
    made = []

    def make() -> Coordinator:
        catalog = open_catalog(f"sqlite:///{quick_directory}/another{next(_numbers)}.sqlite", host.world.host)
        made.append(Coordinator(TwinHypervisor(host.world), catalog, store=STORE))
        return made[-1]

    yield make
    for coordinator in made:
        coordinator.close()


def everything(session: Coordinator) -> tuple[list[Any], list[CheckpointDetails]]:
    """All that the catalog says. The domain XML of a memory image is another form of that of the running guest."""
    summaries = session.list()
    shown = [session.show("web01", each.name) for each in summaries]
    return summaries, [replace(each, checkpoint=_without_xml(each.checkpoint)) for each in shown]


def _without_xml(checkpoint: Checkpoint) -> Checkpoint:
    return replace(checkpoint, origin=replace(checkpoint.origin, domain_xml=""))


def calls_of(host: TwinHost, act: Act) -> list[str]:
    host.put_back()
    injector = CallInjector()
    act(host.session(injector))
    return injector.calls


def kill(host: TwinHost, act: Act, at: int) -> None:
    host.put_back()
    with pytest.raises(Killed):
        act(host.session(CallInjector(Fault(at, Kind.KILLED))))
    host.expire_leases()


def test_rebuild_catalog_lost_equals_the_lost_one(host: TwinHost, another: Callable[[], Coordinator]) -> None:
    host.put_back()
    rebuilt = another()
    done = rebuilt.adopt_store()
    assert (done.skipped, done.headless) == ((), ())
    assert everything(rebuilt) == everything(host.session())
    assert [each.name for each in done.checkpoints if each.current] == ["d"]


def test_rebuild_tree_pruned_and_collapsed_equals_the_lost_one(
    host: TwinHost, another: Callable[[], Coordinator]
) -> None:
    host.put_back()
    session = host.session()
    session.flatten("web01")
    session.checkpoint("web01", "flat")
    session.edit("web01", "d", Edits(description="edited"))
    session.rollback("web01", "c")
    session.delete("web01", ["a", "flat"])
    session.rollback("web01", "d")
    session.delete("web01", ["b"])
    host.counters["flat"] = host.counter
    rebuilt = another()
    done = rebuilt.adopt_store()
    assert (done.skipped, done.headless) == ((), ())
    assert everything(rebuilt) == everything(session)
    for name in ("c", "d"):
        rebuilt.rollback("web01", name)
        assert host.guest.agrees() and host.counter == host.counters[name]


def test_rebuild_new_operations_continue_from_the_lost_catalog(
    host: TwinHost, another: Callable[[], Coordinator]
) -> None:
    host.put_back()
    rebuilt = another()
    rebuilt.adopt_store()
    for name in ("b", "d", "a", "c"):
        rebuilt.rollback("web01", name)
        assert host.guest.agrees()
        assert host.counter == host.counters[name]
        host.guest.tick()
    rebuilt.checkpoint("web01", "later")
    rebuilt.rollback("web01", "d")
    rebuilt.delete("web01", ["later", "c", "b"])
    assert [each.name for each in rebuilt.list()] == ["a", "d"]
    assert all(each.level is Level.OK for each in rebuilt.doctor())


def test_rebuild_catalog_in_use_is_refused(host: TwinHost, another: Callable[[], Coordinator]) -> None:
    host.put_back()
    before = everything(host.session())
    with pytest.raises(Refused, match="already has checkpoints"):
        host.session().rebuild_catalog()
    assert everything(host.session()) == before


some_calls = pytest.mark.parametrize(
    "every", [pytest.param(7, id="some calls"), pytest.param(1, marks=pytest.mark.long, id="every call")]
)
each_act = pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)


@some_calls
@each_act
def test_rebuild_killed_and_recovered_equals_the_catalog(
    host: TwinHost, another: Callable[[], Coordinator], act: Act, every: int
) -> None:
    for number, call in list(enumerate(calls_of(host, act)))[::every]:
        kill(host, act, number)
        host.session().recover()
        found = [each for each in host.session().doctor() if each.level is not Level.OK]
        rebuilt = another()
        done = rebuilt.adopt_store()
        assert everything(rebuilt) == everything(host.session()), f"killed at call {number}, {call}"
        assert (done.skipped, done.headless) == ((), ())
        assert not found, f"killed at call {number}, {call}: {found}"


@some_calls
@each_act
def test_rebuild_lost_during_operation_keeps_every_checkpoint(
    host: TwinHost, another: Callable[[], Coordinator], act: Act, every: int
) -> None:
    """The journal is lost, too. What is rebuilt can be rolled back to, and cleaning up takes nothing from it."""
    for number, call in list(enumerate(calls_of(host, act)))[::every]:
        kill(host, act, number)
        host.world.finish_job(host.guest.machine)
        images = [path for path in host.world.files.files if path.endswith(".save")]
        rebuilt = another()
        done = rebuilt.adopt_store()
        examined(host, rebuilt, clean=True)
        assert {"a", "b", "d"} <= {each.name for each in done.checkpoints}, f"killed at call {number}, {call}"
        for each in done.checkpoints:
            rebuilt.rollback("web01", each.name)
            assert host.guest.agrees(), f"killed at call {number}, {call}"
            assert host.counter == host.counters[each.name]
        examined(host, rebuilt, clean=True)
        assert [path for path in host.world.files.files if path.endswith(".save")] == images
        found = examined(host, rebuilt, clean=False)
        assert not [each for each in found if each.advice == "snapctl doctor --clean"], f"killed at call {number}"


def examined(host: TwinHost, session: Coordinator, *, clean: bool) -> list[Advice]:
    """What doctor would find some hours later."""
    later = datetime.now(UTC) + 2 * SETTLED_AFTER
    hypervisor, catalog = TwinHypervisor(host.world), session._catalog
    owner = Ownership(hypervisor, catalog, STORE)
    return examine(hypervisor, catalog, store=STORE, reserve_bytes=0, now=later, clean=clean, owner=owner)
