"""What operations commit: each function is the whole of one transaction, under the operation's row.

`operation` is the locked journal row (`journal.held`): what is written belongs to one of its domains.
Everything may be repeated, as a recovery does that cannot know how far its predecessor came.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.orm import Session

from ..errors import CatalogError
from ..model import ArtifactKind, Checkpoint, CheckpointState, Head, Labels, Layer
from . import journal, layers, rows
from .tables import ArtifactRow, CheckpointRow, HeadDiskRow, HeadRow, LayerRow, MemberRow, OperationRow, TagRow


def commit_checkpoint(
    session: Session,
    operation: OperationRow,
    checkpoint: Checkpoint,
    chains: Sequence[Layer],
    head: Head,
    overlays: Sequence[Layer],
) -> None:
    _member(session, operation, checkpoint.host_uuid, checkpoint.domain_uuid)
    member = _member(session, operation, head.host_uuid, head.domain_uuid)
    if session.get(CheckpointRow, checkpoint.id) is not None:
        return  # one transaction: all the rest is there too
    left = _leave_head(session, member, {layer.path for layer in chains})
    layers.release(session, member, left)
    layers.put(session, member, chains)
    add_checkpoint(session, checkpoint)
    layers.put(session, member, overlays)
    set_head(session, head)


def commit_rollback(session: Session, operation: OperationRow, head: Head, overlays: Sequence[Layer]) -> list[Layer]:
    """Returns the layers that nothing needs any more, the newest first."""
    member = _member(session, operation, head.host_uuid, head.domain_uuid)
    layers.put(session, member, overlays)
    released = list(session.scalars(select(HeadDiskRow.layer_id).where(*_disks_of_head(member))))
    set_head(session, head)
    return layers.discard(session, member, released)


def hide_checkpoint(session: Session, operation: OperationRow, checkpoint_id: str) -> list[Layer]:
    """Returns the layers that only that checkpoint needed, the newest first; none when it is gone."""
    row = _checkpoint_row(session, operation, checkpoint_id)
    if row is None:
        return []
    member = journal.member(session, operation, row.domain_uuid)
    row.state = CheckpointState.DELETING
    _leave_to_parent(session, row)
    session.flush()
    frozen = layers.frozen_by(session, checkpoint_id)
    return layers.discard(session, member, [*frozen, *layers.left_above(session, member.domain_uuid, frozen)])


def edit_checkpoint(session: Session, operation: OperationRow, checkpoint_id: str, labels: Labels) -> None:
    row = _checkpoint_row(session, operation, checkpoint_id)
    if row is None or row.state != CheckpointState.READY:
        raise CatalogError(f"there is no checkpoint {checkpoint_id} to edit", effect="nothing was recorded")
    row.name, row.description, row.protected = labels.name, labels.description, labels.protected
    row.expires = rows.timestamp(labels.expires) if labels.expires else None
    session.execute(delete(TagRow).where(TagRow.checkpoint_id == checkpoint_id))
    _add_tags(session, checkpoint_id, labels.tags)


def record_sha256(session: Session, operation: OperationRow, checkpoint_id: str, sha256: str) -> None:
    """Raises `CatalogError` when a different hash is recorded already."""
    row = _checkpoint_row(session, operation, checkpoint_id)
    its = (ArtifactRow.checkpoint_id == checkpoint_id, ArtifactRow.kind == ArtifactKind.MEMORY)
    image = session.scalar(select(ArtifactRow).where(*its)) if row is not None else None
    if row is None or image is None or image.sha256 not in (None, sha256):
        has = "is not in the catalog" if row is None else "has no memory image"
        problem = has if image is None else "already has a different SHA-256"
        raise CatalogError(f"checkpoint {checkpoint_id} {problem}", effect="nothing was recorded")
    image.sha256 = sha256


def forget_checkpoint(session: Session, operation: OperationRow, checkpoint_id: str) -> None:
    """Nothing descends from it any more; tags and artifacts go with it."""
    row = _checkpoint_row(session, operation, checkpoint_id)
    if row is None:
        return
    if row.state != CheckpointState.DELETING:
        raise CatalogError(f"checkpoint {checkpoint_id} is not being deleted", effect="nothing was recorded")
    session.delete(row)


# --------------------------------------------------------------------------- rows


def add_checkpoint(session: Session, checkpoint: Checkpoint) -> None:
    """The rows of a checkpoint whose layers and parent are catalogued."""
    frozen = layers.ids(session, checkpoint.host_uuid, [layer.path for layer in checkpoint.layers.values()])
    session.add(rows.checkpoint_row(checkpoint))
    session.flush()  # before what refers to it
    session.add(rows.document_row(checkpoint))
    session.add_all(rows.artifact_rows(checkpoint, frozen))
    _add_tags(session, checkpoint.id, checkpoint.labels.tags)


def _add_tags(session: Session, checkpoint_id: str, tags: Sequence[str]) -> None:
    for position, tag in enumerate(dict.fromkeys(tags)):
        session.add(TagRow(checkpoint_id=checkpoint_id, tag=tag, position=position))


def set_head(session: Session, head: Head) -> None:
    """Put a head in the place of the one there was; its checkpoint and overlays are catalogued."""
    place = {"host_uuid": head.host_uuid, "domain_uuid": head.domain_uuid}
    active = layers.ids(session, head.host_uuid, list(head.overlays.values()))
    session.merge(HeadRow(**place, checkpoint_id=head.checkpoint_id, kept_id=head.kept_id))
    session.flush()
    session.execute(delete(HeadDiskRow).where(*_disks_of_head(head)))
    session.add_all(HeadDiskRow(**place, target=disk, layer_id=active[path]) for disk, path in head.overlays.items())
    session.flush()


def _leave_head(session: Session, member: MemberRow, frozen: set[str]) -> list[int]:
    """Returns the active layers that the domain had and that are not in the chains of its new checkpoint: it was given
    other disks outside snapctl."""
    active = select(LayerRow.id, LayerRow.path).join(HeadDiskRow, HeadDiskRow.layer_id == LayerRow.id)
    left = [row.id for row in session.execute(active.where(*_disks_of_head(member))) if row.path not in frozen]
    if left:
        session.execute(delete(HeadDiskRow).where(*_disks_of_head(member)))
    return left


def _disks_of_head(place: layers.Place) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return HeadDiskRow.host_uuid == place.host_uuid, HeadDiskRow.domain_uuid == place.domain_uuid


def _checkpoint_row(session: Session, operation: OperationRow, checkpoint_id: str) -> CheckpointRow | None:
    row = session.get(CheckpointRow, checkpoint_id)
    if row is not None:
        _member(session, operation, row.host_uuid, row.domain_uuid)
    return row


def _leave_to_parent(session: Session, row: CheckpointRow) -> None:
    """Its children and a head that refers to it get its parent; it is no longer what was kept for an undo."""
    children, heads = update(CheckpointRow), update(HeadRow)
    session.execute(children.where(CheckpointRow.parent_id == row.id).values(parent_id=row.parent_id))
    session.execute(heads.where(HeadRow.checkpoint_id == row.id).values(checkpoint_id=row.parent_id))
    session.execute(heads.where(HeadRow.kept_id == row.id).values(kept_id=None))


def _member(session: Session, operation: OperationRow, host_uuid: str, domain_uuid: str) -> MemberRow:
    """Raises `ValueError` for a domain that is none of the operation's: it may change no other."""
    member = journal.member(session, operation, domain_uuid)
    if host_uuid != member.host_uuid:
        raise ValueError(f"operation {operation.id} is not on host {host_uuid}")
    return member
