"""A host is known by its store: another UUID loses nothing, and two hosts with one UUID do not meet."""

from __future__ import annotations

import json
from dataclasses import replace
from uuid import uuid4

import pytest

from orchestrator.model import GuestState
from tests.twin import World
from tests.twin.files import File
from tests.workstation import STORE, Workstation

from .conftest import Run, names

OWNER = f"{STORE}/store.json"


def get_another_uuid(station: Workstation) -> None:
    station.world.host = replace(station.world.host, uuid=str(uuid4()))


def disown(station: Workstation) -> None:
    """As snapctl left catalogs and stores before."""
    station.world.files.remove(OWNER)
    station.sql("DELETE FROM store")
    station.sql("UPDATE host SET reported_uuid = NULL")


def test_host_with_another_uuid_keeps_its_checkpoints(run: Run, station: Workstation) -> None:
    """As one without readable firmware tables, at each start of its daemon."""
    before = names(run)
    for _ in range(3):
        get_another_uuid(station)
        assert names(run) == before
        assert run("rollback", "web01", "base", "-y").code == 0
        assert run("checkpoint", "web01", "--tag", "again", "-q").code == 0
        before = names(run)
        assert station.guest().agrees()
    assert station.sql("SELECT count(*) FROM host") == [(1,)]
    assert run("doctor").code == 0


def test_list_tells_of_another_uuid_until_a_change_has_recorded_it(run: Run, station: Workstation) -> None:
    old = station.world.host.uuid
    get_another_uuid(station)
    assert f"the UUID of host twin was {old} and is {station.world.host.uuid}" in run("list").err
    assert run("protect", "web01", "base").code == 0
    assert "the UUID of host" not in run("list").err


def test_recover_after_another_uuid_settles_what_was_open(run: Run, station: Workstation) -> None:
    station.killed("restored.before", "checkpoint", "web01", "next")
    assert station.machine().state is GuestState.OFF
    get_another_uuid(station)
    assert run("recover").code == 0
    assert station.machine().state is GuestState.RUNNING
    assert "next" in names(run)


def test_host_with_another_uuid_and_catalog_of_before_is_known_by_its_files(run: Run, station: Workstation) -> None:
    disown(station)
    before, old = names(run), station.world.host.uuid
    get_another_uuid(station)
    assert names(run) == before
    assert run("protect", "web01", "base").code == 0
    assert json.loads(station.content(OWNER))["host"] == old


def test_host_with_another_uuid_and_name_is_taken_over_by_one_command(run: Run, station: Workstation) -> None:
    before = names(run)
    station.world.host = replace(station.world.host, uuid=str(uuid4()), name="renamed")
    result = run("-o", "json", "checkpoint", "web01", "next")
    assert result.code == 6
    assert "is that of host twin, and this is renamed" in result.error["message"]
    assert "is that of host twin" in run("list").err
    assert run("catalog", "adopt", "-y").code == 0
    assert names(run) == before
    assert run("rollback", "web01", "base", "-y").code == 0


@pytest.mark.parametrize("name", ["second", "twin"])
def test_two_hosts_with_one_uuid_do_not_meet(run: Run, station: Workstation, name: str) -> None:
    first, uuid = station.world, station.world.host.uuid
    before = names(run)
    second = World()
    second.host = replace(second.host, uuid=uuid, name=name)
    second.add("other").start().tick()
    station.world = second
    if name == "twin":  # nothing tells them apart but that the store is not there
        result = run("-o", "json", "checkpoint", "other", "mine")
        assert result.code == 6
        assert "or this is another host" in result.error["hint"]
        assert run("catalog", "adopt", "-y").code == 6
        second.files.make_directory(STORE)
        planned = run("catalog", "adopt", "--dry-run", "-o", "json").json
        assert sorted(planned["missing"])[0] == "db/empty" and len(planned["missing"]) == 6
        assert run("catalog", "adopt", "-y").code == 0
    assert run("checkpoint", "other", "mine").code == 0
    assert names(run, "other") == ["mine"]
    assert [each["name"] for each in run("list", "-o", "json").json] == ["mine"]
    station.world = first
    assert names(run) == before
    assert run("rollback", "web01", "base", "-y").code == 0
    assert station.sql("SELECT count(*) FROM host") == [(2,)]
    station.world = second
    assert run("rollback", "other", "mine", "-y").code == 0


def test_copy_of_a_store_on_another_host_is_not_the_first_one(run: Run, station: Workstation) -> None:
    copy = World()
    copy.files.make_directory(STORE)
    copy.files.put(OWNER, File(station.content(OWNER)))
    copy.add("other").start().tick()
    copy.host = replace(copy.host, name="clone")
    station.world = copy
    assert run("checkpoint", "other", "mine").code == 6
    assert run("list", "-o", "json").json == []
