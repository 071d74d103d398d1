"""Leases: kept alive, given up, taken over, and never by two at once."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from orchestrator.catalog import LeaseTimes, SqlCatalog, leases, open_catalog
from orchestrator.errors import Busy, CatalogError
from orchestrator.model import OperationRecord, OperationState
from tests.children import Child, started_together
from tests.waiting import wait_until

from .catalog_samples import HOST, SampleDomain


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "catalog.db"


@contextmanager
def opened(file: Path, times: LeaseTimes | None = None) -> Iterator[SqlCatalog]:
    catalog = open_catalog(f"sqlite:///{file}", HOST, times)
    try:
        yield catalog
    finally:
        catalog.close_connection()


@pytest.fixture
def catalog(file: Path) -> Iterator[SqlCatalog]:
    with opened(file) as catalog:
        yield catalog


def the_operation(catalog: SqlCatalog) -> OperationRecord:
    (record,) = catalog.unsettled()
    return record


def tamper(file: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(statement, values)


# --------------------------------------------------------------------------- held


def test_a_new_lease_is_ours_for_a_minute(catalog: SqlCatalog) -> None:
    lease = SampleDomain(catalog).open()
    left = lease.record.lease_until - datetime.now(UTC)
    assert timedelta(seconds=55) < left <= timedelta(seconds=60)
    assert lease.record.owner.pid == os.getpid()
    lease.check()


def test_heartbeat_renews_the_lease(file: Path) -> None:
    with opened(file, LeaseTimes(ttl=60, beat=0.05, lost=45)) as catalog:
        lease = SampleDomain(catalog).open()
        first = lease.record.lease_until
        wait_until(lambda: the_operation(catalog).lease_until != first, what="a beat")
        assert the_operation(catalog).lease_until > first


def test_heartbeat_continues_after_catalog_outage(file: Path) -> None:
    with opened(file, LeaseTimes(ttl=60, beat=0.05, lost=45)) as catalog:
        SampleDomain(catalog).open()
        tamper(file, "ALTER TABLE operation RENAME TO hidden")
        time.sleep(0.3)
        tamper(file, "ALTER TABLE hidden RENAME TO operation")
        before = the_operation(catalog).lease_until
        wait_until(lambda: the_operation(catalog).lease_until != before, what="a beat")
        assert the_operation(catalog).lease_until > before


def test_check_overdue_heartbeat_renews_the_lease_first(file: Path) -> None:
    with opened(file, LeaseTimes(ttl=60, beat=600, lost=0)) as catalog:
        lease = SampleDomain(catalog).open()
        tamper(file, "UPDATE operation SET lease_until = '2020-01-01T00:00:00.000000+00:00'")
        lease.check()
        assert the_operation(catalog).lease_until > datetime.now(UTC) + timedelta(seconds=50)


def test_check_overdue_heartbeat_of_replaced_holder_is_refused(file: Path) -> None:
    with opened(file, LeaseTimes(ttl=60, beat=600, lost=0)) as catalog:
        lease = SampleDomain(catalog).open()
        tamper(file, "UPDATE operation SET token = 2")
        with pytest.raises(Busy, match="is in progress since"):
            lease.check()


def test_check_unreachable_catalog_raises(catalog: SqlCatalog, file: Path) -> None:
    lease = SampleDomain(catalog).open()
    tamper(file, "ALTER TABLE operation RENAME TO hidden")
    with pytest.raises(CatalogError):
        lease.check()
    tamper(file, "ALTER TABLE hidden RENAME TO operation")


# --------------------------------------------------------------------------- given up


def test_a_released_lease_can_be_taken_at_once_by_the_same_process(catalog: SqlCatalog) -> None:
    first = SampleDomain(catalog).open()
    first.complete("dom-1", "prepared", {"a": 1})
    first.release()
    first.release()
    with pytest.raises(Busy):
        first.check()

    second = catalog.take_over(the_operation(catalog))

    assert second.record.token == 2
    assert second.record.members[0].completed == ("prepared",)
    second.check()
    with pytest.raises(Busy):
        first.complete("dom-1", "saved", {})
    second.close(OperationState.DONE)


def test_closing_the_catalog_releases_its_leases(file: Path) -> None:
    with opened(file) as catalog:
        SampleDomain(catalog).open()
    with opened(file) as catalog:
        assert catalog.is_abandoned(the_operation(catalog))


def test_release_unreachable_catalog_is_allowed(catalog: SqlCatalog, file: Path) -> None:
    lease = SampleDomain(catalog).open()
    tamper(file, "ALTER TABLE operation RENAME TO hidden")
    lease.release()


def interrupt_once(monkeypatch: pytest.MonkeyPatch, owner: type, name: str, *, after: bool) -> list[str]:
    """Ctrl-C in the next call of that method, before or after its effect; where it was."""
    method = getattr(owner, name)
    interrupted: list[str] = []

    def call(self: object, *args: Any, **kwargs: Any) -> Any:
        if interrupted:
            return method(self, *args, **kwargs)
        interrupted.append(name)
        if after:
            method(self, *args, **kwargs)
        raise KeyboardInterrupt

    monkeypatch.setattr(owner, name, call)
    return interrupted


PLACES = [(leases.SqlLease, "__init__", False), (SqlCatalog, "_opened", True), (Thread, "start", True)]


@pytest.mark.parametrize(("owner", "name", "after"), PLACES, ids=["before lease", "before return", "thread start"])
def test_open_interrupted_after_commit_releases_the_row(
    file: Path, monkeypatch: pytest.MonkeyPatch, owner: type, name: str, after: bool
) -> None:
    with opened(file, LeaseTimes(ttl=60, beat=0.05, lost=45)) as catalog:
        interrupted = interrupt_once(monkeypatch, owner, name, after=after)
        with pytest.raises(KeyboardInterrupt):
            SampleDomain(catalog).open()
        assert interrupted
        time.sleep(0.2)  # several beats
        assert catalog.is_abandoned(the_operation(catalog))
        catalog.take_over(the_operation(catalog)).check()


def test_take_over_interrupted_after_commit_releases_the_row(
    catalog: SqlCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    SampleDomain(catalog).open().release()
    interrupt_once(monkeypatch, leases.SqlLease, "__init__", after=False)
    with pytest.raises(KeyboardInterrupt):
        catalog.take_over(the_operation(catalog))
    assert catalog.take_over(the_operation(catalog)).record.token == 3


def test_release_interrupted_while_heartbeat_ends_releases_the_row(
    catalog: SqlCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = SampleDomain(catalog).open()
    interrupted = interrupt_once(monkeypatch, Thread, "join", after=False)
    with pytest.raises(KeyboardInterrupt):
        lease.release()
    assert interrupted
    catalog.take_over(the_operation(catalog)).check()


# --------------------------------------------------------------------------- taken over


def test_expired_lease_of_a_living_process_stays_its_own(catalog: SqlCatalog, file: Path) -> None:
    """A clock that was set, a catalog out of reach, a process that was only stopped: it comes back."""
    SampleDomain(catalog).open()
    tamper(file, "UPDATE operation SET lease_until = '2020-01-01T00:00:00.000000+00:00'")
    with pytest.raises(Busy, match="wait until it ends"):
        catalog.take_over(the_operation(catalog))


def test_lease_without_end_of_a_gone_process_is_taken_over(catalog: SqlCatalog, file: Path) -> None:
    """The clock was set back since."""
    SampleDomain(catalog).open()
    tamper(file, "UPDATE operation SET lease_until = '2100-01-01T00:00:00.000000+00:00', owner_pid_start = '1'")
    catalog.take_over(the_operation(catalog)).check()


def test_a_living_owner_keeps_its_operation(catalog: SqlCatalog) -> None:
    lease = SampleDomain(catalog).open()
    with pytest.raises(Busy, match="wait until it ends"):
        catalog.take_over(the_operation(catalog))
    lease.check()


def test_an_owner_on_another_host_keeps_it_until_the_lease_ends(catalog: SqlCatalog, file: Path) -> None:
    SampleDomain(catalog).open()
    tamper(file, "UPDATE operation SET owner_host = 'elsewhere', owner_pid = 1, owner_boot_id = ''")
    with pytest.raises(Busy, match="@elsewhere, process 1"):
        catalog.take_over(the_operation(catalog))

    tamper(file, "UPDATE operation SET lease_until = ?", (datetime.now(UTC)).isoformat(timespec="microseconds"))
    assert catalog.take_over(the_operation(catalog)).record.owner.pid == os.getpid()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE operation SET owner_pid_start = '1'",
        "UPDATE operation SET owner_pid = 4194305",  # beyond what a kernel gives
    ],
)
def test_a_process_of_another_boot_or_start_is_not_taken_for_the_owner(
    catalog: SqlCatalog, file: Path, change: str
) -> None:
    SampleDomain(catalog).open()
    tamper(file, change)
    catalog.take_over(the_operation(catalog)).check()


def test_a_record_read_before_another_takeover_is_worth_nothing(catalog: SqlCatalog) -> None:
    SampleDomain(catalog).open().release()
    seen = the_operation(catalog)
    winner = catalog.take_over(seen)
    winner.release()
    with pytest.raises(Busy):
        catalog.take_over(seen)
    assert the_operation(catalog).token == 2


def test_take_over_settled_operation_is_refused(catalog: SqlCatalog) -> None:
    web = SampleDomain(catalog)
    lease = web.open()
    seen = the_operation(catalog)
    web.close(lease)
    with pytest.raises(Busy, match="was taken over by another process"):
        catalog.take_over(seen)
    with pytest.raises(CatalogError, match="not in the journal"):
        catalog.take_over(replace(seen, id="nobody"))


HOLD = """
import sys
from pathlib import Path
from orchestrator.catalog import open_catalog
from orchestrator.model import MemberRecord, OperationKind
from tests.unit.catalog_samples import HOST
catalog = open_catalog(sys.argv[1], HOST)
operation = catalog.open_operation(operation_id="theirs", kind=OperationKind.CHECKPOINT, version=1,
                                   members=[MemberRecord(domain_uuid="dom-1", domain_name="web", plan={"n": 1})])
