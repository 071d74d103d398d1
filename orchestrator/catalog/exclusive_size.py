"""What each of many checkpoints alone keeps: one query, and time linear in the layers it is about.

`layers.freed_by` says the same of one checkpoint, and which layers they are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from sys import intern
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Select, cast, select
from sqlalchemy.orm import Session

from ..model import CheckpointState
from .reachability import HEAD, Held, kept_alone
from .tables import ArtifactRow, CheckpointRow, HeadDiskRow, LayerRow

ROWS_AT_ONCE = 1000
"""A list of ten thousand is not to need more memory than it must: strings that recur are kept once, too."""


def layer_bytes(session: Session, which: Sequence[ColumnElement[bool]]) -> Mapping[str, int]:
    """Allocation, when they froze, of the layers of ours that only one checkpoint needs, by its id.

    For the checkpoints that fit; for others it may report less than there is.
    """
    kept: dict[str, int] = defaultdict(int)
    for checkpoint_id, _, size in layers_alone(session, which):
        kept[checkpoint_id] += size
    return kept


def layers_alone(session: Session, which: Sequence[ColumnElement[bool]]) -> Iterator[tuple[str, int, int]]:
    """Each of those layers: the checkpoint's id, the layer's, and its bytes."""
    held: dict[int, Held] = {}
    ours: dict[int, tuple[str, int]] = {}  # of the layers of ours: domain and bytes
    domains: dict[str, str] = {}  # by checkpoint
    query = _around(which).execution_options(yield_per=ROWS_AT_ONCE)
    for id_, backing, domain, size, is_ours, discarded, active, checkpoint_id, its_domain, state in session.execute(
        query
    ):
        holders, leaving = _holders(state, checkpoint_id, active)
        if id_ in held:  # several hold it: a row each
            holders, leaving = held[id_].holders + holders, held[id_].leaving + leaving
        held[id_] = Held(id=id_, backing=backing, discarded=discarded, holders=holders, leaving=leaving)
        if checkpoint_id is not None:
            domains[checkpoint_id] = intern(its_domain)
        if is_ours:
            ours[id_] = (intern(domain), size or 0)
    for checkpoint_id, layer_id in kept_alone(held.values()):
        domain, size = ours.get(layer_id, ("", 0))
        if domain == domains[checkpoint_id]:
            yield checkpoint_id, layer_id, size


def _holders(
    state: str | None, checkpoint_id: str | None, active: str | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What holds a layer, and which hidden checkpoint does so no more."""
    head = (HEAD,) if active is not None else ()
    if checkpoint_id is None:
        return head, ()
    return (head, (checkpoint_id,)) if state == CheckpointState.DELETING else ((*head, checkpoint_id), ())


def _around(which: Sequence[ColumnElement[bool]]) -> Select[*tuple[Any, ...]]:
    """A row for each layer and each thing that holds it; ends on a cycle of layers too."""
    layer, disk = LayerRow, ArtifactRow
    frozen = (
        select(layer.id, layer.backing_id)
        .join(disk, disk.layer_id == layer.id)
        .join(CheckpointRow, CheckpointRow.id == disk.checkpoint_id)
        .where(*which)
    )
    walk = frozen.cte("walk", recursive=True)
    walk = walk.union(select(layer.id, layer.backing_id).join(walk, layer.id == walk.c.backing_id))
    above = select(layer.id).join(walk, layer.backing_id == walk.c.id)
    found = select(walk.c.id).union(above).subquery("found")
    return (
        select(
            *(layer.id, layer.backing_id, layer.domain_uuid, cast(layer.allocation, BigInteger)),
            *(layer.operation_id.is_not(None), layer.discarded_by.is_not(None), HeadDiskRow.target),
            *(CheckpointRow.id, CheckpointRow.domain_uuid, CheckpointRow.state),
        )
        .join(found, found.c.id == layer.id)
        .outerjoin(disk, disk.layer_id == layer.id)
        .outerjoin(CheckpointRow, CheckpointRow.id == disk.checkpoint_id)
        .outerjoin(HeadDiskRow, HeadDiskRow.layer_id == layer.id)
    )
