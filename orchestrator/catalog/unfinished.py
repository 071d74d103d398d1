"""Open operations in a catalog of an older schema: what keeps it from being upgraded, and how it may be all the same.

Only the snapctl that began an operation can finish or undo it, and it cannot work with the upgraded catalog. Where its
host is gone it never will. Such an operation can be abandoned. Nothing is known of what it has done, so it is neither
closed nor forgotten: it stays open, its domain is refused as that of any open operation, and its files are in use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, text

from ..model import Owner
from . import journal, rows

_SINCE, _BEFORE = "0002", "0005"
"""The revisions that have operations of one domain each. In the newest there is nothing to upgrade."""

_OPEN = text(
    """
    SELECT operation.id, kind, step, opened, lease_until, operation.host_uuid,
           owner_user, owner_host, owner_boot_id, owner_pid, owner_pid_start,
           coalesce(host.name, operation.host_uuid) AS host, coalesce(domain.name, operation.domain_uuid) AS domain
    FROM operation
    LEFT JOIN host ON host.uuid = operation.host_uuid
    LEFT JOIN domain ON domain.host_uuid = operation.host_uuid AND domain.uuid = operation.domain_uuid
    WHERE state = 'open'
    ORDER BY host, opened, operation.id
    """
)
_TAKE = text("UPDATE operation SET token = token + 1 WHERE id IN :ids").bindparams(bindparam("ids", expanding=True))
"""A process that wakes up later finds that the operation is not its own any more, and changes nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnfinishedOperation:
    """One that an older snapctl began; `in_progress` while a process may work on it."""

    id: str
    kind: str
    step: str
    opened: datetime
    host_uuid: str
    host: str
    domain: str
    in_progress: bool

    def __str__(self) -> str:
        return f"{self.kind} of {self.domain} on {self.host} ({self.opened:%Y-%m-%d %H:%M:%S} UTC)"


def read(connection: Connection, revision: str | None) -> list[UnfinishedOperation]:
    """Those of a catalog of that revision, by host and time."""
    if revision is None or not _SINCE <= revision < _BEFORE:
        return []
    return [
        UnfinishedOperation(
            id=row.id,
            kind=row.kind,
            step=row.step,
            opened=_time(row.id, row.opened),
            host_uuid=row.host_uuid,
            host=row.host,
            domain=row.domain,
            in_progress=not journal.is_given_up(connection, _owner(row), _time(row.id, row.lease_until)),
        )
        for row in connection.execute(_OPEN)
    ]


def abandon(connection: Connection, operations: Sequence[UnfinishedOperation]) -> None:
    """Take them away from whoever has them."""
    if operations:
        connection.execute(_TAKE, {"ids": [each.id for each in operations]})


def _owner(row: Row[Any]) -> Owner:
    """These schemas have no machine-id: a process of before a reboot is not known to be gone."""
    return Owner(
        user=row.owner_user,
        host=row.owner_host,
        boot_id=row.owner_boot_id,
        pid=row.owner_pid,
        pid_start=row.owner_pid_start,
    )


def _time(operation_id: str, value: str) -> datetime:
    return rows.instant(f"operation {operation_id}", value)
