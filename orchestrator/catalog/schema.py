"""The schema's version: read it, refuse what does not fit, make an empty catalog, upgrade an old one.

The version is Alembic's (table `alembic_version`) and read here with plain SQL, because Alembic
takes longer to import than most verbs to run. For the same reason an empty catalog is made from
the tables, which the tests prove equal to what the migrations make.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

from sqlalchemy import Column, Connection, MetaData, PrimaryKeyConstraint, String, Table, insert, inspect, select, text

from ..errors import CatalogError
from .copying import copy
from .database import Database
from .tables import Base

NEWEST = "0005"
"""The revision that `tables` describes. Revisions are numbered, so that older and newer can be told apart."""

_VERSION = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)

_ACTIVE = text("SELECT count(*) FROM sqlite_schema WHERE type IN ('trigger', 'view')")
"""What would act on its own when a row is written or read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upgrade:
    """What `upgrade` did; `backup` is where the catalog as it was before is kept."""

    before: str
    after: str
    backup: Path | None


def revision(connection: Connection) -> str | None:
    """The schema's revision, None for an empty database. Raises `CatalogError` for a foreign one."""
    tables = inspect(connection).get_table_names()
    if not tables:
        return None
    if connection.dialect.name == "sqlite" and connection.scalar(_ACTIVE):
        raise CatalogError(
            "somebody put triggers or views into the catalog, and snapctl has none",
            hint="restore the catalog from a backup",
        )
    found: list[str] = []
    if _VERSION.name in tables:
        found = list(connection.scalars(select(_VERSION.c.version_num)))
    if len(found) != 1 or not re.fullmatch(r"\d{4}", found[0]):
        raise CatalogError("the database is no catalog of snapctl's", hint="give another one with --catalog")
    return found[0]


def ensure_newest(database: Database) -> None:
    """Make an empty database a catalog. Raises `CatalogError` when it is one of another version."""
    with database.read() as session:
        found = revision(session.connection())
    if found is None:
        _create(database)
    elif found < NEWEST:
        problem = f"the catalog {database} has the older schema {found}"
        raise CatalogError(problem, hint="run: snapctl catalog upgrade")
    else:
        _refuse_newer(database, found)


def upgrade(url: str) -> Upgrade:
    """Bring a catalog to the newest schema, in one transaction; of no effect when it has it.

    An SQLite file is first copied to `<file>.backup-<old revision>-<UTC time>`, at a moment when
    nobody else can write to it. The backup of a database server is its administrator's.
    """
    database = Database(url, foreign_keys=False)
    database.require()
    try:
        with database.write() as session:
            connection = session.connection()
            found = revision(connection)
            if found is None:
                raise CatalogError(f"the catalog {database} is empty", hint="it is made at first use")
            _refuse_newer(database, found)
            if found == NEWEST:
                return Upgrade(before=found, after=found, backup=None)
            saved = _back_up(database, found)
            _migrate(connection)
            return Upgrade(before=found, after=NEWEST, backup=saved)
    finally:
        database.close()


def migrations() -> Path:
    """The folder of the migrations: in the installed package, or beside it in a checkout."""
    spec = find_spec("orchestrator.migrations")
    if spec is not None and spec.origin is not None:
        return Path(spec.origin).parent
    return Path(__file__).parents[2] / "migrations"


def _refuse_newer(database: Database, found: str) -> None:
    if found > NEWEST:
        problem = f"the catalog {database} has schema {found}, and this snapctl knows {NEWEST}"
        raise CatalogError(problem, hint="use a newer snapctl")


def _create(database: Database) -> None:
    """All tables in one transaction. Of several processes that do so one succeeds; the others find it done."""
    try:
        with database.write() as session:
            connection = session.connection()
            Base.metadata.create_all(connection, checkfirst=False)
            _VERSION.create(connection)
            connection.execute(insert(_VERSION).values(version_num=NEWEST))
    except CatalogError:
        with database.read() as session:
            if revision(session.connection()) is None:
                raise


def _back_up(database: Database, found: str) -> Path | None:
    if database.file is None:
        return None
    time = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    target = database.file.with_name(f"{database.file.name}.backup-{found}-{time}")
    copy(database.file, target)
    return target


def _migrate(connection: Connection) -> None:
    """Run the migrations inside the caller's transaction."""
    from alembic.command import upgrade as run  # imported only here: it takes long
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(migrations()).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        run(config, NEWEST)
    except CommandError as error:
        raise CatalogError(f"the catalog cannot be upgraded: {error}") from error
    if connection.dialect.name == "sqlite" and connection.execute(text("PRAGMA foreign_key_check")).first():
        raise CatalogError("the catalog cannot be upgraded: a row refers to one that is not there")
