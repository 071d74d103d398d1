"""The schema's version: read it, refuse what does not fit, make an empty catalog, upgrade an old one.

The version is Alembic's (table `alembic_version`) and read here with plain SQL, because Alembic
takes longer to import than most verbs to run. For the same reason an empty catalog is made from
the tables, which the tests prove equal to what the migrations make.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from uuid import uuid4

from sqlalchemy import Column, Connection, MetaData, PrimaryKeyConstraint, String, Table, insert, inspect, select, text

from ..errors import Busy, CatalogError, Refused
from . import unfinished
from .database import Database
from .sqlite_backup import copy
from .tables import Base, CatalogRow
from .unfinished import UnfinishedOperation

NEWEST = "0009"
"""The revision that `tables` describes. Revisions are numbered, so that older and newer can be told apart."""

JOURNALED = "0002"
"""The first revision that has operations."""

UPGRADING = 0x736E6170
"""The key of the advisory lock under which a PostgreSQL catalog is upgraded: `snap`."""

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
    abandoned: tuple[UnfinishedOperation, ...] = ()


def revision(connection: Connection) -> str | None:
    """The schema's revision, None for an empty database. Raises `CatalogError` for a database of something else."""
    tables = inspect(connection).get_table_names()
    if not tables:
        return None
    if connection.dialect.name == "sqlite" and connection.scalar(_ACTIVE):
        raise CatalogError(
            "the catalog contains triggers or views, which snapctl never creates",
            hint="restore the catalog from a backup",
        )
    found: list[str] = []
    if _VERSION.name in tables:
        found = list(connection.scalars(select(_VERSION.c.version_num)))
    if len(found) != 1 or not re.fullmatch(r"\d{4}", found[0]):
        raise CatalogError("the database is not a snapctl catalog", hint="name another one with --catalog")
    return found[0]


def is_made(database: Database) -> bool:
    """Whether there is a catalog, of whatever version. Raises `CatalogError` for a database of something else."""
    if not database.exists():
        return False
    with database.read() as session:
        return revision(session.connection()) is not None


def imagine(database: Database) -> None:
    """Let an empty catalog in memory stand in for one that is not there."""
    database.imagine()
    _create(database)


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


def unfinished_operations(url: str) -> list[UnfinishedOperation]:
    """The open operations of a catalog of an older schema, which keep it from being upgraded."""
    database = Database(url)
    database.require()
    try:
        with database.read() as session:
            connection = session.connection()
            return unfinished.read(connection, revision(connection))
    finally:
        database.close()


def upgrade(url: str, *, abandon: Collection[str] = ()) -> Upgrade:
    """Bring a catalog to the newest schema, in one transaction; of no effect when it has it. Of two that do so at
    once, the second waits for the first and finds it done.

    Raises `Refused` while an operation is open whose id is not in `abandon`: only the snapctl that began it knows how
    to settle it. An older snapctl that works with the catalog at the same time opens none between that check and the
    end of the upgrade. What is abandoned stays open (see `unfinished`); `Busy` while its owner may be at work.

    An SQLite file is first copied to `<file>.backup-<old revision>-<UTC time>`, at a moment when
    no other process can write to it. The backup of a database server is its administrator's.
    """
    database = Database(url, foreign_keys=False)
    database.require()
    try:
        with database.write() as session:
            connection = session.connection()
            _wait_for_others(connection)
            found = revision(connection)
            if found is None:
                raise CatalogError(f"the catalog {database} is empty", hint="it is created at first use")
            _refuse_newer(database, found)
            if found == NEWEST:
                return Upgrade(before=found, after=found, backup=None)
            abandoned = _open_operations(connection, found)
            _refuse_open_operations(abandoned, abandon)
            saved = _back_up(database, found)
            unfinished.abandon(connection, abandoned)
            _migrate(connection, abandoned)
            return Upgrade(before=found, after=NEWEST, backup=saved, abandoned=tuple(abandoned))
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
        problem = f"the catalog {database} has schema {found}, and this snapctl supports {NEWEST}"
        raise CatalogError(problem, hint="use a newer snapctl")


def _wait_for_others(connection: Connection) -> None:
    """SQLite lets one transaction write at a time; on a server, an advisory lock does the same."""
    if connection.dialect.name == "postgresql":
        # What others commit while we wait for a lock must be seen afterwards, whatever the server's default is.
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL READ COMMITTED"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": UPGRADING})


def _open_operations(connection: Connection, found: str) -> list[UnfinishedOperation]:
    if connection.dialect.name == "postgresql" and found >= JOURNALED:
        # Older clients know nothing of the advisory lock. This one waits for those that are just opening an
        # operation, and keeps the others from it until the upgrade is committed.
        connection.execute(text("LOCK TABLE operation IN ACCESS EXCLUSIVE MODE"))
    return unfinished.read(connection, found)


def _refuse_open_operations(operations: Sequence[UnfinishedOperation], abandon: Collection[str]) -> None:
    if left := [each for each in operations if each.id not in abandon]:
        raise Refused(
            f"the catalog has {len(left)} unfinished operation{'s' if len(left) > 1 else ''}, started by an older "
            f"snapctl: {', '.join(map(str, left))}",
            hint="finish with that version first: snapctl recover; for a host that is gone: --abandon HOST",
        )
    for each in operations:
        if each.in_progress:
            raise Busy(f"the {each} is in progress", hint="wait until it ends, or until its lease runs out")


def _create(database: Database) -> None:
    """All tables in one transaction. Of several processes that do so one succeeds; the others find it done."""
    try:
        with database.write() as session:
            connection = session.connection()
            Base.metadata.create_all(connection, checkfirst=False)
            _VERSION.create(connection)
            connection.execute(insert(_VERSION).values(version_num=NEWEST))
            connection.execute(insert(CatalogRow).values(id=str(uuid4())))
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


def _migrate(connection: Connection, abandoned: Sequence[UnfinishedOperation]) -> None:
    """Run the migrations inside the caller's transaction."""
    from alembic.command import upgrade as run  # imported only here: it takes long
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(migrations()).replace("%", "%%"))
    config.attributes["connection"] = connection
    config.attributes["abandoned"] = {each.id for each in abandoned}
    try:
        run(config, NEWEST)
    except CommandError as error:
        raise CatalogError(f"the catalog cannot be upgraded: {error}") from error
    if connection.dialect.name == "sqlite" and connection.execute(text("PRAGMA foreign_key_check")).first():
        raise CatalogError("the catalog cannot be upgraded: a row refers to a missing one")
