"""The SQLite file and its modes, the URLs, the errors: one line each, and never a password."""

from __future__ import annotations

import os
import sqlite3
import stat
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from orchestrator.catalog import LeaseTimes, info, open_catalog
from orchestrator.catalog.database import Database, parse, shown
from orchestrator.errors import CatalogError, EnvironmentLacks, UsageError
from orchestrator.model import OperationKind
from tests import children
from tests.children import started_together
from tests.unit.catalog_samples import HOST

from .catalog_samples import SampleDomain


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# --------------------------------------------------------------------------- the file


def test_only_its_owner_can_read_a_catalog(tmp_path: Path) -> None:
    file = tmp_path / "new" / "catalog.db"
    before = os.umask(0)
    try:
        catalog = open_catalog(f"sqlite:///{file}", HOST)
        SampleDomain(catalog).checkpoint("a")
        files = {path.name: mode(path) for path in file.parent.iterdir()}
    finally:
        os.umask(before)
    assert files == {"catalog.db": 0o600, "catalog.db-wal": 0o600, "catalog.db-shm": 0o600}
    assert mode(file.parent) == 0o700
    catalog.close_connection()


def test_every_connection_is_set_up(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/catalog.db")
    database.make_file()
    with database.read() as first, database.read() as second:  # two connections
        for session in (first, second):
            pragmas = {
                name: session.scalar(text(f"PRAGMA {name}"))
                for name in ("journal_mode", "synchronous", "foreign_keys", "trusted_schema", "busy_timeout")
            }
            assert pragmas == {
                "journal_mode": "wal",
                "synchronous": 2,  # FULL
                "foreign_keys": 1,
                "trusted_schema": 0,
                "busy_timeout": 15_000,
            }
    database.close()


def test_a_writer_waits_for_another_before_it_reads(tmp_path: Path) -> None:
    """With a plain BEGIN the second would read, and then be refused when it writes."""
    database = Database(f"sqlite:///{tmp_path}/catalog.db")
    database.make_file()
    with database.write() as session:
        session.execute(text("CREATE TABLE t (n INTEGER)"))
        with (
            closing(sqlite3.connect(tmp_path / "catalog.db", timeout=0)) as other,
            pytest.raises(sqlite3.OperationalError, match="locked"),
        ):
            other.execute("BEGIN IMMEDIATE")
    database.close()


def test_write_transaction_that_raises_is_rolled_back(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/catalog.db")
    database.make_file()
    with pytest.raises(KeyboardInterrupt), database.write() as session:
        session.execute(text("CREATE TABLE t (n INTEGER)"))
        raise KeyboardInterrupt
    with database.read() as session:
        assert session.scalar(text("SELECT count(*) FROM sqlite_master")) == 0
    database.close()


CREATE = """
import sys
from orchestrator.catalog import open_catalog
from tests.unit.catalog_samples import HOST
print("ready", flush=True)
sys.stdin.readline()
open_catalog(sys.argv[1], HOST).close_connection()
"""


def test_processes_that_make_the_catalog_at_the_same_time_all_succeed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/deep/er/catalog.db"
    for _ in range(2):
        with started_together(*[[sys.executable, "-c", CREATE, url]] * 4) as processes:
            ends = [process.finish() for process in processes]
        assert [(each.stderr, each.returncode) for each in ends] == [("", 0)] * 4
        found = info(url)
        assert found.revision == found.newest_revision
        for path in (tmp_path / "deep/er").iterdir():
            path.unlink()


def test_making_an_empty_catalog_does_without_alembic(tmp_path: Path) -> None:
    code = "import sys; from orchestrator.catalog import open_catalog; from tests.unit.catalog_samples import HOST; "
    code += "open_catalog(sys.argv[1], HOST).close_connection()"
    code += "; assert 'alembic' not in sys.modules"
    children.run(sys.executable, "-c", code, f"sqlite:///{tmp_path}/catalog.db", check=True)


# --------------------------------------------------------------------------- what is refused


def _text_file(path: Path) -> None:
    path.write_text("this is no database " * 100)


def _foreign_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")


def _foreign_alembic(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.execute("INSERT INTO alembic_version VALUES ('8f3a2b')")


def _unversioned(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            _text_file,
            "file is not a database; nothing was recorded; it is no SQLite database, so check the URL; "
            "restore it from a backup, or: snapctl --catalog NEW-URL catalog adopt",
        ),
        (Path.mkdir, r"unable to open database file \(it is a directory\); .*; check the permissions of the file"),
        (_foreign_database, "not a snapctl catalog"),
        (_foreign_alembic, "not a snapctl catalog"),
        (_unversioned, "not a snapctl catalog"),
    ],
)
def test_open_catalog_on_something_else_is_refused_and_changes_nothing(
    tmp_path: Path, make: Callable[[Path], object], words: str
) -> None:
    place = tmp_path / "catalog.db"
    make(place)
    before = place.read_bytes() if place.is_file() else b""
    with pytest.raises(CatalogError, match=words) as refusal:
        open_catalog(f"sqlite:///{place}", HOST)
    assert refusal.value.exit_code == 3
    assert "\n" not in str(refusal.value)
    after = place.read_bytes() if place.is_file() else b""
    if make is _text_file:
        assert after == before
    else:
        assert len(after) == len(before)


@pytest.mark.parametrize("place", ["/proc/nowhere/catalog.db", "/dev/null/catalog.db", "/proc/catalog.db"])
def test_a_place_where_nothing_can_be_made_is_refused(place: str) -> None:
    with pytest.raises(CatalogError, match="cannot create the catalog") as refusal:
        open_catalog(f"sqlite:///{place}", HOST)
    assert refusal.value.exit_code == 3
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "URL is malformed"),
        ("catalog.db", "URL is malformed"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("sqlite:///file:x?mode=memory&uri=true", "names no file"),
        ("mysql://root:secret@db/x", "cannot be stored in mysql"),
        ("nonsense://root:secret@db/x", "cannot be stored in nonsense"),
        ("postgresql+nonsense://root:secret@db/x", "unknown driver"),
        ("postgresql://root:secret@db:port/x", "URL is malformed"),
        ("sqlite:////tmp/\0/catalog.db", "names no file"),
        ("sqlite:////tmp/x.db?password=secret", "has options"),
        ("postgresql+asyncpg://root:secret@db/x", "asynchronous driver"),
    ],
)
def test_a_url_that_cannot_be_one_is_a_usage_error_without_its_password(url: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as refusal:
        open_catalog(url, HOST)
    assert "secret" not in str(refusal.value)


def test_a_url_is_shown_without_what_may_be_secret() -> None:
    url = parse("postgresql://me:secret@db/x?password=secret&application_name=a")
    assert shown(url) == "postgresql+psycopg://me:***@db/x"


def test_a_driver_that_is_not_installed_is_named() -> None:
    with pytest.raises(EnvironmentLacks, match=r"driver for postgresql\+pg8000 is not installed") as lacks:
        open_catalog("postgresql+pg8000://me:secret@db/x", HOST)
    assert lacks.value.hint.endswith("in the clone of snapctl: pip install '.[postgresql]'")


def test_errors_show_neither_sql_nor_values(tmp_path: Path) -> None:
    catalog = open_catalog(f"sqlite:///{tmp_path}/catalog.db", HOST)
    with closing(sqlite3.connect(tmp_path / "catalog.db")) as connection:
        connection.execute("ALTER TABLE layer RENAME COLUMN mtime TO modified")
    with pytest.raises(CatalogError) as refusal:
        catalog.layer("/path/secret")
    message = str(refusal.value)
    assert "no such column: layer.mtime" in message
    assert "secret" not in message and "SELECT" not in message and "\n" not in message
    catalog.close_connection()


def test_numbers_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    catalog = open_catalog(f"sqlite:///{tmp_path}/catalog.db", HOST, LeaseTimes())
    web = SampleDomain(catalog)
    lease = web.open(OperationKind.CHECKPOINT)
    top = web.tops["vda"]
    object.__setattr__(top, "capacity", 1 << 63)
    made = web.value(lease, "huge")
    with pytest.raises(CatalogError, match="cannot store a value"):
        lease.commit_checkpoint(made, list(made.layers.values()), web.head([], made.id), [])
    assert catalog.checkpoint_by_id(made.id) is None
    catalog.close_connection()


# --------------------------------------------------------------------------- what may pass


def test_database_that_is_read_only_for_a_moment_may_pass(tmp_path: Path) -> None:
    """As the write-ahead log's files are while root, who opened the catalog, has yet to give them to its owner."""
    url = f"sqlite:///{tmp_path}/catalog.db"
    open_catalog(url, HOST).close_connection()
    with closing(Database(url)) as database:
        other = sqlite3.connect(f"file:{tmp_path}/catalog.db?mode=ro", uri=True)
        with closing(other), pytest.raises(CatalogError, match="readonly database") as refused, database.translated():
            other.execute("DELETE FROM host")
        assert refused.value.may_pass
        with database.write() as session:
            session.execute(text("DELETE FROM host"))


def test_database_server_that_does_not_answer_may_pass(tmp_path: Path) -> None:
    with closing(Database(f"postgresql://postgres@/postgres?host={tmp_path}")) as database:
        with pytest.raises(CatalogError) as refused, database.read() as session:
            session.execute(text("SELECT 1"))
        assert refused.value.may_pass
        assert "check that the database server is running" in refused.value.hint


def test_database_that_refuses_a_statement_will_not_accept_it_later(tmp_path: Path) -> None:
    with closing(Database(f"sqlite:///{tmp_path}/other.db")) as database:
        with pytest.raises(CatalogError, match="no such table") as refused, database.read() as session:
            session.execute(text("SELECT * FROM absent"))
        assert not refused.value.may_pass
