"""The journal: intent before effect, one open operation per domain, and nothing for who lost the lease."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from orchestrator.catalog import SqlCatalog, journal, open_catalog
from orchestrator.errors import Busy, CatalogError
from orchestrator.model import Direction, MemberRecord, OperationKind, OperationRecord, OperationState
from orchestrator.ports import OpenOperation
from tests.children import started_together
from tests.unit.catalog_samples import VERSION, of_another_host

from .catalog_samples import HOST, SampleDomain


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "catalog.db"


@pytest.fixture
def catalog(file: Path) -> Iterator[SqlCatalog]:
    catalog = open_catalog(f"sqlite:///{file}", HOST)
    yield catalog
    catalog.close_connection()


@pytest.fixture
def web(catalog: SqlCatalog) -> SampleDomain:
    return SampleDomain(catalog)


# --------------------------------------------------------------------------- a row's life


def test_an_open_operation_is_unsettled_until_it_is_closed(catalog: SqlCatalog, web: SampleDomain) -> None:
    lease = web.open(OperationKind.ROLLBACK)

    (record,) = catalog.unsettled()
    assert record == lease.record
    assert (record.kind, record.state, record.token) == (OperationKind.ROLLBACK, OperationState.OPEN, 1)
    assert (record.host_uuid, record.version, record.decision) == (HOST.uuid, VERSION, None)
    assert record.members == (MemberRecord(domain_uuid="dom-1", domain_name="web", plan={"why": "test"}),)

    lease.close(OperationState.UNDONE, "no space")
    assert catalog.unsettled() == []


def test_unsettled_operations_are_oldest_first_by_host_and_domain(catalog: SqlCatalog) -> None:
    first = SampleDomain(catalog, "web", "dom-2").open()
    second = SampleDomain(catalog, "db", "dom-1").open()

    assert [record.id for record in catalog.unsettled()] == [first.record.id, second.record.id]
    assert [record.id for record in catalog.unsettled("dom-1")] == [second.record.id]
    assert of_another_host(catalog).unsettled() == []


def test_steps_and_facts_only_grow(catalog: SqlCatalog, web: SampleDomain) -> None:
    lease = web.open()
    assert lease.record.member(web.uuid).completed == ()

    lease.complete(web.uuid, "prepared", {"files": ["a"], "was": 1}, entering="saved")
    assert [(row.members[0].step, row.members[0].completed) for row in catalog.unsettled()] == [
        ("saved", ("prepared",))
    ]
    lease.complete(web.uuid, "saved", {"was": 2})
    assert lease.record.member(web.uuid).step == "saved"
    lease.complete(web.uuid, "prepared", {})

    (record,) = catalog.unsettled()
    assert record == lease.record
    (member,) = record.members
    assert member.completed == ("prepared", "saved")
    assert member.results == {"files": ["a"], "was": 2}
    assert member.plan == {"why": "test"}


def test_the_plan_keeps_the_models_values(catalog: SqlCatalog) -> None:
    plan = {"host": HOST, "kind": OperationKind.DELETE, "paths": ("/a", "/b")}
    lease = catalog.open_operation(
        operation_id="op",
        kind=OperationKind.DELETE,
        version=VERSION,
        members=[MemberRecord(domain_uuid="d", domain_name="web", plan=plan)],
    )
    kept = lease.record.member("d").plan
    assert kept["host"]["libvirt_version"] == "9.0.0"
    assert kept["kind"] == "delete"
    assert kept["paths"] == ["/a", "/b"]


# --------------------------------------------------------------------------- one per domain


def test_open_operation_refusal_names_the_holder(catalog: SqlCatalog, web: SampleDomain) -> None:
    lease = web.open()
    with pytest.raises(Busy, match="in its first step"):
        web.open(OperationKind.ROLLBACK)
    lease.complete(web.uuid, "prepared", {}, entering="saved")

    with pytest.raises(Busy) as refusal:
        web.open(OperationKind.ROLLBACK)

    owner = lease.record.owner
    assert f"{owner.user}@{owner.host}, process {owner.pid}, at step saved" in refusal.value.problem
    assert "a checkpoint of web is in progress since 20" in refusal.value.problem
    assert refusal.value.hint == f"wait until it ends, or end process {owner.pid} on {owner.host} if it hangs"
    assert len(str(refusal.value)) <= 220
    assert catalog.unsettled() == [lease.record]


def test_open_operation_refusal_names_holder_that_ends_just_then(
    catalog: SqlCatalog, web: SampleDomain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked for in the very transaction: whoever asks again finds nobody."""
    lease = web.open()
    unsettled = journal.unsettled
    asked: list[Any] = []

    def found_once(*of: Any) -> list[OperationRecord]:
        asked.append(of)
        return unsettled(*of) if len(asked) == 1 else []

    monkeypatch.setattr(journal, "unsettled", found_once)

    with pytest.raises(Busy, match=f"process {lease.record.owner.pid}"):
        web.open()


