"""A catalog rebuilt from the manifests in the store, in one transaction: complete or not at all."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from ..errors import Refused
from ..model import Host, OperationState, RebuiltDomain
from . import commits, layers, rows
from .database import upsert
from .tables import CheckpointRow, DomainRow, HostRow, MixedDirectoryRow, OperationRow


def rebuild(session: Session, host: Host, domains: Sequence[RebuiltDomain]) -> None:
    _refuse_used(session, host)
    upsert(session, HostRow, {"uuid": host.uuid, "name": host.name, "uri": host.uri}, key=["uuid"])
    for domain in domains:
        _add(session, domain)


def _refuse_used(session: Session, host: Host) -> None:
    if session.scalar(select(exists().where(CheckpointRow.host_uuid == host.uuid))):
        raise Refused(
            f"the catalog already has checkpoints of {host.name}: it is in use, and needs no rebuild",
            hint="to check it: snapctl doctor",
        )
    is_open = (OperationRow.host_uuid == host.uuid, OperationRow.state == OperationState.OPEN)
    if session.scalar(select(exists().where(*is_open))):
        raise Refused(f"the catalog has an unfinished operation on {host.name}", hint="first run: snapctl recover")


def _add(session: Session, domain: RebuiltDomain) -> None:
    upsert(
        session,
        DomainRow,
        {
            "host_uuid": domain.host_uuid,
            "uuid": domain.domain_uuid,
            "name": domain.name,
            "seen": rows.timestamp(domain.seen),
        },
        key=["host_uuid", "uuid"],
    )
    for path in domain.mixed_directories:
        upsert(session, MixedDirectoryRow, {"host_uuid": domain.host_uuid, "path": path}, key=["host_uuid", "path"])
    layers.put(session, domain, domain.layers)
    for checkpoint in domain.checkpoints:
        commits.add_checkpoint(session, checkpoint)
    if domain.head is not None:
        layers.put(session, domain, domain.overlays)
        commits.set_head(session, domain.head)
