"""The catalog: `ports.Catalog` over SQL. The only package that knows SQLAlchemy.

tables         the rows                        database     engine, transactions, errors
rows           rows <-> the model's values     schema       version, creation, upgrade
reading        questions                       maintenance  backup, info
layers         the graph of layers             copying      a copy of an SQLite file
reachability   what nothing needs (pure)       journal      operations and their tokens
commits        what operations commit          leases       heartbeat
rebuilding     a lost catalog, rebuilt        owner_process which process, and does it live
identities     its id, hosts and stores
repository     SqlCatalog                      open_operation  SqlOperation
                                               unfinished   operations of older schemas
"""

from __future__ import annotations

from datetime import timedelta

from ..model import Host
from .database import Database
from .leases import LeaseTimes
from .maintenance import CatalogInfo, at_work, backup, info
from .repository import SqlCatalog
from .schema import Upgrade, ensure_newest, imagine, is_made, unfinished_operations, upgrade
from .unfinished import UnfinishedOperation

__all__ = [
    "CatalogInfo",
    "LeaseTimes",
    "SqlCatalog",
    "UnfinishedOperation",
    "Upgrade",
    "at_work",
    "backup",
    "info",
    "open_catalog",
    "unfinished_operations",
    "upgrade",
]

KEPT = timedelta(days=90)
"""How long the journal keeps what is settled, unless configured."""


def open_catalog(
    url: str, host: Host, times: LeaseTimes | None = None, keep: timedelta = KEPT, *, create: bool = True
) -> SqlCatalog:
    """The catalog at an SQLAlchemy URL, for one host.

    When there is none, an empty one is made; without `create` only when `SqlCatalog.make` is called.

    Rows of operations that were settled longer than `keep` ago are dropped when others are opened.

    Raises `UsageError` for a URL that cannot be one, `CatalogError` when it cannot be reached or
    made, or has an older or newer schema.
    """
    database = Database(url)
    try:
        if create:
            database.make_file()
        if create or is_made(database):
            ensure_newest(database)
        else:
            imagine(database)
    except BaseException:
        database.close()
        raise
    return SqlCatalog(database, host, times or LeaseTimes(), keep)