def test_open_operation_holds_its_own_domain_only(catalog: SqlCatalog, web: SampleDomain) -> None:
    lease = web.open()
    SampleDomain(catalog, "db", "dom-2").checkpoint("a")
    web.close(lease)
    web.checkpoint("a")


def test_the_same_id_twice_is_refused(catalog: SqlCatalog, web: SampleDomain) -> None:
    web.close(web.open())
    with pytest.raises(CatalogError, match="UNIQUE"):
        SampleDomain(catalog).open()


RACE = """
import sys
from orchestrator.catalog import open_catalog
from orchestrator.errors import Busy
from orchestrator.model import MemberRecord, OperationKind
from tests.unit.catalog_samples import HOST
catalog = open_catalog(sys.argv[1], HOST)
print("ready", flush=True)
sys.stdin.readline()
try:
    catalog.open_operation(operation_id=sys.argv[2], kind=OperationKind.DELETE, version=1,
                           members=[MemberRecord(domain_uuid="d", domain_name="web", plan={})])
    print("won", flush=True)
except Busy as busy:
    print(f"busy {busy.exit_code}", flush=True)
sys.stdin.readline()
"""


def test_open_operation_by_several_processes_one_succeeds(catalog: SqlCatalog, file: Path) -> None:
    commands = [[sys.executable, "-c", RACE, f"sqlite:///{file}", f"op{number}"] for number in range(6)]
    with started_together(*commands) as processes:
        answers = [process.hear() for process in processes]
    assert sorted(answers) == ["busy 4"] * 5 + ["won"]
    assert len(catalog.unsettled()) == 1


# --------------------------------------------------------------------------- the fence


def decided(lease: OpenOperation) -> None:
    with lease.deciding():
        pass


CHANGES: dict[str, Callable[[SampleDomain, OpenOperation], object]] = {
    "decide": lambda _, lease: lease.decide(Direction.UNDO),
    "deciding": lambda _, lease: decided(lease),
    "complete": lambda web, lease: lease.complete(web.uuid, "saved", {"a": 1}),
    "close": lambda web, lease: lease.close(OperationState.UNDONE, "too late"),
    "commit_checkpoint": lambda web, lease: lease.commit_checkpoint(
        web.value(lease, "late"), list(web.tops.values()), web.head([], None), []
    ),
    "commit_rollback": lambda web, lease: lease.commit_rollback(web.head([], None), []),
    "hide_checkpoint": lambda web, lease: lease.hide_checkpoint("dom-1-op1"),
    "record_sha256": lambda web, lease: lease.record_sha256("dom-1-op1", "ab"),
    "forget_layers": lambda web, lease: lease.forget_layers(["/nowhere"]),
    "forget_checkpoint": lambda web, lease: lease.forget_checkpoint("nobody"),
    "check": lambda _, lease: lease.check(),
}


def contents(file: Path) -> list[str]:
    with closing(sqlite3.connect(file)) as connection:
        return list(connection.iterdump())


@pytest.mark.parametrize("change", CHANGES)
def test_changes_with_lost_lease_are_refused(catalog: SqlCatalog, web: SampleDomain, file: Path, change: str) -> None:
    web.checkpoint("root")
    stale = web.open()
    with closing(sqlite3.connect(file)) as connection, connection:  # somebody took it over
        connection.execute("UPDATE operation SET token = token + 1 WHERE id = ?", [stale.record.id])
    before = contents(file)

    with pytest.raises(Busy, match="is in progress since") as busy:
        CHANGES[change](web, stale)

    assert busy.value.effect == "nothing more was changed"
    assert contents(file) == before


@pytest.mark.parametrize("change", CHANGES)
def test_a_settled_operation_changes_nothing(catalog: SqlCatalog, web: SampleDomain, file: Path, change: str) -> None:
    web.checkpoint("root")
    lease = web.open()
    web.close(lease)
    before = contents(file)

    with pytest.raises(Busy, match="was taken over by another process") as busy:
        CHANGES[change](web, lease)

    assert busy.value.effect == "nothing more was changed"
    assert contents(file) == before


@pytest.mark.parametrize("state", [OperationState.DONE, OperationState.UNDONE])
def test_settling_an_operation_again_in_the_same_way_changes_nothing(
    catalog: SqlCatalog, web: SampleDomain, file: Path, state: OperationState
) -> None:
    """As after Ctrl-C between the commit and our knowing of it."""
    lease = web.open()
    lease.close(state, "the first word")
    before = contents(file)

    lease.close(state, "and another one")

    assert contents(file) == before
    assert (lease.record.state, lease.record.error) == (state, "the first word")


def test_settling_an_operation_that_its_new_owner_settled_is_refused(
    catalog: SqlCatalog, web: SampleDomain, file: Path
) -> None:
    stale = web.open()
    stale.release()
    (record,) = catalog.unsettled()
    catalog.take_over(record).close(OperationState.DONE)
    before = contents(file)

    with pytest.raises(Busy, match="was taken over by another process"):
        stale.close(OperationState.DONE)

    assert contents(file) == before
