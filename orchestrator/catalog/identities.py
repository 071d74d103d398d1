"""What the catalog is known by, and what it knows hosts and their stores by."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.orm import Session

from ..model import Host, KnownHost
from ..store.layout import operation_of
from . import reading
from .database import upsert
from .tables import CatalogRow, HostRow, OperationRow, StoreRow


def catalog_id(session: Session) -> str | None:
    return session.scalar(select(CatalogRow.id).limit(1))


def hosts(session: Session) -> list[KnownHost]:
    stores: dict[str, dict[str, str]] = {}
    for row in session.scalars(select(StoreRow)):
        stores.setdefault(row.host_uuid, {})[row.id] = row.path
    return [
        KnownHost(
            uuid=row.uuid,
            name=row.name,
            reported_uuid=row.reported_uuid or row.uuid,
            stores=stores.get(row.uuid, {}),
        )
        for row in session.scalars(select(HostRow).order_by(HostRow.uuid))
    ]


def record_store(session: Session, host: Host, reported_uuid: str, store_id: str, path: str) -> None:
    known = {"uuid": host.uuid, "name": host.name, "uri": host.uri, "reported_uuid": reported_uuid}
    upsert(session, HostRow, known, key=["uuid"])
    upsert(session, StoreRow, {"id": store_id, "host_uuid": host.uuid, "path": path}, key=["id"])


def knows_any(session: Session, host_uuid: str, directories: Iterable[str]) -> bool:
    """Whether the host has something, or had an operation, in one of these directories of operations."""
    return any(
        reading.known_paths(session, host_uuid, directory) or _is_operation(session, host_uuid, operation_of(directory))
        for directory in directories
    )


def _is_operation(session: Session, host_uuid: str, operation_id: str) -> bool:
    found = session.get(OperationRow, operation_id)
    return found is not None and found.host_uuid == host_uuid
