"""What `snapctl catalog backup` and `catalog info` do. They work on a catalog of any version."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Table, func, inspect, select

from ..errors import Refused, SnapctlError
from . import identities, journal
from .database import Database
from .schema import NEWEST, revision
from .sqlite_backup import copy
from .tables import CheckpointRow, DomainRow, HostRow, LayerRow, OperationRow

_COUNTED = (HostRow, DomainRow, CheckpointRow, LayerRow, OperationRow)


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogInfo:
    """A catalog from outside. `revision` is None while there is none; `size_bytes` for a server."""

    url: str  # without its password
    revision: str | None
    newest_revision: str  # the one this snapctl works with
    size_bytes: int | None
    counts: Mapping[str, int]  # rows by table
    id: str | None = None  # by which stores know that they belong to it; None before there is one


def backup(url: str, file: Path | str) -> None:
    """Copy an SQLite catalog to a new file, 0600, while it may be in use."""
    database = Database(url)
    database.require()
    if database.file is None:
        raise Refused(f"the catalog {database} is on a database server", hint="back it up with the server's own tools")
    try:
        with database.read() as session:
            revision(session.connection())
        copy(database.file, Path(file))
    finally:
        database.close()


def info(url: str) -> CatalogInfo:
    """What there is at that URL; makes nothing."""
    database = Database(url)
    found, own, counts = None, None, {}
    if database.exists():
        try:
            with database.read() as session:
                found = revision(session.connection())
                counts = _counts(session.connection())
                own = identities.catalog_id(session) if found == NEWEST else None
        finally:
            database.close()
    return CatalogInfo(
        url=str(database), revision=found, newest_revision=NEWEST, size_bytes=_size(database), counts=counts, id=own
    )


def at_work(url: str) -> list[str]:
    """The operations that processes work on in a catalog, for people; none if that cannot be seen."""
    try:
        database = Database(url)
    except SnapctlError:
        return []
    try:
        if database.file is None or not os.access(database.file, os.R_OK | os.W_OK):
            return []  # a password is not known here
        with database.read() as session:
            if revision(session.connection()) != NEWEST:
                return []
            found = journal.unsettled_anywhere(session)
            return [
                f"a {each.kind.label} of {each.domains}" for each in found if not journal.is_abandoned(session, each)
            ]
    except (SnapctlError, OSError):
        return []
    finally:
        database.close()


def _size(database: Database) -> int | None:
    """Of the SQLite file and what is still in its write-ahead log."""
    if database.file is None or not database.exists():
        return None
    log = database.file.with_name(f"{database.file.name}-wal")
    return database.file.stat().st_size + (log.stat().st_size if log.exists() else 0)


def _counts(connection: Connection) -> dict[str, int]:
    there = inspect(connection).get_table_names()
    tables = [row.__table__ for row in _COUNTED]
    return {
        table.name: connection.scalar(select(func.count()).select_from(table)) or 0
        for table in tables
        if isinstance(table, Table) and table.name in there
    }
