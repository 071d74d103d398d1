"""The journal: intent before effect, one open operation per domain, and nothing for who lost the lease."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from orchestrator.catalog import SqlCatalog, open_catalog
from orchestrator.errors import Busy, CatalogError
from orchestrator.model import OperationKind, OperationRecord, OperationState
from orchestrator.ports import Lease

from .catalog_samples import HOST, SampleDomain


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "catalog.db"


@pytest.fixture
def catalog(file: Path) -> Iterator[SqlCatalog]:
    catalog = open_catalog(f"sqlite:///{file}")
    yield catalog
    catalog.close_connection()


@pytest.fixture
def web(catalog: SqlCatalog) -> SampleDomain:
    return SampleDomain(catalog)


# --------------------------------------------------------------------------- a row's life


def test_an_open_operation_is_unsettled_until_it_is_closed(catalog: SqlCatalog, web: SampleDomain) -> None:
    lease = web.open(OperationKind.ROLLBACK)

    (record,) = catalog.unsettled(HOST.uuid)
    assert record == lease.operation
    assert (record.kind, record.state, record.plan) == (OperationKind.ROLLBACK, OperationState.OPEN, {"why": "test"})
    assert (record.step, record.completed, record.facts, record.token) == ("", (), {}, 1)
    assert (record.host_uuid, record.domain_uuid, record.domain_name) == (HOST.uuid, "dom-1", "web")

    catalog.close(lease, OperationState.UNDONE, "no space")
    assert catalog.unsettled(HOST.uuid) == []


def test_unsettled_operations_are_oldest_first_by_host_and_domain(catalog: SqlCatalog) -> None:
    first = SampleDomain(catalog, "web", "dom-2").open()
    second = SampleDomain(catalog, "db", "dom-1").open()

    assert [record.id for record in catalog.unsettled(HOST.uuid)] == [first.operation.id, second.operation.id]
    assert [record.id for record in catalog.unsettled(HOST.uuid, "dom-1")] == [second.operation.id]
    assert catalog.unsettled("host-2") == []


def test_steps_and_facts_only_grow(catalog: SqlCatalog, web: SampleDomain) -> None:
    lease = web.open()
    catalog.enter(lease, "prepared")
    assert lease.operation.step == "prepared"
    assert lease.operation.completed == ()

    catalog.complete(lease, "prepared", {"files": ["a"], "was": 1}, entering="saved")
    assert [(row.step, row.completed) for row in catalog.unsettled(HOST.uuid)] == [("saved", ("prepared",))]
    catalog.complete(lease, "saved", {"was": 2})
    assert lease.operation.step == "saved"
    catalog.complete(lease, "prepared", {})

    (record,) = catalog.unsettled(HOST.uuid)
    assert record == lease.operation
    assert record.completed == ("prepared", "saved")
    assert record.facts == {"files": ["a"], "was": 2}
    assert record.plan == {"why": "test"}


def test_the_plan_keeps_the_models_values(catalog: SqlCatalog) -> None:
    plan = {"host": HOST, "kind": OperationKind.DELETE, "paths": ("/a", "/b")}
    lease = catalog.open_operation(
        operation_id="op", kind=OperationKind.DELETE, host=HOST, domain_uuid="d", domain_name="web", plan=plan
    )
    assert lease.operation.plan["host"]["libvirt_version"] == "9.0.0"
    assert lease.operation.plan["kind"] == "delete"
    assert lease.operation.plan["paths"] == ["/a", "/b"]


# --------------------------------------------------------------------------- one per domain


def test_the_second_operation_on_a_domain_is_told_who_has_it(catalog: SqlCatalog, web: SampleDomain) -> None:
    lease = web.open()
    with pytest.raises(Busy, match="in its first step"):
        web.open(OperationKind.ROLLBACK)
    catalog.enter(lease, "saved")

    with pytest.raises(Busy) as refusal:
        web.open(OperationKind.ROLLBACK)

    owner = lease.operation.owner
    assert f"{owner.user}@{owner.host}, process {owner.pid}, step saved" in refusal.value.problem
    assert "a checkpoint of web is under way since 20" in refusal.value.problem
    assert refusal.value.hint == "wait until it ends"
    assert len(str(refusal.value)) <= 200
    assert catalog.unsettled(HOST.uuid) == [lease.operation]


def test_who_is_refused_is_told_by_whom_although_that_one_ends_just_then(
    catalog: SqlCatalog, web: SampleDomain, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = web.open()
    unsettled = catalog.unsettled

    def end_first(*of: str) -> list[OperationRecord]:
        web.close(lease)
        return unsettled(*of)

    monkeypatch.setattr(catalog, "unsettled", end_first)

    with pytest.raises(Busy, match=f"process {lease.operation.owner.pid}"):
        web.open()


def test_other_domains_go_on_and_so_does_this_one_afterwards(catalog: SqlCatalog, web: SampleDomain) -> None:
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
from orchestrator.model import Host, OperationKind
catalog = open_catalog(sys.argv[1])
host = Host(uuid="h", name="h", uri="qemu:///system", libvirt_version="9", qemu_version="7")
print("ready", flush=True)
sys.stdin.readline()
try:
    catalog.open_operation(operation_id=sys.argv[2], kind=OperationKind.DELETE, host=host,
                           domain_uuid="d", domain_name="web", plan={})
    print("won", flush=True)
except Busy as busy:
    print(f"busy {busy.exit_code}", flush=True)
sys.stdin.readline()
"""


