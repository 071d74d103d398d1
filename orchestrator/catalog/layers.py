"""The graph of layers: put into it, walk down it, find what nothing needs, drop what is gone.

Each question costs as much as the chains it is about are deep, not as the catalog is large.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from posixpath import dirname
from typing import Any, Protocol

from sqlalchemy import Select, delete, exists, select, update
from sqlalchemy.orm import Session, aliased

from ..errors import CatalogError
from ..model import Chain, CheckpointState, Layer, OperationState, chain_of, walk
from . import rows, verify_results
from .database import upsert
from .reachability import Node, unneeded
from .tables import ArtifactRow, CheckpointRow, HeadDiskRow, LayerRow, MemberRow, MixedDirectoryRow, OperationRow

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
    frozen += left_above(session, checkpoint.domain_uuid, frozen, without=checkpoint_ids)
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

    A layer that a checkpoint relies on keeps its file information, taken when it was frozen, and its backing file. Any
    other one (new, or an active overlay until now) gets those given.
    """
    for layer in _lowest_first(layers):
        row = session.scalar(_row(place.host_uuid, layer.path))
        if row is None:
            _insert(session, place, layer)
        elif not session.scalar(_is_relied_upon(row.id)) or _is_outdated(session, row, layer):
            row.backing_id = _backing_id(session, place, layer)
            row.capacity, row.kind = layer.capacity, layer.kind
            row.physical, row.allocation, row.mtime = layer.physical, layer.allocation, layer.mtime
            row.fingerprint, row.sha256 = layer.fingerprint, layer.sha256
            session.flush()


def _insert(session: Session, place: Place, layer: Layer) -> None:
    backing = _backing_id(session, place, layer)
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
        "fingerprint": layer.fingerprint,
        "sha256": layer.sha256,
    }
    # Domains that share a base may bring it here at the same time.
    upsert(session, LayerRow, key | values, key=list(key))


def _backing_id(session: Session, place: Place, layer: Layer) -> int | None:
    if layer.backing is None:
        return None
    return ids(session, place.host_uuid, [layer.backing])[layer.backing]


def _is_outdated(session: Session, row: LayerRow, layer: Layer) -> bool:
    """Whether a layer that only other layers are on is not what it was: it was rewritten outside snapctl, when no
    checkpoint relied on it any more."""
    if (row.physical, row.mtime, row.fingerprint) == (layer.physical, layer.mtime, layer.fingerprint):
        return False
    relying = verify_results.relying_on(row.host_uuid, row.path)
    return session.scalar(select(CheckpointRow.id).where(*relying).limit(1)) is None


def release(session: Session, place: Place, layer_ids: Sequence[int]) -> None:
    """Let active layers go that their domain left outside snapctl. Their files are not removed: they may be wanted.

    Those above a layer of a checkpoint stay catalogued until that checkpoint is deleted (`left_above`). Of all others,
    and of what is below them that nothing else refers to, nothing is known from then on.
    """
    for layer_id in layer_ids:
        below = list(session.scalars(_at_or_below([layer_id])))
        if session.scalar(select(exists().where(ArtifactRow.layer_id.in_(below)))):
            continue
        at: int | None = layer_id
        while at is not None and not session.scalar(_is_relied_upon(at)) and not session.scalar(_is_active(at)):
            row = session.get_one(LayerRow, at)
            at = row.backing_id
            session.delete(row)
            session.flush()


def left_above(session: Session, domain_uuid: str, frozen: Sequence[int], without: Sequence[str] = ()) -> list[int]:
    """The layers of a domain that it left outside snapctl (`release`) above layers that no checkpoint holds now, apart
    from checkpoints `without`."""
    row, disks = LayerRow, ArtifactRow
    holding = select(disks.layer_id).join(CheckpointRow, CheckpointRow.id == disks.checkpoint_id)
    holding = holding.where(CheckpointRow.state != CheckpointState.DELETING, CheckpointRow.id.not_in(without))
    held = set(session.scalars(holding.where(disks.layer_id.in_(frozen))))
    level, found = [layer_id for layer_id in frozen if layer_id not in held], list[int]()
    while level:
        above = select(row.id, row.discarded_by).where(
            row.backing_id.in_(level),
            row.domain_uuid == domain_uuid,
            row.operation_id.is_not(None),
            ~exists().where(disks.layer_id == row.id),
            ~exists().where(HeadDiskRow.layer_id == row.id),
        )
        level = [id_ for id_, discarded_by in session.execute(above) if discarded_by is None]  # here: see `_held`
        found += level
    return found


def discard(session: Session, member: MemberRow, released: Sequence[int]) -> list[Layer]:
    """Mark what nothing needs now that `released` were let go; all that the operation ever marked of this domain."""
    free = _unneeded(session, member.domain_uuid, released)
    marks = update(LayerRow).where(LayerRow.id.in_(free), LayerRow.discarded_by.is_(None))
    session.execute(marks.values(discarded_by=member.operation_id))
    return discarded(session, member.operation_id, member.domain_uuid)


