"""A catalog that is out of reach for seconds, at any of the calls of an operation: no guest stays off for it.

A server that restarts, a file that another process has locked for long, a file that was read-only for a moment.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from sqlalchemy import text

from orchestrator.catalog import database
from orchestrator.coordinator import Coordinator
from orchestrator.engine import run
from orchestrator.errors import CatalogError, SnapctlError, Unfinished
from tests.crash.faults import CATALOG_EFFECTS, Call, Fault, Kind
from tests.crash.injectors import CallInjector
from tests.crash.twin_host import TwinHost
from tests.waiting import wait_until

SHORT, FOR_GOOD = 5, 10**9
"""Looks at the catalog that fail."""


@dataclass
class Outage(CallInjector):
    """The catalog cannot be reached from the n-th of its effects on, with or without that effect."""

    number: int | None = None
    after_effect: bool = False
    looks: int = SHORT
    effects: int = 0
    out: bool = False

    def call(self, name: str, port_error: type[Exception], act: Callable[[], Any]) -> Any:
        if port_error is not CatalogError:
            return act()
        if name in CATALOG_EFFECTS and not self.in_transaction:
            self.effects += 1
            if self.effects - 1 == self.number:
                self.out = True
                if self.after_effect:
                    act()
        if self.out:
            raise CatalogError(f"no {name}: the server is restarting", may_pass=True)
        return act()

    def pause(self, _: float) -> None:
        """What the operation does between two looks."""
        assert self.out
        self.looks -= 1
        self.out = self.looks > 0


def checkpoint(session: Coordinator) -> None:
    session.checkpoint("web01", "next")


def rollback(session: Coordinator) -> None:
    session.rollback("web01", "one")


def delete(session: Coordinator) -> None:
    session.delete("web01", ["one"])


VERBS = (checkpoint, rollback, delete)


@pytest.fixture
def host(quick_directory: Path, tmp_path: Path) -> Iterator[TwinHost]:
    host = TwinHost(quick_directory / f"{tmp_path.name}.sqlite")
    host.checkpoint("one")
    host.checkpoint("two")
    host.counters["next"] = host.counter
    host.keep()
    yield host
    host.close()


def effects_of(host: TwinHost, verb: Callable[[Coordinator], None]) -> int:
    counting = Outage()
    verb(host.session(counting))
    host.put_back()
    return counting.effects


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.__name__)
@pytest.mark.parametrize("after_effect", [False, True], ids=["before", "after"])
def test_catalog_out_of_reach_for_seconds_operation_is_settled_by_itself(
    host: TwinHost, monkeypatch: pytest.MonkeyPatch, verb: Callable[[Coordinator], None], after_effect: bool
) -> None:
    total = effects_of(host, verb)
    done = 0
    assert total > 4
    for number in range(total):
        outage = Outage(number=number, after_effect=after_effect)
        monkeypatch.setattr(run, "sleep", outage.pause)
        counter = host.counter
        try:
            verb(host.session(outage))
            done += 1
        except Unfinished as error:
            pytest.fail(f"outage at effect {number}: {error}")
        except SnapctlError:
            if number == 0 and after_effect:  # nobody holds the operation that was opened: it is the next verb's
                host.expire_leases()
                host.session().recover()
            assert host.counter == counter, "the guest went back to another state, and the verb failed"
        outage.out = False
        host.check()
        host.put_back()
    assert done >= total - 2, "few succeeded in spite of an outage that ended"


def test_catalog_out_of_reach_for_good_is_given_up(host: TwinHost, monkeypatch: pytest.MonkeyPatch) -> None:
    outage = Outage(number=2, looks=FOR_GOOD)
    clock = iter(range(10**6))
    monkeypatch.setattr(run, "monotonic", lambda: float(next(clock)))
    monkeypatch.setattr(run, "sleep", outage.pause)
    with pytest.raises(Unfinished, match="the server is restarting"):
        checkpoint(host.session(outage))
    assert FOR_GOOD - outage.looks <= run.PATIENCE
    host.expire_leases()
    host.session().recover()
    host.check()


def test_catalog_failing_otherwise_is_not_waited_for(host: TwinHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "sleep", lambda _: pytest.fail("it waited"))
    with pytest.raises(Unfinished, match="injected at"):
        checkpoint(host.session(CallInjector(Fault(Call("complete", 3), Kind.ERROR_FOREVER))))
    host.expire_leases()
    host.session().recover()
    host.check()


@contextmanager
def locked(file: Path, seconds: float) -> Iterator[None]:
    """Another process writes to the catalog for so long."""
    held = Thread(target=_hold, args=(file, seconds), daemon=True)
    held.start()
    try:
        yield
    finally:
        held.join(30)


def _hold(file: Path, seconds: float) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(TimeoutError):
            wait_until(lambda: False, seconds)
        other.execute("ROLLBACK")


def test_sqlite_locked_for_longer_than_its_own_patience_may_pass(
    host: TwinHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real thing: SQLite's own error, seen as one that may pass, and waited for."""
    monkeypatch.setattr(database, "BUSY_TIMEOUT", 0.05)
    base = database.Database(f"sqlite:///{host.file}")
    with locked(host.file, 1.0):
        wait_until(lambda: _is_locked(host.file), 10)
        with pytest.raises(CatalogError, match="database is locked") as refused, base.write() as session:
            session.execute(text("SELECT 1"))
    base.close()
    assert refused.value.may_pass


def _is_locked(file: Path) -> bool:
    with closing(sqlite3.connect(file, isolation_level=None, timeout=0)) as other:
        try:
            other.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        other.execute("ROLLBACK")
        return False
