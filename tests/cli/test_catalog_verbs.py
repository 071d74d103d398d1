"""`snapctl catalog`: no hypervisor is asked, but by `rebuild`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.twin import World
from tests.workstation import STORE, Workstation

from .conftest import Run

WHOLE = "check the files of the checkpoints: snapctl verify"


@pytest.fixture
def url(station: Workstation) -> str:
    """Of the catalog, which only an option names."""
    station.configure("")
    return f"sqlite:///{station.catalog}"


def test_info_prints_url_and_revision(run: Run, station: Workstation, url: str) -> None:
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


def test_rebuild_lost_catalog_prints_what_was_restored(run: Run, station: Workstation) -> None:
    station.catalog.unlink()
    result = run("catalog", "rebuild")
    assert (result.code, result.out) == (0, "catalog rebuilt: 6 checkpoints of db, web01\n")
    assert result.err == f"{WHOLE}\n"


def test_rebuild_damaged_store_prints_what_is_left_out(run: Run, station: Workstation) -> None:
    files, (image, directory) = station.world.files, (station.memory(name) for name in ("patched", "experiment"))
    files.remove(image)
    files.remove(directory.replace("memory.save", "manifest.json"))
    station.guest().shut_down()
    del station.world.machines[station.machine().uuid]  # so it has no disks that tell where it stands
    station.catalog.unlink()
    result = run("catalog", "rebuild")
    assert (result.code, result.out) == (0, "catalog rebuilt: 4 checkpoints of db, web01\n")
    *left_out, headless, whole = result.err.splitlines()
    assert sorted(left_out) == sorted(
        [
            f"left out: {image.removesuffix('/memory.save')} (patched): its memory image is missing",
            f"left out: {directory.removesuffix('/memory.save')}: its manifest is missing",
        ]
    )
    assert (headless, whole) == ("web01 has no current checkpoint: roll it back to one", WHOLE)


def test_rebuild_one_checkpoint_is_printed_in_the_singular(run: Run, station: Workstation) -> None:
    files = station.world.files
    for path in [path for path in files.files if path.startswith(f"{STORE}/{station.machine().uuid}/")]:
        files.remove(path)
    del station.world.machines[station.machine().uuid]
    station.catalog.unlink()
    assert run("catalog", "rebuild").out == "catalog rebuilt: 1 checkpoint of db\n"


def test_rebuild_empty_store_says_so(run: Run, station: Workstation) -> None:
    station.world = World()
    station.catalog.unlink()
    result = run("catalog", "rebuild")
    assert (result.out, result.err) == ("catalog rebuilt: the store has no checkpoints\n", "")
    assert run("catalog", "rebuild", "-o", "json").json == {"checkpoints": [], "headless": [], "skipped": []}
    assert STORE not in station.world.files.directories