def withdraw(session: Session, operation_id: str, domain_uuid: str) -> list[Layer]:
    """Take the mark off what something in the catalog came to need since; returns what nothing there stands on.

    What else is left of this operation's marks backs a layer that an earlier one discarded and could not remove.
    """
    marked = (LayerRow.discarded_by == operation_id, LayerRow.domain_uuid == domain_uuid)
    # Locked, so that who is about to stand on one of them either was seen here, or waits.
    columns = select(LayerRow.path, LayerRow.id, LayerRow.backing_id).where(*marked).with_for_update()
    found = session.execute(columns).all()
    ids_of, backing = {row.path: row.id for row in found}, {row.id: row.backing_id for row in found}
    needed = _with_all_below(_held(session, list(backing), ()), backing)
    session.execute(update(LayerRow).where(LayerRow.id.in_(needed)).values(discarded_by=None))
    kept = _with_all_below(_backing_others(session, backing.keys() - needed), backing)
    return [each for each in discarded(session, operation_id, domain_uuid) if ids_of[each.path] not in kept]


def forget(session: Session, operation: OperationRow, paths: Sequence[str]) -> None:
    """Drop the rows of layers that this operation discarded; those of others are refused.

    One that something came to need since is kept, without the mark: its file is gone, and `verify` says so.
    """
    at_paths = (LayerRow.host_uuid == operation.host_uuid, LayerRow.path.in_(paths))
    going: dict[int, int | None] = {}
    query = select(LayerRow.id, LayerRow.backing_id, LayerRow.path, LayerRow.discarded_by).where(*at_paths)
    for id_, backing_id, path, by in session.execute(query.with_for_update()):
        if by != operation.id:
            raise CatalogError(f"layer {path} was not discarded by this operation", effect="nothing was recorded")
        going[id_] = backing_id
    needed = _with_all_below(_held(session, list(going), ()), going)
    session.execute(update(LayerRow).where(LayerRow.id.in_(needed)).values(discarded_by=None))
    kept = _with_all_below(_backing_others(session, going.keys() - needed), going)
    session.execute(delete(LayerRow).where(LayerRow.id.in_(going.keys() - needed - kept)))


def leave(session: Session, operation: OperationRow, paths: Sequence[str]) -> None:
    """Drop the rows of layers that this operation discarded, and whose files stay: they are somebody's now."""
    for directory in {dirname(path) for path in paths}:
        key = {"host_uuid": operation.host_uuid, "path": directory}
        upsert(session, MixedDirectoryRow, key, key=list(key))
    forget(session, operation, paths)


def left_over(session: Session, host_uuid: str) -> list[Layer]:
    """The layers that a settled operation discarded, and whose files it could not remove."""
    settled = (LayerRow.host_uuid == host_uuid, OperationRow.state.in_((OperationState.DONE, OperationState.UNDONE)))
    query = with_backing().join(OperationRow, OperationRow.id == LayerRow.discarded_by).where(*settled)
    return [rows.layer(*found) for found in session.execute(query.order_by(LayerRow.id.desc()))]


def forget_left_over(session: Session, host_uuid: str, paths: Collection[str]) -> None:
    """Drop the rows of such layers; one that something needs is kept."""
    its = {layer.path for layer in left_over(session, host_uuid)} & set(paths)
    found = session.execute(
        select(LayerRow.id, LayerRow.backing_id).where(LayerRow.host_uuid == host_uuid, LayerRow.path.in_(its))
    ).all()
    going = {row.id: row.backing_id for row in found}
    held = _held(session, list(going), ()) | _backing_others(session, going.keys())
    session.execute(delete(LayerRow).where(LayerRow.id.in_(going.keys() - _with_all_below(held, going))))


# --------------------------------------------------------------------------- the graph


def _row(host_uuid: str, path: str) -> Select[LayerRow]:
    return select(LayerRow).where(LayerRow.host_uuid == host_uuid, LayerRow.path == path)


def _is_relied_upon(layer_id: int) -> Select[bool]:
    return select(exists().where(LayerRow.backing_id == layer_id) | exists().where(ArtifactRow.layer_id == layer_id))


def _is_active(layer_id: int) -> Select[bool]:
    return select(exists().where(HeadDiskRow.layer_id == layer_id))


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


def _with_all_below(tops: Collection[int | None], backing: Mapping[int, int | None]) -> set[int]:
    """Those of the layers in `backing`, and all that is below one, as far as `backing` has them."""
    found: set[int] = set()
    for top in tops:
        deque(walk(top if top in backing else None, lambda id_: _known(backing[id_], backing), found), maxlen=0)
    return found


def _known(id_: int | None, backing: Mapping[int, int | None]) -> int | None:
    return id_ if id_ in backing else None


def _backing_others(session: Session, layer_ids: Collection[int]) -> set[int]:
    """Which of these layers back one that is not among them."""
    above = select(LayerRow.backing_id).where(LayerRow.backing_id.in_(layer_ids), LayerRow.id.not_in(layer_ids))
    return {layer_id for layer_id in session.scalars(above) if layer_id is not None}


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
