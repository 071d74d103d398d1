"""What the catalog can be asked about checkpoints, heads and files; the answers as the model's values."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from posixpath import dirname
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Select, and_, cast, func, select
from sqlalchemy.orm import Session, aliased

from ..model import ArtifactKind, Checkpoint, CheckpointState, CheckpointSummary, Head, walk
from . import exclusive_size, rows
from .database import beginning_with
from .layers import Backing
from .tables import (
    ArtifactRow,
    CheckpointRow,
    DocumentRow,
    DomainRow,
    HeadDiskRow,
    HeadRow,
    LayerRow,
    MixedDirectoryRow,
    TagRow,
)

_Parent = aliased(CheckpointRow, name="parent")
_Memory = aliased(ArtifactRow, name="memory")
_ITS_DOMAIN = and_(DomainRow.host_uuid == CheckpointRow.host_uuid, DomainRow.uuid == CheckpointRow.domain_uuid)


def domain_uuid(session: Session, host_uuid: str, name: str) -> str | None:
    query = select(DomainRow.uuid).where(DomainRow.host_uuid == host_uuid, DomainRow.name == name)
    return session.scalar(query.order_by(DomainRow.seen.desc(), DomainRow.uuid).limit(1))


# --------------------------------------------------------------------------- checkpoints


def checkpoint(session: Session, *which: ColumnElement[bool]) -> Checkpoint | None:
    """The one checkpoint that fits, with its documents, tags and disks."""
    query = (
        select(CheckpointRow, DocumentRow)
        .join(DocumentRow, DocumentRow.checkpoint_id == CheckpointRow.id)
        .where(*which)
    )
    found = session.execute(query).one_or_none()
    if found is None:
        return None
    row, document = found
    tags = session.scalars(select(TagRow.tag).where(TagRow.checkpoint_id == row.id).order_by(TagRow.position)).all()
    artifacts = (
        select(ArtifactRow, LayerRow, Backing.path)
        .outerjoin(LayerRow, ArtifactRow.layer_id == LayerRow.id)
        .outerjoin(Backing, LayerRow.backing_id == Backing.id)
        .where(ArtifactRow.checkpoint_id == row.id)
        .order_by(ArtifactRow.position)
    )
    return rows.checkpoint(row, document, tags, list(session.execute(artifacts)))


def some_checkpoint(session: Session, host_uuid: str, domain_uuid: str) -> Checkpoint | None:
    """The first that the database finds, so that it need not look at the others."""
    its = select(CheckpointRow.id).where(CheckpointRow.host_uuid == host_uuid, CheckpointRow.domain_uuid == domain_uuid)
    found = session.scalar(its.limit(1))
    return checkpoint(session, CheckpointRow.id == found) if found is not None else None


def ready_names(session: Session, host_uuid: str, domain_uuid: str, beginning: str) -> list[str]:
    row = CheckpointRow
    its = (row.host_uuid == host_uuid, row.domain_uuid == domain_uuid, row.state == CheckpointState.READY)
    named = select(row.name).where(*its, beginning_with(session, row.name, beginning))
    return list(session.scalars(named.order_by(row.created, row.id)))


def child_names(session: Session, checkpoint_id: str) -> list[str]:
    children = select(CheckpointRow.name).where(CheckpointRow.parent_id == checkpoint_id)
    return list(session.scalars(children.order_by(CheckpointRow.created, CheckpointRow.id)))


def ancestors(session: Session, checkpoint_id: str) -> list[str]:
    """The ids of those that a checkpoint descends from, its parent first. One query; ends on a circle, too."""
    row = CheckpointRow
    start = select(row.id, row.parent_id).where(row.id == checkpoint_id).cte("line", recursive=True)
    above = start.union(select(row.id, row.parent_id).join(start, row.id == start.c.parent_id))
    parents = dict(session.execute(select(above.c.id, above.c.parent_id)).all())
    return [each for each in walk(checkpoint_id, parents.get) if each != checkpoint_id]


def summaries(session: Session, *which: ColumnElement[bool]) -> list[CheckpointSummary]:
    """All checkpoints that fit, oldest first: three queries however many there are."""
    tags = _tags(session, which)
    kept = exclusive_size.layer_bytes(session, which)
    found = session.execute(_summaries(which))
    names = tuple(found.keys())
    summaries = []
    for values in found:
        columns = dict(zip(names, values, strict=True))
        summaries.append(rows.summary(columns, tags[columns["id"]], kept.get(columns["id"], 0)))
    return summaries


def _summaries(which: Sequence[ColumnElement[bool]]) -> Select[*tuple[Any, ...]]:
    """Columns named as the fields of `CheckpointSummary`, whether it is not hashed yet, and the damage."""
    row = CheckpointRow
    disk_bytes = (
        select(func.coalesce(func.sum(LayerRow.allocation), 0))
        .join(ArtifactRow, ArtifactRow.layer_id == LayerRow.id)
        .where(ArtifactRow.checkpoint_id == row.id, LayerRow.operation_id.is_not(None))
        .scalar_subquery()
    )
    return (
        select(
            *(row.id, row.domain_uuid, row.name, row.parent_id, row.created, row.mode, row.state, row.description),
            DomainRow.name.label("domain"),
            _Parent.name.label("parent"),
            HeadRow.checkpoint_id.is_not(None).label("current"),
            func.coalesce(_Memory.size, 0).label("memory_bytes"),
            and_(_Memory.path.is_not(None), _Memory.sha256.is_(None)).label("unhashed"),
            *(row.damage, row.expires, row.protected),
            cast(disk_bytes, BigInteger).label("disk_bytes"),
        )
        .join(DomainRow, _ITS_DOMAIN)
        .outerjoin(_Parent, _Parent.id == row.parent_id)
        .outerjoin(_Memory, and_(_Memory.checkpoint_id == row.id, _Memory.kind == ArtifactKind.MEMORY))
        .outerjoin(HeadRow, HeadRow.checkpoint_id == row.id)
        .where(*which)
        .order_by(row.created, row.id)
    )


def _tags(session: Session, which: Sequence[ColumnElement[bool]]) -> dict[str, list[str]]:
    tags: dict[str, list[str]] = defaultdict(list)
    query = select(TagRow.checkpoint_id, TagRow.tag).join(CheckpointRow, CheckpointRow.id == TagRow.checkpoint_id)
    for checkpoint_id, tag in session.execute(query.where(*which).order_by(TagRow.position)):
        tags[checkpoint_id].append(tag)
    return tags


# --------------------------------------------------------------------------- heads and files


def head(session: Session, host_uuid: str, domain_uuid: str) -> Head | None:
    row = session.get(HeadRow, (host_uuid, domain_uuid))
    if row is None:
        return None
    disks = (
        select(HeadDiskRow.target, LayerRow.path)
        .join(LayerRow, LayerRow.id == HeadDiskRow.layer_id)
        .where(HeadDiskRow.host_uuid == host_uuid, HeadDiskRow.domain_uuid == domain_uuid)
        .order_by(HeadDiskRow.target)
    )
    overlays = dict(session.execute(disks).all())
    return rows.head(row, overlays)


def known_paths(session: Session, host_uuid: str, directory: str) -> list[str]:
    """Every catalogued file right in that directory, sorted."""
    directory = directory.rstrip("/")
    below = beginning_with(session, LayerRow.path, f"{directory}/")
    layers = select(LayerRow.path).where(LayerRow.host_uuid == host_uuid, below)
    row = ArtifactRow
    # The host is looked at here: asked for it, SQLite takes the index over that column.
    own = (
        select(row.path, CheckpointRow.host_uuid)
        .join(CheckpointRow, CheckpointRow.id == row.checkpoint_id)
        .where(row.kind != ArtifactKind.DISK, beginning_with(session, row.path, f"{directory}/"))
    )
    files = (path for path, its_host in session.execute(own) if its_host == host_uuid and path is not None)
    found = {*session.scalars(layers), *files}
    return sorted(path for path in found if dirname(path) == (directory or "/"))


def known_directories(session: Session, host_uuid: str) -> frozenset[str]:
    """Where the layers that snapctl made, and the files that checkpoints alone have, are: and no other files."""
    layers = select(LayerRow.path).where(LayerRow.host_uuid == host_uuid, LayerRow.operation_id.is_not(None))
    row = ArtifactRow
    own = (
        select(row.path)
        .join(CheckpointRow, CheckpointRow.id == row.checkpoint_id)
        .where(CheckpointRow.host_uuid == host_uuid, row.kind != ArtifactKind.DISK)
    )
    paths = (*session.scalars(layers), *session.scalars(own))
    mixed = session.scalars(select(MixedDirectoryRow.path).where(MixedDirectoryRow.host_uuid == host_uuid))
    return frozenset(dirname(path) for path in paths if path is not None) - frozenset(mixed)
