"""All that f92f7f5 wrote into catalogs and stores is carried over.

What the catalogs hold was read by the code of that commit and is compared value by value; the checkpoints are
rolled back to, and rebuilt from the manifests, on the in-memory hypervisor that they were made on.
"""

from __future__ import annotations

import json
import lzma
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import MetaData, Table, create_engine, insert, select, text
from sqlalchemy.engine import make_url

from orchestrator.catalog import SqlCatalog, open_catalog, upgrade
from orchestrator.catalog.database import Database
from orchestrator.catalog.schema import NEWEST
from orchestrator.coordinator import Coordinator
from orchestrator.errors import Refused
from orchestrator.model import Checkpoint
from tests.twin import Guest, TwinHypervisor, World
from tests.unit import postgresql

from . import old
from .fixtures import worlds
from .readback import Told, in_order, tell
from .test_migrations import go_to

STORE = "/store"
OLD = "0004"
KINDS = {"checkpoint", "rollback", "delete", "collapse", "flatten", "edit"}


def unpacked(name: str) -> bytes:
    return lzma.decompress((old.FIXTURES / f"{name}.xz").read_bytes())


def recorded(name: str) -> Told:
    """What f92f7f5 itself reads in a catalog."""
    return in_order(json.loads(unpacked(f"{name}.json")))


def hypervisors(dumped: bytes | str) -> list[World]:
    return [worlds.load(each) for each in json.loads(dumped)]


@pytest.fixture
def settled(tmp_path: Path) -> str:
    """The URL of a catalog without open operations."""
    return _placed(tmp_path, "settled")


@pytest.fixture
def unsettled(tmp_path: Path) -> str:
    """The URL of a catalog with every kind of operation, open at every step."""
    return _placed(tmp_path, "open")


def _placed(folder: Path, name: str) -> str:
    file = folder / f"{name}.sqlite"
    file.write_bytes(unpacked(f"{name}.sqlite"))
    return f"sqlite:///{file}"


def upgraded(url: str) -> None:
    done = upgrade(url)
    assert (done.before, done.after) == (OLD, NEWEST)


def contents(url: str) -> list[str]:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as database:
        return list(database.iterdump())


# --------------------------------------------------------------------------- what the fixtures hold


def test_the_fixtures_have_every_kind_of_value() -> None:
    told, unsettled = recorded("settled"), recorded("open")
    assert len({each["uuid"] for each in told["hosts"]}) == 2
    names = [(each["host_uuid"], each["name"]) for each in told["domains"]]
    assert len(names) > len(set(names)), "no two domains of one name"
    both = {what: [*told[what], *unsettled[what]] for what in told}
    for what, values in both.items():
        for field in values[0]:
            assert any(each[field] not in (None, "", [], {}, False) for each in values), f"{what}: {field} is never set"
    checkpoints = both["checkpoints"]
    assert {each["state"] for each in checkpoints} == {"ready", "deleting"}
    assert {each["state"] for each in both["summaries"]} == {"ready", "deleting", "damaged", "unhashed"}
    assert {each["persistent"] for each in checkpoints} == {each["memory"]["was_running"] for each in checkpoints}
    disks = [disk for each in checkpoints for disk in each["disks"]]
    assert {(disk["device"], disk["readonly"], disk["source_type"]) for disk in disks} == {
        ("disk", False, "file"),
        ("disk", True, "file"),
        ("cdrom", True, "file"),
        ("disk", False, "block"),
    }
    assert {disk["path"] for disk in disks if disk["device"] == "cdrom"} > {None}
    assert any(each["checkpoint_id"] is None for each in both["heads"])
    operations = both["operations"]
    assert {each["state"] for each in told["operations"]} == {"done", "undone"}
    assert {each["kind"] for each in operations if each["state"] == "open"} == KINDS
    for kind in KINDS:  # at each step that such an operation has, in its first one, and being undone
        of_it = [each for each in operations if each["kind"] == kind]
        longest = max((each["completed"] for each in of_it if each["state"] == "done"), key=len)
        steps = {each["step"] for each in of_it if each["state"] == "open"}
        assert steps >= {"", *longest[1:], "undoing"}, kind


# --------------------------------------------------------------------------- values


def test_everything_that_was_settled_reads_as_before(settled: str) -> None:
    upgraded(settled)
    _require_same(tell(settled), recorded("settled"))


def test_a_catalog_with_open_operations_is_refused_as_it_is(unsettled: str) -> None:
    before = contents(unsettled)
    with pytest.raises(Refused, match="66 unfinished operations") as refusal:
        upgrade(unsettled)
    assert refusal.value.hint is not None and "recover" in refusal.value.hint
    assert contents(unsettled) == before
    assert [each.name for each in Path(unsettled.removeprefix("sqlite:///")).parent.iterdir()] == ["open.sqlite"]


def test_open_operations_are_settled_by_the_old_one_and_carried_over(unsettled: str, tmp_path: Path) -> None:
    open_before = {each["id"] for each in recorded("open")["operations"] if each["state"] == "open"}
    expected, [world, _] = _settled_by_the_old_one(unsettled, tmp_path)
    states = {each["id"]: each["state"] for each in expected["operations"]}
    assert {states[id_] for id_ in open_before} == {"done", "undone"}
    upgraded(unsettled)
    _require_same(tell(unsettled), expected)
    _require_rollbacks(unsettled, world)


def _settled_by_the_old_one(url: str, folder: Path) -> tuple[Told, list[World]]:
    dumped = folder / "worlds.json"
    dumped.write_bytes(unpacked("open.world"))
    code = old.unpack(folder)
    told = json.loads(old.run(code, old.FIXTURES / "settle.py", url.removeprefix("sqlite:///"), dumped))
    return in_order(told), hypervisors(dumped.read_text())


