"""The graph of layers: put into it, walk down it, find what nothing needs, drop what is gone.

Each question costs as much as the chains it is about are deep, not as the catalog is large.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Protocol

from sqlalchemy import Select, delete, exists, select, update
from sqlalchemy.orm import Session, aliased

from ..errors import CatalogError
from ..model import Chain, CheckpointState, Layer, chain_of
from . import rows
from .database import upsert
from .reachability import Node, unneeded
from .tables import ArtifactRow, CheckpointRow, HeadDiskRow, LayerRow, MemberRow, OperationRow

Backing = aliased(LayerRow, name="backing")


class Place(Protocol):
    """Of which domain something is: a journal row, a checkpoint or a head."""

    @property
    def host_uuid(self) -> str: ...
    @property
    def domain_uuid(self) -> str: ...


# --------------------------------------------------------------------------- reading


def with_backing() -> Select[LayerRow, str]:
    return select(LayerRow, Backing.path).outerjoin(Backing, LayerRow.backing_id == Backing.id)


def find(session: Session, host_uuid: str, path: str) -> Layer | None:
    query = with_backing().where(LayerRow.host_uuid == host_uuid, LayerRow.path == path)
    found = session.execute(query).one_or_none()
    return rows.layer(*found) if found else None


def chain(session: Session, host_uuid: str, path: str) -> Chain[Layer]:
    """The layer at `path` and all below it, nearest first."""
    top = session.scalar(select(LayerRow.id).where(LayerRow.host_uuid == host_uuid, LayerRow.path == path))
    if top is None:
        return Chain()
    found = session.execute(with_backing().where(LayerRow.id.in_(_at_or_below([top]))))
    chain = chain_of(path, {row.path: rows.layer(row, backing) for row, backing in found})
    lowest = chain.layers[-1]
    if lowest.backing is not None:  # it is in the chain already: a foreign key has every backing file catalogued
        raise CatalogError(f"the catalog's row of layer {lowest.path} is damaged: it is in its own backing chain")
    return chain


def discarded(session: Session, operation_id: str, domain_uuid: str) -> list[Layer]:
    """The layers of a domain that an operation discarded, newest first: no layer comes after its backing file."""
    marked = (LayerRow.discarded_by == operation_id, LayerRow.domain_uuid == domain_uuid)
    query = with_backing().where(*marked).order_by(LayerRow.id.desc())
    return [rows.layer(*found) for found in session.execute(query)]


def freed_by(session: Session, checkpoint_ids: Sequence[str]) -> list[Layer]:
    """What nothing would need if these checkpoints of one domain were gone, newest first."""
    checkpoint = session.get(CheckpointRow, checkpoint_ids[0]) if checkpoint_ids else None
    if checkpoint is None:
        return []
    frozen = [layer_id for each in checkpoint_ids for layer_id in frozen_by(session, each)]
    free = _unneeded(session, checkpoint.domain_uuid, frozen, without=checkpoint_ids)
    query = with_backing().where(LayerRow.id.in_(free)).order_by(LayerRow.id.desc())
    return [rows.layer(*found) for found in session.execute(query)]


def frozen_by(session: Session, checkpoint_id: str) -> list[int]:
    disks = ArtifactRow
    query = select(disks.layer_id).where(disks.checkpoint_id == checkpoint_id, disks.layer_id.is_not(None))
    return [layer_id for layer_id in session.scalars(query) if layer_id is not None]


def ids(session: Session, host_uuid: str, paths: Collection[str]) -> dict[str, int]:
    """The ids of catalogued layers by path. Raises `CatalogError` when one is not catalogued."""
    query = select(LayerRow.path, LayerRow.id).where(LayerRow.host_uuid == host_uuid, LayerRow.path.in_(paths))
    found = dict(session.execute(query).all())
    for path in paths:
        if path not in found:
            raise CatalogError(f"layer {path} is not in the catalog", effect="nothing was recorded")
    return found


# --------------------------------------------------------------------------- changing


def put(session: Session, place: Place, layers: Iterable[Layer]) -> None:
    """Catalogue layers, in any order, with their backing chains.

    A layer that something relies on keeps its file information: it was taken when the layer was frozen. Any other one
    (new, or an active overlay until now) gets those given.
    """
    for layer in _lowest_first(layers):
        row = session.scalar(_row(place.host_uuid, layer.path))
        if row is None:
            _insert(session, place, layer)
        elif not session.scalar(_is_relied_upon(row.id)):
            row.capacity, row.kind = layer.capacity, layer.kind
            row.physical, row.allocation, row.mtime = layer.physical, layer.allocation, layer.mtime
            row.sha256 = layer.sha256
            session.flush()


def _insert(session: Session, place: Place, layer: Layer) -> None:
    backing = None
    if layer.backing is not None:
        backing = ids(session, place.host_uuid, [layer.backing])[layer.backing]
    key = {"host_uuid": place.host_uuid, "path": layer.path}
    values = {
        "domain_uuid": place.domain_uuid,
        "target": layer.target,
        "format": layer.format,
        "capacity": layer.capacity,
        "kind": layer.kind,
        "backing_id": backing,
        "operation_id": layer.operation_id,
        "physical": layer.physical,
        "allocation": layer.allocation,
        "mtime": layer.mtime,
        "sha256": layer.sha256,
    }
    # Domains that share a base may bring it here at the same time.
    upsert(session, LayerRow, key | values, key=list(key))


def discard(session: Session, member: MemberRow, released: Sequence[int]) -> list[Layer]:
    """Mark what nothing needs now that `released` were let go; all that the operation ever marked of this domain."""
    free = _unneeded(session, member.domain_uuid, released)
    marks = update(LayerRow).where(LayerRow.id.in_(free), LayerRow.discarded_by.is_(None))
    session.execute(marks.values(discarded_by=member.operation_id))
    return discarded(session, member.operation_id, member.domain_uuid)


def forget(session: Session, operation: OperationRow, paths: Sequence[str]) -> None:
    """Drop the rows of layers that this operation discarded; those of others are refused."""
    at_paths = (LayerRow.host_uuid == operation.host_uuid, LayerRow.path.in_(paths))
    for path, by in session.execute(select(LayerRow.path, LayerRow.discarded_by).where(*at_paths)):
        if by != operation.id:
            raise CatalogError(f"layer {path} was not discarded by this operation", effect="nothing was recorded")
    session.execute(delete(LayerRow).where(*at_paths))


# --------------------------------------------------------------------------- the graph


def _row(host_uuid: str, path: str) -> Select[LayerRow]:
    return select(LayerRow).where(LayerRow.host_uuid == host_uuid, LayerRow.path == path)


def _is_relied_upon(layer_id: int) -> Select[bool]:
    return select(exists().where(LayerRow.backing_id == layer_id) | exists().where(ArtifactRow.layer_id == layer_id))


def _lowest_first(layers: Iterable[Layer]) -> list[Layer]:
    """Each layer once, after its backing file."""
    waiting = {layer.path: layer for layer in layers}
    ordered: list[Layer] = []
    while waiting:
        path = next(iter(waiting))
        branch: list[Layer] = []
        while path in waiting:
            branch.append(waiting.pop(path))
            path = branch[-1].backing or ""
        ordered += reversed(branch)
    return ordered


def _at_or_below(layer_ids: Sequence[int]) -> Any:
    """A query for the ids of these layers and of their backing chains; ends on a cycle too."""
    start = select(LayerRow.id, LayerRow.backing_id).where(LayerRow.id.in_(layer_ids))
    walk = start.cte("walk", recursive=True)
    below = select(LayerRow.id, LayerRow.backing_id).join(walk, LayerRow.id == walk.c.backing_id)
    return select(walk.union(below).c.id)


def _unneeded(session: Session, domain_uuid: str, released: Sequence[int], without: Sequence[str] = ()) -> set[int]:
    """The layers of the domain at or below `released` that nothing needs, apart from checkpoints `without`."""
    row = LayerRow  # of which little is asked: chains are deep
    walked = select(row.id, row.backing_id, row.operation_id, row.domain_uuid).where(row.id.in_(_at_or_below(released)))
    found = session.execute(walked).all()
    held = _held(session, [row.id for row in found], without)
    return unneeded(
        Node(
            id=row.id,
            backing=row.backing_id,
            ours=row.operation_id is not None and row.domain_uuid == domain_uuid,
            held=row.id in held,
        )
        for row in found
    )


def _held(session: Session, layer_ids: Sequence[int], without: Sequence[str]) -> set[int | None]:
    """Which of these layers a checkpoint, a head, or a layer that is not one of them relies on."""
    disks = ArtifactRow
    frozen = (
        select(disks.layer_id)
        .join(CheckpointRow, CheckpointRow.id == disks.checkpoint_id)
        .where(disks.layer_id.in_(layer_ids), CheckpointRow.state != CheckpointState.DELETING)
    )
    if without:
        frozen = frozen.where(CheckpointRow.id.not_in(without))
    active = select(HeadDiskRow.layer_id).where(HeadDiskRow.layer_id.in_(layer_ids))
    # Which of them are discarded is looked at here: asked for those that are not, SQLite takes the
    # index over that column, which has nearly every layer of the catalog under NULL.
    above = select(LayerRow.backing_id, LayerRow.discarded_by).where(
        LayerRow.backing_id.in_(layer_ids), LayerRow.id.not_in(layer_ids)
    )
    backing = {layer_id for layer_id, discarded_by in session.execute(above) if discarded_by is None}
    return backing.union(session.scalars(frozen), session.scalars(active))
