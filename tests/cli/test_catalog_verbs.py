"""`snapctl catalog`: no hypervisor is asked, but by `rebuild`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.catalog.database import Database
from orchestrator.catalog.schema import NEWEST
from tests.migrations.rows import ELSEWHERE, LEFT, execute, make_old
from tests.twin import World
from tests.workstation import STORE, Workstation

from .conftest import Run

WHOLE = "check the files of the checkpoints: snapctl verify"


@pytest.fixture
def url(station: Workstation) -> str:
    """Of the catalog, which only an option names."""
    station.configure("")
    return f"sqlite:///{station.catalog}"


def test_info_of_a_catalog_tells_url_and_revision(run: Run, station: Workstation, url: str) -> None:
    result = run("catalog", "info", "--catalog", url)
    assert result.code == 0
    first = result.out.splitlines()[0]
    assert first.startswith("catalog") and first.endswith(url)
    document = run("catalog", "info", "--catalog", url, "-o", "json").json
    assert document["url"] == url
    assert document["revision"] == document["newest_revision"]
    assert not station.settings


def test_upgrade_newest_schema_does_nothing(run: Run, url: str) -> None:
    assert "already has the newest schema" in run("--catalog", url, "catalog", "upgrade").out
    document = run("--catalog", url, "catalog", "upgrade", "-o", "json").json
    assert document["before"] == document["after"]


# --------------------------------------------------------------------------- upgrade while something is unfinished


@pytest.fixture
def left(tmp_path: Path) -> Iterator[str]:
    """The URL of a catalog of an older schema, with an operation unfinished on each of two hosts."""
    url = f"sqlite:///{tmp_path}/old.sqlite"
    with make_old(url) as database:
        execute(database, LEFT)
        execute(database, ELSEWHERE)
    yield url


UNFINISHED = (
    "unfinished: checkpoint of web on hv (2026-01-01 12:00:00 UTC), interrupted at prepared\n"
    "unfinished: rollback of db on old-server (2026-01-01 12:00:00 UTC), interrupted at prepared\n"
)


def test_upgrade_with_unfinished_operations_exit_6_and_names_each(run: Run, left: str) -> None:
    result = run("--catalog", left, "catalog", "upgrade")
    assert (result.code, result.out) == (6, "")
    assert result.err.startswith(UNFINISHED)
    assert "the catalog has 2 unfinished operations" in result.err and "--abandon HOST" in result.err
    assert len(run("--catalog", left, "catalog", "upgrade", "-o", "json").err.splitlines()) == 1


@pytest.mark.parametrize("host", ["old-server", "gone"], ids=["name", "UUID"])
def test_upgrade_abandoning_one_host_leaves_the_other_in_the_way(run: Run, left: str, host: str) -> None:
    result = run("--catalog", left, "catalog", "upgrade", "--abandon", host, "-y")
    assert (result.code, result.out) == (6, "")
    assert "the catalog has 1 unfinished operation" in result.err
    assert "checkpoint of web on hv" in run("--catalog", left, "catalog", "upgrade", "-o", "json").error["message"]


def test_upgrade_abandoning_all_hosts_says_so(run: Run, left: str) -> None:
    result = run("--catalog", left, "catalog", "upgrade", "--abandon", "old-server", "--abandon", "hv", "-y")
    assert result.code == 0
    assert result.out.startswith(f"catalog upgraded from schema 0004 to {NEWEST}; 2 operations abandoned; backup of")
    assert result.err == UNFINISHED
    again = run("--catalog", left, "catalog", "upgrade")
    assert (again.code, again.err) == (0, "")


def test_upgrade_abandoning_as_json_lists_what_is_abandoned(run: Run, left: str) -> None:
    result = run(
        "--catalog", left, "catalog", "upgrade", "--abandon", "old-server", "--abandon", "hv", "-y", "-o", "json"
    )
    assert [(each["host_uuid"], each["domain"], each["kind"]) for each in result.json["abandoned"]] == [
        ("h", "web", "checkpoint"),
        ("gone", "db", "rollback"),
    ]


def test_upgrade_abandoning_without_terminal_or_yes_exit_2(run: Run, left: str) -> None:
    result = run("--catalog", left, "catalog", "upgrade", "--abandon", "old-server")
    assert result.code == 2
    assert "no terminal to ask on" in result.err and "-y" in result.err


def test_upgrade_abandoning_host_without_unfinished_operation_exit_6(run: Run, left: str) -> None:
    result = run("--catalog", left, "catalog", "upgrade", "--abandon", "other", "-y")
    assert result.code == 6
    assert "no unfinished operation on host other" in result.err


def test_upgrade_abandoning_ambiguous_name_exit_2_and_names_the_uuids(run: Run, left: str) -> None:
    database = Database(left)
    execute(database, "UPDATE host SET name = 'hv'")
    database.close()
    result = run("--catalog", left, "catalog", "upgrade", "--abandon", "hv", "-y")
    assert result.code == 2
    assert "several hosts are named hv" in result.err and "give a UUID: gone or h" in result.err


def test_backup_is_private_and_overwrites_nothing(run: Run, url: str, tmp_path: Path) -> None:
    target = tmp_path / "copy"
    assert run("--catalog", url, "catalog", "backup", str(target)).out == f"catalog backed up to {target}\n"
    assert target.stat().st_mode & 0o777 == 0o600
    again = run("--catalog", url, "catalog", "backup", str(target), "-o", "json")
    assert (again.code, again.out) == (again.error["exit_code"], "")
    assert again.code != 0


def test_info_password_in_url_is_not_shown(run: Run) -> None:
    for output in ("table", "json"):
        result = run("--catalog", "postgresql://ann:hunter2@127.0.0.1:1/x", "catalog", "info", "-o", output)
        assert result.code in (2, 3)
        assert "hunter2" not in result.out + result.err


# --------------------------------------------------------------------------- rebuild


def test_adopt_lost_catalog_tells_what_there_is_again(run: Run, station: Workstation) -> None:
    station.catalog.unlink()
    result = run("catalog", "adopt", "-y")
    assert (result.code, result.out) == (0, f"{STORE} adopted: 6 checkpoints of db, web01\n")
    assert result.err == f"{WHOLE}\n"


def test_adopt_damaged_store_tells_what_is_left_out(run: Run, station: Workstation) -> None:
    files, (image, directory) = station.world.files, (station.memory(name) for name in ("patched", "experiment"))
    files.remove(image)
    files.remove(directory.replace("memory.save", "manifest.json"))
    station.guest().shut_down()
    del station.world.machines[station.machine().uuid]  # so it has no disks that tell where it stands
    station.catalog.unlink()
    result = run("catalog", "adopt", "-y")
    assert (result.code, result.out) == (0, f"{STORE} adopted: 4 checkpoints of db, web01\n")
    *left_out, headless, whole = result.err.splitlines()
    assert sorted(left_out) == sorted(
        [
            f"left out: {image.removesuffix('/memory.save')} (patched): its memory image is missing",
            f"left out: {directory.removesuffix('/memory.save')}: its manifest is missing",
        ]
    )
    assert (headless, whole) == ("web01 has no current checkpoint: roll it back to one", WHOLE)


def test_adopt_one_checkpoint_is_told_in_the_singular(run: Run, station: Workstation) -> None:
    files = station.world.files
    for path in [path for path in files.files if path.startswith(f"{STORE}/{station.machine().uuid}/")]:
        files.remove(path)
    del station.world.machines[station.machine().uuid]
    station.catalog.unlink()
    assert run("catalog", "adopt", "-y").out == f"{STORE} adopted: 1 checkpoint of db\n"


def test_rebuild_empty_store_tells_so(run: Run, station: Workstation) -> None:
    station.world = World()
    station.catalog.unlink()
    result = run("catalog", "rebuild")
    assert (result.out, result.err) == ("catalog rebuilt: the store has no checkpoints\n", "")
    assert run("catalog", "rebuild", "-o", "json").json == {
        "checkpoints": [],
        "headless": [],
        "skipped": [],
        "unparented": [],
    }
    assert STORE not in station.world.files.directories
