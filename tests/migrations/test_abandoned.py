"""Operations of an older snapctl that nobody can finish: abandoned, so that the catalog can be upgraded all the same.

They stay open. What they did is not known, so nothing of theirs is changed or removed, and nothing is taken as sound.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pytest
from sqlalchemy import text

from orchestrator.catalog import SqlCatalog, open_catalog, owner_process, unfinished_operations, upgrade
from orchestrator.catalog.database import Database
from orchestrator.coordinator import Coordinator
from orchestrator.errors import Busy, CatalogError, Refused
from orchestrator.model import Owner
from orchestrator.operations.edit.plan import Edits
from orchestrator.operations.prune.policy import Policy
from tests.twin import TwinHypervisor, World

from .fixtures import worlds
from .readback import tell
from .rows import ELSEWHERE, HOST, LEFT, OPENED, execute, rows_of
from .test_from_f92f7f5 import recorded, unpacked

STORE = "/store"


# --------------------------------------------------------------------------- which keep the catalog as it is


def test_refusal_says_what_is_unfinished_where(old_catalog: Database, url: str) -> None:
    execute(old_catalog, LEFT)
    execute(old_catalog, ELSEWHERE)
    with pytest.raises(Refused) as refusal:
        upgrade(url)
    assert refusal.value.problem == (
        "the catalog has 2 unfinished operations, started by an older snapctl: "
        "checkpoint of web on hv (2026-01-01 12:00:00 UTC), rollback of db on old-server (2026-01-01 12:00:00 UTC)"
    )
    assert refusal.value.hint.endswith("--abandon HOST")


def test_operation_that_is_not_abandoned_keeps_catalog_as_it_is(old_catalog: Database, url: str) -> None:
    execute(old_catalog, LEFT)
    execute(old_catalog, ELSEWHERE)
    before = rows_of(old_catalog)
    with pytest.raises(Refused) as refusal:
        upgrade(url, abandon=["elsewhere"])
    assert "1 unfinished operation," in refusal.value.problem and "web on hv" in refusal.value.problem
    assert rows_of(old_catalog) == before


def test_operation_in_progress_is_not_abandoned(old_catalog: Database, url: str) -> None:
    execute(old_catalog, OPENED)
    before = rows_of(old_catalog)
    with pytest.raises(Busy, match=r"checkpoint of web on hv .* is in progress"):
        upgrade(url, abandon=["open"])
    assert rows_of(old_catalog) == before


def test_operation_of_living_process_is_not_abandoned(old_catalog: Database, url: str) -> None:
    """Stopped, or asleep with its machine, for longer than its lease."""
    execute(old_catalog, owned_by(owner_process.this_process(), LEFT))
    before = rows_of(old_catalog)
    with pytest.raises(Busy, match=r"checkpoint of web on hv .* is in progress"):
        upgrade(url, abandon=["open"])
    assert rows_of(old_catalog) == before


def test_operation_of_gone_process_is_abandoned_before_its_lease_ends(old_catalog: Database, url: str) -> None:
    execute(old_catalog, owned_by(replace(owner_process.this_process(), pid_start="1"), OPENED))
    assert [each.id for each in upgrade(url, abandon=["open"]).abandoned] == ["open"]


def owned_by(owner: Owner, opened: str) -> str:
    theirs = f"'{owner.user}', '{owner.host}', '{owner.boot_id}', {owner.pid}, '{owner.pid_start}'"
    assert "'ann', 'desk', 'b', 1, '1'" in opened
    return opened.replace("'ann', 'desk', 'b', 1, '1'", theirs)


def test_upgraded_catalog_has_nothing_to_abandon(old_catalog: Database, url: str) -> None:
    assert unfinished_operations(url) == []
    assert upgrade(url, abandon=["open"]).abandoned == ()
    assert unfinished_operations(url) == []


# --------------------------------------------------------------------------- what becomes of those that are abandoned


def test_abandoned_operation_is_open_undecided_and_taken_from_its_owner(old_catalog: Database, url: str) -> None:
    execute(old_catalog, ELSEWHERE)
    assert [each.id for each in upgrade(url, abandon=["elsewhere"]).abandoned] == ["elsewhere"]
    with old_catalog.read() as session:
        rows = "operation JOIN operation_member ON id = operation_id WHERE id = 'elsewhere'"
        row = session.execute(text(f"SELECT state, decision, version, token, open FROM {rows}")).one()  # noqa: S608
    assert (row.state, row.decision, row.version, row.token, bool(row.open)) == ("open", None, 1, 2, True)


def test_other_hosts_work_as_ever(old_catalog: Database, url: str) -> None:
    execute(old_catalog, ELSEWHERE)
    upgrade(url, abandon=["elsewhere"])
    catalog = open_catalog(url, HOST)
    assert catalog.unsettled() == []
    assert [each.name for each in catalog.summaries()] == ["first", "second", "going"]
    catalog.close_connection()


@pytest.fixture(scope="module")
def abandoned(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A catalog of every kind of operation, abandoned at every step; no test changes it."""
    file = tmp_path_factory.mktemp("abandoned") / "catalog.sqlite"
    file.write_bytes(unpacked("open.sqlite"))
    url = f"sqlite:///{file}"
    upgrade(url, abandon=[each.id for each in unfinished_operations(url)])
    return url


