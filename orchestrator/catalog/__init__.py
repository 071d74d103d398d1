"""The catalog: `ports.Catalog` over SQL. The only package that knows SQLAlchemy.

tables         the rows                        database     engine, transactions, errors
rows           rows <-> the model's values     schema       version, creation, upgrade
reading        questions                       maintenance  backup, info
layers         the graph of layers             copying      a copy of an SQLite file
reachability   what nothing needs (pure)       journal      operations and their tokens
commits        what operations commit          leases       heartbeat
rebuilding     a lost catalog, rebuilt        owners       which process, and does it live
repository     SqlCatalog                      open_operation  SqlOperation
                                               unfinished   operations of older schemas
"""

from __future__ import annotations

from datetime import timedelta

from ..model import Host
from .database import Database
from .leases import LeaseTimes
from .maintenance import CatalogInfo, backup, info
from .repository import SqlCatalog
from .schema import Upgrade, ensure_newest, unfinished_operations, upgrade
from .unfinished import UnfinishedOperation

__all__ = [
    "CatalogInfo",
    "LeaseTimes",
    "SqlCatalog",
    "UnfinishedOperation",
    "Upgrade",
    "backup",
    "info",
    "open_catalog",
    "unfinished_operations",
    "upgrade",
]

KEPT = timedelta(days=90)
"""How long the journal keeps what is settled, unless configured."""


def open_catalog(url: str, host: Host, times: LeaseTimes | None = None, keep: timedelta = KEPT) -> SqlCatalog:
    """The catalog at an SQLAlchemy URL, for one host; an empty one is made when there is none.

    Rows of operations that were settled longer than `keep` ago are dropped when others are opened.

    Raises `UsageError` for a URL that cannot be one, `CatalogError` when it cannot be reached or
    made, or has an older or newer schema.
    """
    database = Database(url)
    try:
        database.make_file()
        ensure_newest(database)
    except BaseException:
        database.close()
        raise
    return SqlCatalog(database, host, times or LeaseTimes(), keep)