operation.complete("dom-1", "prepared", {"a": 1})
print("held", flush=True)
sys.stdin.readline()
"""


@contextmanager
def another_holder(file: Path) -> Iterator[Child]:
    command = [sys.executable, "-c", HOLD, f"sqlite:///{file}"]
    with Child(command, listens=True) as process:
        assert process.hear() == "held"
        yield process


def test_the_operation_of_a_killed_process_is_taken_over_at_once(catalog: SqlCatalog, file: Path) -> None:
    with another_holder(file) as holder:
        with pytest.raises(Busy, match=f"process {holder.pid}, at step prepared"):
            catalog.take_over(the_operation(catalog))
        os.kill(holder.pid, signal.SIGSTOP)  # frozen is not gone
        with pytest.raises(Busy):
            catalog.take_over(the_operation(catalog))

        os.kill(holder.pid, signal.SIGKILL)
        # A zombie until its parent has waited for it: gone all the same.
        wait_until(lambda: holder.is_zombie)
        with pytest.raises(Busy, match="run: snapctl recover web"):
            SampleDomain(catalog).open()
        lease = catalog.take_over(the_operation(catalog))
        assert (lease.record.id, lease.record.token, lease.record.members[0].results) == ("theirs", 2, {"a": 1})


def test_take_over_by_several_processes_one_succeeds(file: Path) -> None:
    with opened(file) as catalog:
        SampleDomain(catalog).open().release()
        seen = the_operation(catalog)
    code = """
import sys, msgspec
from orchestrator.catalog import open_catalog
from orchestrator.errors import Busy
from tests.unit.catalog_samples import HOST
catalog = open_catalog(sys.argv[1], HOST)
(seen,) = catalog.unsettled()
print("ready", flush=True)
sys.stdin.readline()
try:
    catalog.take_over(seen)
    print("won", flush=True)
except Busy:
    print("busy", flush=True)
sys.stdin.readline()
"""
    with started_together(*[[sys.executable, "-c", code, f"sqlite:///{file}"]] * 4) as processes:
        answers = [process.hear() for process in processes]
    assert sorted(answers) == ["busy"] * 3 + ["won"]
    assert seen.token == 1