def hypervisors() -> list[World]:
    return [worlds.load(each) for each in json.loads(unpacked("open.world"))]


def test_everything_reads_as_before(abandoned: str) -> None:
    expected = recorded("open")
    for each in expected["operations"]:
        if each["state"] == "open":
            each["token"] += 1
    assert tell(abandoned) == expected


CHANGES: dict[str, Callable[[Coordinator, str, str], object]] = {
    "checkpoint": lambda snapctl, domain, _: snapctl.checkpoint(domain, "new"),
    "rollback": lambda snapctl, domain, name: snapctl.rollback(domain, name),
    "delete": lambda snapctl, domain, name: snapctl.delete(domain, [name]),
    "collapse": lambda snapctl, domain, _: snapctl.collapse(domain),
    "flatten": lambda snapctl, domain, _: snapctl.flatten(domain),
    "edit": lambda snapctl, domain, name: snapctl.edit(domain, name, Edits(description="x")),
    "recover": lambda snapctl, domain, _: snapctl.recover(domain),
}


@pytest.mark.parametrize("verb", CHANGES)
def test_domain_of_abandoned_operation_is_not_changed(abandoned: str, verb: str) -> None:
    tried = 0
    for world in hypervisors():
        catalog, snapctl = session(abandoned, world)
        before = worlds.dump(world)
        told = tell(abandoned)
        for operation in catalog.unsettled():
            domain = operation.members[0].domain_uuid
            names = [each.name for each in catalog.summaries(domain)] or ["none"]
            with pytest.raises(CatalogError) as refusal:
                CHANGES[verb](snapctl, domain, names[0])
            assert "was started by another version" in refusal.value.problem
            assert "backup of the catalog from before its upgrade" in refusal.value.hint
            tried += 1
        assert worlds.dump(world) == before
        assert tell(abandoned) == told
        catalog.close_connection()
    assert tried == 66


def test_prune_changes_no_domain_of_abandoned_operation(abandoned: str) -> None:
    for world in hypervisors():
        catalog, snapctl = session(abandoned, world)
        before, told = worlds.dump(world), tell(abandoned)
        for operation in catalog.unsettled():
            with suppress(CatalogError):  # which there is only where there is something to prune
                snapctl.prune(operation.members[0].domain_uuid, Policy(keep_last=1))
        assert worlds.dump(world) == before
        assert tell(abandoned) == told
        catalog.close_connection()


def test_doctor_removes_nothing_of_abandoned_operations(abandoned: str) -> None:
    files = 0
    for world in hypervisors():
        catalog, snapctl = session(abandoned, world)
        uuids = {each.members[0].domain_uuid for each in catalog.unsettled()}
        before = {path for path in world.files.files if domain_of(path) in uuids}
        snapctl.doctor(clean=True)
        catalog.close_connection()
        assert before <= world.files.files.keys()
        files += len(before)
    assert files


def domain_of(path: str) -> str:
    return path.removeprefix(f"{STORE}/").partition("/")[0]


def session(url: str, world: World) -> tuple[SqlCatalog, Coordinator]:
    catalog = open_catalog(url, world.host)
    return catalog, Coordinator(TwinHypervisor(world), catalog, store=STORE)
