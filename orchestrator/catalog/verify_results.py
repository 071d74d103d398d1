"""What verify asks of the catalog, and what it writes: hashes and marks, never what a rollback is made from.

No operation is open and no lease is held: each function is one transaction that holds for itself.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, select, union, update
from sqlalchemy.orm import Session, aliased

from ..model import ArtifactKind, CheckpointState, Layer
from .tables import ArtifactRow, CheckpointRow, LayerRow


def relying_on(host_uuid: str, path: str) -> tuple[ColumnElement[bool], ...]:
    """Which checkpoints are ready and could not be restored without that file."""
    at = select(LayerRow.id).where(LayerRow.host_uuid == host_uuid, LayerRow.path == path).cte("above", recursive=True)
    above = at.union(select(LayerRow.id).join(at, LayerRow.backing_id == at.c.id))
    artifact, its = ArtifactRow, aliased(CheckpointRow)
    own = select(its.id).join(artifact, artifact.checkpoint_id == its.id).where(artifact.path == path)
    # Asked apart, each is served by an index. So is the whole, unless asked for the host: SQLite takes that index then.
    needing = union(
        select(artifact.checkpoint_id).where(artifact.layer_id.in_(select(above.c.id))),
        own.where(its.host_uuid == host_uuid),
    )
    return CheckpointRow.id.in_(needing), CheckpointRow.state == CheckpointState.READY


def mark_damage(session: Session, checkpoint_id: str, damage: str | None) -> None:
    """A checkpoint that is gone needs no mark."""
    session.execute(update(CheckpointRow).where(CheckpointRow.id == checkpoint_id).values(damage=damage))


def record_memory_read(session: Session, checkpoint_id: str, sha256: str) -> None:
    """Only where there is none: a hash, once recorded, is never replaced."""
    image = (ArtifactRow.checkpoint_id == checkpoint_id, ArtifactRow.kind == ArtifactKind.MEMORY)
    session.execute(update(ArtifactRow).where(*image, ArtifactRow.sha256.is_(None)).values(sha256=sha256))


def renew_layer_time(session: Session, host_uuid: str, layer: Layer, mtime: str) -> None:
    """Only while the catalog has the facts, and the content, of what was read."""
    compared = (
        LayerRow.host_uuid == host_uuid,
        LayerRow.path == layer.path,
        LayerRow.physical == layer.physical,
        LayerRow.mtime == layer.mtime,
        LayerRow.sha256 == layer.sha256,
    )
    session.execute(update(LayerRow).where(*compared).values(mtime=mtime))


def record_layer_read(session: Session, host_uuid: str, layer: Layer, sha256: str) -> None:
    """Only where there is none, and only while the catalog has the file information of what was read."""
    unread = (
        LayerRow.host_uuid == host_uuid,
        LayerRow.path == layer.path,
        LayerRow.physical == layer.physical,
        LayerRow.mtime == layer.mtime,
        LayerRow.sha256.is_(None),
    )
    session.execute(update(LayerRow).where(*unread).values(sha256=sha256))