def test_of_several_processes_one_gets_the_domain(catalog: SqlCatalog, file: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, f"sqlite:///{file}", f"op{number}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(6)
    ]
    try:
        for process in processes:
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        answers = [process.stdout.readline() for process in processes if process.stdout]
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    assert sorted(answers) == ["busy 4\n"] * 5 + ["won\n"]
    assert len(catalog.unsettled("h")) == 1


# --------------------------------------------------------------------------- the fence

CHANGES: dict[str, Callable[[SampleDomain, Lease], object]] = {
    "enter": lambda web, lease: web.catalog.enter(lease, "saved"),
    "complete": lambda web, lease: web.catalog.complete(lease, "saved", {"a": 1}),
    "close": lambda web, lease: web.catalog.close(lease, OperationState.UNDONE, "too late"),
    "commit_checkpoint": lambda web, lease: web.catalog.commit_checkpoint(
        lease, web.value(lease, "late"), list(web.tops.values()), web.head([], None), []
    ),
    "commit_rollback": lambda web, lease: web.catalog.commit_rollback(lease, web.head([], None), []),
    "hide_checkpoint": lambda web, lease: web.catalog.hide_checkpoint(lease, "dom-1-op1"),
    "record_sha256": lambda web, lease: web.catalog.record_sha256(lease, "dom-1-op1", "ab"),
    "forget_layers": lambda web, lease: web.catalog.forget_layers(lease, ["/nowhere"]),
    "forget_checkpoint": lambda web, lease: web.catalog.forget_checkpoint(lease, "nobody"),
    "check": lambda _, lease: lease.check(),
}


def contents(file: Path) -> list[str]:
    with closing(sqlite3.connect(file)) as connection:
        return list(connection.iterdump())


@pytest.mark.parametrize("change", CHANGES)
def test_who_lost_the_lease_changes_nothing(catalog: SqlCatalog, web: SampleDomain, file: Path, change: str) -> None:
    web.checkpoint("root")
    stale = web.open()
    with closing(sqlite3.connect(file)) as connection, connection:  # somebody took it over
        connection.execute("UPDATE operation SET token = token + 1 WHERE id = ?", [stale.operation.id])
    before = contents(file)

    with pytest.raises(Busy, match="is under way since") as busy:
        CHANGES[change](web, stale)

    assert busy.value.effect == "nothing more was changed"
    assert contents(file) == before


@pytest.mark.parametrize("change", CHANGES)
def test_a_settled_operation_changes_nothing(catalog: SqlCatalog, web: SampleDomain, file: Path, change: str) -> None:
    web.checkpoint("root")
    lease = web.open()
    web.close(lease)
    before = contents(file)

    with pytest.raises(Busy, match="is not ours any more") as busy:
        CHANGES[change](web, lease)

    assert busy.value.effect == "nothing more was changed"
    assert contents(file) == before


@pytest.mark.parametrize("state", [OperationState.DONE, OperationState.UNDONE])
def test_settling_an_operation_again_in_the_same_way_changes_nothing(
    catalog: SqlCatalog, web: SampleDomain, file: Path, state: OperationState
) -> None:
    """As after Ctrl-C between the commit and our knowing of it."""
    lease = web.open()
    catalog.close(lease, state, "the first word")
    before = contents(file)

    catalog.close(lease, state, "and another one")

    assert contents(file) == before
    assert (lease.operation.state, lease.operation.error) == (state, "the first word")


def test_settling_an_operation_that_its_new_owner_settled_is_refused(
    catalog: SqlCatalog, web: SampleDomain, file: Path
) -> None:
    stale = web.open()
    stale.release()
    (record,) = catalog.unsettled(HOST.uuid)
    catalog.close(catalog.take_over(record), OperationState.DONE)
    before = contents(file)

    with pytest.raises(Busy, match="is not ours any more"):
        catalog.close(stale, OperationState.DONE)

    assert contents(file) == before
