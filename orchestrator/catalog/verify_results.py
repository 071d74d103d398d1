"""What verify asks of the catalog, and what it writes: hashes and marks, never what a rollback is made from.

No operation is open and no lease is held: each function is one transaction that holds for itself.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import ColumnElement, select, union, update
from sqlalchemy.orm import Session, aliased

from ..model import ArtifactKind, CheckpointDisk, CheckpointState, Layer, MemoryImage
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


def record_layer(session: Session, host_uuid: str, then: Layer, now: Layer) -> None:
    """Only while the catalog has what was compared."""
    its = (LayerRow.host_uuid == host_uuid, LayerRow.path == then.path)
    session.execute(
        update(LayerRow).where(*its, *_as_recorded(LayerRow, then, OF_LAYER)).values(_values(now, OF_LAYER))
    )


def record_memory(session: Session, checkpoint_id: str, then: MemoryImage, now: MemoryImage) -> None:
    image = (ArtifactRow.checkpoint_id == checkpoint_id, ArtifactRow.kind == ArtifactKind.MEMORY)
    known = _as_recorded(ArtifactRow, then, OF_MEMORY)
    session.execute(update(ArtifactRow).where(*image, *known).values(_values(now, OF_MEMORY)))


def record_medium(session: Session, checkpoint_id: str, then: CheckpointDisk, now: CheckpointDisk) -> None:
    its = (
        ArtifactRow.checkpoint_id == checkpoint_id,
        ArtifactRow.kind == ArtifactKind.DISK,
        ArtifactRow.target == then.target,
        ArtifactRow.layer_id.is_(None),
    )
    known = _as_recorded(ArtifactRow, then, OF_MEDIUM)
    session.execute(update(ArtifactRow).where(*its, *known).values(_values(now, OF_MEDIUM)))


OF_LAYER = ("physical", "mtime", "fingerprint", "sha256")
OF_MEMORY = ("mtime", "sha256")
OF_MEDIUM = ("size", "mtime", "fingerprint", "sha256")


def _as_recorded(
    row: type[LayerRow] | type[ArtifactRow], then: object, names: Iterable[str]
) -> list[ColumnElement[bool]]:
    return [getattr(row, name).is_not_distinct_from(getattr(then, name)) for name in names]


def _values(of: object, names: Iterable[str]) -> dict[str, object]:
    return {name: getattr(of, name) for name in names}
