"""The same on a PostgreSQL server, whose transactions run side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from threading import Barrier, Thread

import pytest
from sqlalchemy import text

from orchestrator.catalog import SqlCatalog, backup, info, journal, open_catalog, upgrade
from orchestrator.catalog.database import Database
from orchestrator.catalog.schema import NEWEST
from orchestrator.errors import Busy, CatalogError, Refused
from orchestrator.model import MemberRecord, OperationKind, OperationState
from tests.waiting import PATIENCE, join

from ..migrations.test_migrations import go_to, structure
from . import postgresql
from .catalog_samples import HOST, SampleDomain, base

SEVERAL = 6


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    binaries = postgresql.programs()
    if binaries is None:
        pytest.skip("this machine has no PostgreSQL: apt-get install postgresql")
    with postgresql.server(binaries) as url:
        yield url


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    database = Database(url)
    with database.write() as session:
        session.execute(text("DROP SCHEMA public CASCADE"))
        session.execute(text("CREATE SCHEMA public"))
    yield database
    database.close()


@pytest.fixture
def catalog(url: str, database: Database) -> Iterator[SqlCatalog]:
    catalog = open_catalog(url, HOST)
    yield catalog
    catalog.close_connection()


def at_once(what: Callable[[int], str]) -> list[str]:
    """What several threads get that begin together: an answer, or the name of an error."""
    answers: list[str] = []
    barrier = Barrier(SEVERAL)

    def run(number: int) -> None:
        barrier.wait(PATIENCE)
        try:
            answers.append(what(number))
        except Exception as error:  # noqa: BLE001 - the test looks at it
            answers.append(f"{type(error).__name__}: {error}")

    threads = [Thread(target=run, args=[number], daemon=True) for number in range(SEVERAL)]
    for thread in threads:
        thread.start()
    for thread in threads:
        join(thread)
    return sorted(answers)


def test_several_make_the_catalog_at_once(url: str, database: Database) -> None:
    def make(_: int) -> str:
        open_catalog(url, HOST).close_connection()
        return "made"

    assert at_once(make) == ["made"] * SEVERAL
    assert info(url).revision == NEWEST


def test_the_migrations_make_what_the_tables_say(url: str, database: Database) -> None:
    open_catalog(url, HOST).close_connection()
    made = structure(database)
    go_to(database, "base")
    go_to(database, "0001")
    with pytest.raises(CatalogError, match="older schema 0001"):
        open_catalog(url, HOST)
    done = upgrade(url)
    assert (done.before, done.after, done.backup) == ("0001", NEWEST, None)
    assert structure(database) == made


def test_catalog_on_postgresql_records_a_history(catalog: SqlCatalog) -> None:
    web = SampleDomain(catalog, disks=("vda", "vdb"))
    root = web.checkpoint("root", tags=("b", "a"))
    leaf = web.checkpoint("leaf")
    active = {layer.path for layer in web.tops.values()}
    assert set(web.rollback(root)) == active
    assert set(web.delete(leaf)) == {layer.path for layer in leaf.layers.values()}
    assert catalog.checkpoint_by_id(root.id) == root
    assert [row.name for row in catalog.summaries() if row.current] == ["root"]
    assert list(catalog.chain(web.tops["vda"].path)) == [web.tops["vda"], base()]


def test_open_operation_by_several_clients_one_succeeds(url: str, database: Database) -> None:
    catalogs = [open_catalog(url, HOST) for _ in range(SEVERAL)]

    def take(number: int) -> str:
        lease = catalogs[number].open_operation(
            operation_id=f"op{number}",
            kind=OperationKind.CHECKPOINT,
            version=1,
            members=[MemberRecord(domain_uuid="d", domain_name="web", plan={})],
        )
        return f"won with token {lease.record.token}"

    answers = at_once(take)
    assert sum(answer == "won with token 1" for answer in answers) == 1
    assert sum(answer.startswith("Busy: a checkpoint of web is in progress") for answer in answers) == SEVERAL - 1
    for catalog in catalogs:
        catalog.close_connection()


def test_take_over_by_several_clients_one_succeeds(catalog: SqlCatalog) -> None:
    SampleDomain(catalog).open().release()
    (seen,) = catalog.unsettled()
    answers = at_once(lambda _: f"won with token {catalog.take_over(seen).record.token}")
    assert sum(answer == "won with token 2" for answer in answers) == 1
    assert sum(answer.startswith("Busy") for answer in answers) == SEVERAL - 1


def test_domains_bring_the_base_they_share_at_once(url: str, database: Database) -> None:
    catalogs = [open_catalog(url, HOST) for _ in range(SEVERAL)]

    def freeze(number: int) -> str:
        world = SampleDomain(catalogs[number], f"web{number}", f"dom-{number}")
        world.tops = {"vda": base()}
        return world.checkpoint("a").layers["vda"].path

    assert at_once(freeze) == [base().path] * SEVERAL
    for catalog in catalogs:
        catalog.close_connection()


@pytest.mark.parametrize("round_", range(5))
def test_clones_freeze_a_layer_while_its_checkpoint_is_deleted(url: str, database: Database, round_: int) -> None:
    """Either a clone is seen, and the layer stays, or it comes later, and brings the layer itself."""
    catalogs = [open_catalog(url, HOST) for _ in range(SEVERAL)]
    web = SampleDomain(catalogs[0])
    root, leaf = web.checkpoint("root"), web.checkpoint("leaf")
    web.rollback(root)
    (layer,) = leaf.layers.values()
    forgotten: list[str] = []

    def delete_or_freeze(number: int) -> str:
        if number:
            clone = SampleDomain(catalogs[number], f"clone{number}", f"dom-{number + 1}")
            clone.tops = {"vda": layer}
            clone.checkpoint("a")
            return "frozen"
        lease = web.open(OperationKind.DELETE)
        lease.hide_checkpoint(leaf.id)
        free = [each.path for each in lease.withdraw_discards(web.uuid)]
        lease.forget_checkpoint(leaf.id)
        lease.forget_layers(free)
        web.close(lease)
        forgotten.extend(free)
        return "deleted"

    assert at_once(delete_or_freeze) == ["deleted", *["frozen"] * (SEVERAL - 1)]
    assert catalogs[0].layer(layer.path) is not None
    assert forgotten in ([], [layer.path])
    for catalog in catalogs:
        catalog.close_connection()


def test_changes_with_lost_lease_are_refused(catalog: SqlCatalog) -> None:
    stale = SampleDomain(catalog).open()
    stale.release()
    ours = catalog.take_over(stale.record)
    with pytest.raises(Busy):
        stale.complete("dom-1", "saved", {})
    with pytest.raises(Busy):
        stale.close(OperationState.DONE)
    with pytest.raises(Busy):
        stale.check()
    assert catalog.unsettled() == [ours.record]


def test_its_backup_is_its_administrators(url: str, catalog: SqlCatalog) -> None:
    with pytest.raises(Refused, match="on a database server"):
        backup(url, "/nowhere")


@pytest.mark.parametrize("hours", [-2, 2], ids=["late", "early"])
def test_end_of_a_lease_is_told_by_the_servers_clock(
    catalog: SqlCatalog, database: Database, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """Clients' clocks differ, and only the end of the lease tells of a process on another machine."""
    SampleDomain(catalog).open()
    with database.write() as session:
        session.execute(text("UPDATE operation SET owner_host = 'elsewhere'"))
    monkeypatch.setattr(journal, "now", lambda: datetime.now(UTC) + timedelta(hours=hours))

    (record,) = catalog.unsettled()
    assert not catalog.is_abandoned(record)
    with database.write() as session:
        session.execute(text("UPDATE operation SET lease_until = opened"))
    (record,) = catalog.unsettled()
    assert catalog.is_abandoned(record)


def test_lease_taken_while_our_clock_is_wrong_ends_when_it_should(
    catalog: SqlCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "now", lambda: datetime.now(UTC) + timedelta(hours=2))

    lease = SampleDomain(catalog).open()

    assert timedelta(seconds=50) < lease.record.lease_until - datetime.now(UTC) < timedelta(seconds=70)