def test_upgrade_carries_over_leftovers_of_open_operations(unsettled: str) -> None:
    """Hidden checkpoints, discarded and rewritten layers: as they are when a row was settled by hand."""
    _settle_by_hand(unsettled)
    expected = recorded("open")
    for each in expected["operations"]:
        if each["state"] == "open":
            each.update(state="undone", closed=each["opened"])
    assert any(each["rewritten_by"] for each in expected["layers"])
    assert any(each["discarded_by"] for each in expected["layers"])
    upgraded(unsettled)
    _require_same(tell(unsettled), expected)


def _settle_by_hand(url: str) -> None:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as database, database:
        database.execute("UPDATE operation SET state = 'undone', closed = opened WHERE state = 'open'")


def _require_same(told: Told, expected: Told) -> None:
    assert told.keys() == expected.keys()
    for what, values in expected.items():
        assert len(told[what]) == len(values), what
        for now, before in zip(told[what], values, strict=True):
            assert now == before, what


# --------------------------------------------------------------------------- use


def test_every_checkpoint_can_be_rolled_back_to(settled: str) -> None:
    upgraded(settled)
    for world in hypervisors(unpacked("settled.world")):
        _require_rollbacks(settled, world)


def test_the_manifests_alone_give_the_checkpoints_back(settled: str, tmp_path: Path) -> None:
    upgraded(settled)
    for number, world in enumerate(hypervisors(unpacked("settled.world"))):
        url = f"sqlite:///{tmp_path}/rebuilt{number}.sqlite"
        with _session(url, world) as (catalog, snapctl), _session(settled, world) as (before, _):
            snapctl.rebuild_catalog()
            there = {each.id for each in before.summaries() if each.domain_uuid in world.machines}
            assert {each.id for each in catalog.summaries()} == there != set()
            for id_ in there:
                ours, theirs = catalog.checkpoint_by_id(id_), before.checkpoint_by_id(id_)
                assert ours is not None and theirs is not None
                assert _without_xml(ours) == _without_xml(_as_the_store_has_it(theirs))
        _require_rollbacks(url, world)


def _as_the_store_has_it(checkpoint: Checkpoint) -> Checkpoint:
    """Without what a verify found: that is the catalog's alone."""
    disks = tuple(
        replace(disk, layer=replace(disk.layer, sha256=None) if disk.layer else None) for disk in checkpoint.disks
    )
    return replace(checkpoint, damage=None, disks=disks)


def _without_xml(checkpoint: Checkpoint) -> Checkpoint:
    """A manifest does not hold it: it is in the memory image, as libvirt wrote it there."""
    return replace(checkpoint, origin=replace(checkpoint.origin, domain_xml=""))


class _session:
    """Today's snapctl on a catalog and the hypervisor that it is of."""

    def __init__(self, url: str, world: World) -> None:
        self._catalog = open_catalog(url, world.host)
        self._coordinator = Coordinator(TwinHypervisor(world), self._catalog, store=STORE)

    def __enter__(self) -> tuple[SqlCatalog, Coordinator]:
        return self._catalog, self._coordinator

    def __exit__(self, *_: object) -> None:
        self._catalog.close_connection()


def _require_rollbacks(url: str, world: World) -> None:
    """Each sound one in turn: the guest's memory and disks are then of one instant."""
    with _session(url, world) as (_, snapctl):
        assert snapctl.recover() == []
        for each in snapctl.list():
            if each.state == "damaged" or each.name == "damaged" or each.domain_uuid not in world.machines:
                continue
            snapctl.rollback(each.domain, each.name)
            guest = Guest(world, world.machine(each.domain_uuid))
            assert guest.agrees(), f"{each.domain}/{each.name}: memory and disks are not of one instant"


# --------------------------------------------------------------------------- PostgreSQL


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    binaries = postgresql.programs()
    if binaries is None:
        pytest.skip("this machine has no PostgreSQL: apt-get install postgresql")
    with postgresql.server(binaries) as url:
        yield url


@pytest.mark.parametrize("name", ["settled", "open"])
def test_upgrade_on_postgresql_gives_the_same(server: str, name: str, tmp_path: Path) -> None:
    source = _placed(tmp_path, name)
    if name == "open":
        _settle_by_hand(source)
    database = Database(server, foreign_keys=False)
    with database.write() as session:
        session.execute(text("DROP SCHEMA public CASCADE"))
        session.execute(text("CREATE SCHEMA public"))
    go_to(database, OLD)
    _copy_rows(source, database)
    database.close()
    upgraded(source)
    upgraded(server)
    _require_same(tell(server), tell(source))


def _copy_rows(source: str, target: Database) -> None:
    """All rows of all tables, as the schema of f92f7f5 has them on both."""
    here = create_engine(make_url(source))
    tables = MetaData()
    with here.connect() as reading, target.write() as session:
        session.execute(text("SET session_replication_role = replica"))  # rows may come before those they refer to
        tables.reflect(session.connection())
        for table in tables.sorted_tables:
            if table.name != "alembic_version":
                rows = [
                    dict(row._mapping)
                    for row in reading.execute(select(Table(table.name, MetaData(), autoload_with=here)))
                ]
                session.execute(insert(table), [_typed(table, row) for row in rows])
        session.execute(text("SET session_replication_role = DEFAULT"))
    here.dispose()


def _typed(table: Table, row: dict[str, Any]) -> dict[str, Any]:
    """SQLite has numbers for truth values."""
    return {name: bool(value) if table.c[name].type.python_type is bool else value for name, value in row.items()}
