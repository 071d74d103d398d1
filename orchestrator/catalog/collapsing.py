"""Which layers can be collapsed into the one above them, and what is recorded of a layer that was rewritten."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import ColumnElement, exists, select
from sqlalchemy.orm import Session

from ..errors import CatalogError
from ..model import CheckpointState, Collapsible, Layer, walk
from . import journal, layers, rows
from .tables import ArtifactRow, CheckpointRow, HeadDiskRow, LayerRow, MemberRow, OperationRow

_KEPT = LayerRow.discarded_by.is_(None)


def collapsible(
    session: Session, host_uuid: str, domain_uuid: str, paths: Sequence[str] | None = None
) -> list[Collapsible]:
    """Lowest first. Costs as much as there are candidates: all layers of the domain, or those at `paths` and below."""
    query = select(LayerRow).where(LayerRow.host_uuid == host_uuid, LayerRow.domain_uuid == domain_uuid, _passing())
    if paths is not None:
        query = query.where(LayerRow.path.in_(paths))
    found: dict[int, Collapsible] = {}
    for candidate in session.scalars(query.order_by(LayerRow.id)):
        if (child := _only_child(session, candidate)) is not None:
            while _is_passing(session, child) and (above := _only_child(session, child)) is not None:
                child = above
            if child.id not in found and child.operation_id is not None:
                found[child.id] = _from(session, child)
    return list(found.values())


def begin_rewrite(session: Session, operation: OperationRow, path: str) -> None:
    row = _row(session, operation, path)
    if row.rewritten_by not in (None, operation.id):
        raise CatalogError(f"layer {path} is being rewritten by another operation", effect="nothing was recorded")
    row.rewritten_by = operation.id


def commit_rewrite(session: Session, operation: OperationRow, layer: Layer) -> list[Layer]:
    row = _row(session, operation, layer.path)
    member = journal.member(session, operation, row.domain_uuid)
    released = [row.backing_id] if row.backing_id is not None else []
    backing = layers.ids(session, operation.host_uuid, [layer.backing])[layer.backing] if layer.backing else None
    row.backing_id, row.rewritten_by, row.sha256 = backing, None, layer.sha256
    row.physical, row.allocation, row.mtime = layer.physical, layer.allocation, layer.mtime
    session.flush()
    return layers.discard(session, member, released)


# --------------------------------------------------------------------------- the graph


def _passing() -> ColumnElement[bool]:
    """Layers of ours that no checkpoint and no head needs for itself."""
    frozen = (
        exists()
        .where(ArtifactRow.layer_id == LayerRow.id)
        .where(CheckpointRow.id == ArtifactRow.checkpoint_id)
        .where(CheckpointRow.state != CheckpointState.DELETING)
    )
    active = exists().where(HeadDiskRow.layer_id == LayerRow.id)
    return LayerRow.operation_id.is_not(None) & _KEPT & ~frozen & ~active


def _is_passing(session: Session, row: LayerRow) -> bool:
    return session.scalar(select(LayerRow.id).where(LayerRow.id == row.id, _passing())) is not None


def _only_child(session: Session, row: LayerRow) -> LayerRow | None:
    children = session.scalars(select(LayerRow).where(LayerRow.backing_id == row.id, _KEPT).limit(2)).all()
    return children[0] if len(children) == 1 else None


def _from(session: Session, top: LayerRow) -> Collapsible:
    """What is below `top`, down to the first layer that something else needs, too."""
    absorbed = list(_passed(session, top))
    lowest = absorbed[-1] if absorbed else top
    return Collapsible(
        layer=_layer(session, top),
        absorbed=tuple(_layer(session, row) for row in absorbed),
        base=_layer(session, base) if (base := _below(session, lowest)) is not None else None,
    )


def _passed(session: Session, top: LayerRow) -> Iterator[LayerRow]:
    for row in walk(_below(session, top), lambda row: _below(session, row)):
        if not _is_passing(session, row) or _only_child(session, row) is None:
            return
        yield row


def _below(session: Session, row: LayerRow) -> LayerRow | None:
    return session.get(LayerRow, row.backing_id) if row.backing_id is not None else None


def _layer(session: Session, row: LayerRow) -> Layer:
    below = _below(session, row)
    return rows.layer(row, below.path if below else None)


def _row(session: Session, operation: OperationRow, path: str) -> LayerRow:
    row = session.scalar(select(LayerRow).where(LayerRow.host_uuid == operation.host_uuid, LayerRow.path == path))
    if row is None or session.get(MemberRow, (operation.id, row.domain_uuid)) is None:
        raise CatalogError(f"layer {path} does not belong to this domain", effect="nothing was recorded")
    return row
