"""Older and newer schemas: refused with the way out, and `catalog upgrade` with its backup."""

from __future__ import annotations

import re
import sqlite3
import stat
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.catalog import backup, info, open_catalog, upgrade
from orchestrator.catalog.database import Database
from orchestrator.catalog.schema import NEWEST
from orchestrator.errors import CatalogError
from tests.children import started_together
from tests.unit.catalog_samples import HOST

from .test_migrations import OLD_ROWS, go_to


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "catalog.db"


@pytest.fixture
def old(file: Path) -> str:
    """The URL of a catalog of schema 0001 with something in it."""
    database = Database(f"sqlite:///{file}", foreign_keys=False)
    database.make_file()
    go_to(database, "0001")
    database.close()
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(OLD_ROWS)
    return f"sqlite:///{file}"


def set_version(file: Path, version: str) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", [version])


def version(file: Path) -> str:
    with closing(sqlite3.connect(file)) as connection:
        (found,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(found)


def backups(file: Path) -> list[Path]:
    return sorted(file.parent.glob("catalog.db.backup-*"))


def test_an_older_schema_is_refused_with_the_way_out(old: str, file: Path) -> None:
    with pytest.raises(CatalogError, match="has the older schema 0001") as refusal:
        open_catalog(old, replace(HOST, uuid="h"))
    assert refusal.value.hint == "run: snapctl catalog upgrade"
    assert refusal.value.exit_code == 3
    assert version(file) == "0001"


def test_an_upgrade_keeps_everything_and_a_backup(old: str, file: Path) -> None:
    done = upgrade(old)

    assert (done.before, done.after) == ("0001", NEWEST)
    assert done.backup is not None and backups(file) == [done.backup]
    assert re.fullmatch(r"catalog\.db\.backup-0001-\d{8}T\d{6}\.\d{6}Z", done.backup.name)
    assert stat.S_IMODE(done.backup.stat().st_mode) == 0o600
    assert version(done.backup) == "0001"
    assert version(file) == NEWEST
    catalog = open_catalog(old, replace(HOST, uuid="h"))
    made = catalog.checkpoint("d", "clean")
    assert made is not None and made.layers["vda"].path == "/base"
    head = catalog.head("d")
    assert head is not None and head.overlays == {"vda": "/top"}
    catalog.close_connection()


def test_an_upgrade_of_the_newest_does_nothing(old: str, file: Path) -> None:
    upgrade(old)
    before = backups(file)
    done = upgrade(old)
    assert (done.before, done.after, done.backup) == (NEWEST, NEWEST, None)
    assert backups(file) == before


def test_an_upgrade_that_fails_changes_nothing(old: str, file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE operation (something TEXT)")  # in the way of the migration
    with pytest.raises(CatalogError):
        upgrade(old)
    assert version(file) == "0001"
    assert len(backups(file)) == 1
    with closing(sqlite3.connect(file)) as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(layer)")]
    assert "discarded_by" not in columns


def test_an_upgrade_does_not_bless_what_was_broken(old: str, file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE head_disk SET layer_id = 999")
    with pytest.raises(CatalogError, match="refers to a missing one"):
        upgrade(old)
    assert version(file) == "0001"


@pytest.mark.parametrize("verb", [lambda url: open_catalog(url, HOST), upgrade], ids=["open", "upgrade"])
def test_a_newer_schema_is_refused(old: str, file: Path, verb: Callable[[str], object]) -> None:
    set_version(file, "0999")
    with pytest.raises(CatalogError, match=f"has schema 0999, and this snapctl supports {NEWEST}") as refusal:
        verb(old)
    assert refusal.value.hint == "use a newer snapctl"
    assert backups(file) == []


def test_upgrade_missing_or_empty_catalog_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="there is no catalog"):
        upgrade(f"sqlite:///{tmp_path}/catalog.db")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "catalog.db").touch()
    with pytest.raises(CatalogError, match="is empty"):
        upgrade(f"sqlite:///{tmp_path}/catalog.db")


def test_info_and_backup_work_on_any_version(old: str, file: Path, tmp_path: Path) -> None:
    found = info(old)
    assert (found.revision, found.newest_revision) == ("0001", NEWEST)
    assert found.counts == {"host": 1, "domain": 1, "checkpoint": 1, "layer": 2}
    backup(old, tmp_path / "copy.db")
    assert version(tmp_path / "copy.db") == "0001"
    set_version(file, "0999")
    assert info(old).revision == "0999"


def test_two_upgrades_at_the_same_time_both_succeed(old: str, file: Path) -> None:
    code = """
import sys
from orchestrator.catalog import upgrade
print("ready", flush=True)
sys.stdin.readline()
print(upgrade(sys.argv[1]).before, flush=True)
"""
    with started_together(*[[sys.executable, "-c", code, old]] * 2) as processes:
        printed = sorted(process.finish().stdout for process in processes)
    assert printed == ["ready\n0001\n", f"ready\n{NEWEST}\n"]
    assert version(file) == NEWEST
    assert len(backups(file)) == 1
