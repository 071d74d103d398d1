"""The migrations: up and down with what is in the tables, and in the end just the tables."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from orchestrator.catalog import open_catalog
from orchestrator.catalog.database import Database
from orchestrator.catalog.schema import NEWEST, migrations
from orchestrator.catalog.tables import Base
from tests import children
from tests.unit.catalog_samples import HOST

ROOT = Path(__file__).parents[2]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/catalog.db", foreign_keys=False)
    database.make_file()
    yield database
    database.close()


def config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(migrations()))
    config.attributes["connection"] = connection
    return config


def go_to(database: Database, revision: str) -> None:
    with database.write() as session:
        here = session.scalar(text("SELECT version_num FROM alembic_version")) if tables(database) else None
        move = command.upgrade if revision != "base" and (here or "") < revision else command.downgrade
        move(config(session.connection()), revision)


def tables(database: Database) -> set[str]:
    with database.read() as session:
        return set(inspect(session.connection()).get_table_names())


def listed(items: Iterable[Any]) -> list[str]:
    return sorted(plain(item) for item in items)


def plain(value: object) -> str:
    """Text that is the same for the same, whatever the order of a mapping, and with the SQL of an expression."""
    return str(sorted((key, plain(item)) for key, item in value.items()) if isinstance(value, dict) else value)


def structure(database: Database) -> dict[str, Any]:
    """All that makes up the schema, free of order: columns, keys, constraints and indexes of each table."""
    with database.read() as session:
        inspector = inspect(session.connection())

        return {
            table: {
                "columns": listed(inspector.get_columns(table)),
                "primary": listed([inspector.get_pk_constraint(table)]),
                "foreign": listed(inspector.get_foreign_keys(table)),
                "unique": listed(inspector.get_unique_constraints(table)),
                "indexes": listed(inspector.get_indexes(table)),
            }
            for table in inspector.get_table_names()
        }


def test_the_history_is_one_line_that_ends_at_the_newest() -> None:
    script = ScriptDirectory.from_config(config())
    assert script.get_heads() == [NEWEST]
    revisions = [revision.revision for revision in script.walk_revisions()]
    assert revisions == [f"{number:04}" for number in range(int(NEWEST), 0, -1)]


def test_head_is_what_the_tables_say(database: Database) -> None:
    go_to(database, "head")
    with database.read() as session:
        context = MigrationContext.configure(session.connection(), opts={"compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []


def test_head_is_what_an_empty_catalog_is_made_as(database: Database, tmp_path: Path) -> None:
    go_to(database, "head")
    fresh = tmp_path / "fresh.db"
    open_catalog(f"sqlite:///{fresh}", HOST).close_connection()
    other = Database(f"sqlite:///{fresh}")
    assert structure(database) == structure(other)
    other.close()


def test_every_step_down_and_up_again_gives_the_same(database: Database) -> None:
    steps = [f"{number:04}" for number in range(1, int(NEWEST) + 1)]
    seen = {}
    for revision in steps:
        go_to(database, revision)
        seen[revision] = structure(database)
    for revision in reversed(steps):
        go_to(database, revision)
        assert structure(database) == seen[revision]
    go_to(database, "base")
    assert tables(database) == {"alembic_version"}
    go_to(database, NEWEST)
    assert structure(database) == seen[NEWEST]


OLD_ROWS = """
INSERT INTO host VALUES ('h', 'hv', 'qemu:///system');
INSERT INTO domain VALUES ('h', 'd', 'web', '2026-01-01T00:00:00.000000+00:00');
INSERT INTO layer VALUES (7, 'h', 'd', '/base', 'vda', 'raw', 9, NULL, NULL, 1, 2, '3.4');
INSERT INTO layer VALUES (8, 'h', 'd', '/top', 'vda', 'qcow2', 9, 7, 'op', NULL, NULL, NULL);
INSERT INTO checkpoint VALUES ('c', 'h', 'd', 'web', 'clean', NULL, '2026-01-01T00:00:00.000000+00:00', 'save', 'ready',
  'text', 1, 'pc', '/qemu', '7', '9', '/store/d/c/memory.save', 5, 1, 2, 'raw', 4, NULL);
INSERT INTO checkpoint_document VALUES ('c', '', '<domain/>');
INSERT INTO checkpoint_disk VALUES ('c', 'vda', 0, 'disk', 0, '/base', 'raw', 'file', 7);
INSERT INTO head VALUES ('h', 'd', 'c');
INSERT INTO head_disk VALUES ('h', 'd', 'vda', 8)
"""


def test_rows_survive_going_up_and_down(database: Database) -> None:
    go_to(database, "0001")
    with database.write() as session:
        for statement in OLD_ROWS.split(";\n"):
            session.execute(text(statement.replace(":", r"\:")))
    before = contents(database)

    go_to(database, NEWEST)
    with database.read() as session:
        assert session.scalar(text("SELECT count(*) FROM layer WHERE discarded_by IS NULL AND sha256 IS NULL")) == 2
        assert session.scalar(text("SELECT name FROM checkpoint WHERE damage IS NULL")) == "clean"
        assert session.execute(text("SELECT expires, protected FROM checkpoint")).all() == [(None, 0)]
        assert session.execute(text("SELECT checkpoint_id, kept_id FROM head")).all() == [("c", None)]
        artifacts = text("SELECT position, kind, path, layer_id FROM artifact ORDER BY position")
        assert session.execute(artifacts).all() == [
            (0, "memory", "/store/d/c/memory.save", None),
            (1, "disk", "/base", 7),  # no cascade from the rebuilt table
        ]
        assert session.execute(text("SELECT operation_id, directory FROM checkpoint")).all() == [("c", "/store/d/c")]
        assert session.execute(text("SELECT id, kind FROM layer ORDER BY id")).all() == [(7, "file"), (8, "file")]
        assert session.execute(text("PRAGMA foreign_key_check")).all() == []
    go_to(database, "0001")

    assert contents(database) == before


def contents(database: Database) -> dict[str, list[Any]]:
    with database.read() as session:
        names = inspect(session.connection()).get_table_names()
        return {
            name: sorted(map(repr, session.execute(text(f"SELECT * FROM {name}"))))  # noqa: S608 - our own names
            for name in names
            if name != "alembic_version"
        }


@pytest.mark.parametrize("arguments", [["upgrade", "head"], ["check"]])
def test_alembics_command_line_works_from_a_checkout(tmp_path: Path, arguments: list[str]) -> None:
    url = f"sqlite:///{tmp_path}/catalog.db"
    open_catalog(url, HOST).close_connection()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    alembic = [sys.executable, "-m", "alembic", "-x", f"url={url}"]
    children.run(*alembic, *arguments, check=True, cwd=ROOT, env=environment)


def test_alembics_command_line_asks_which_catalog() -> None:
    done = children.run(sys.executable, "-m", "alembic", "upgrade", "head", cwd=ROOT)
    assert done.returncode != 0
    assert "say which catalog" in done.stdout + done.stderr
