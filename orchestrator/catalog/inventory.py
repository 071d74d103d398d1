"""Which files the catalog has, of one domain or of all: as many queries for many checkpoints as for one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from ..model import ArtifactKind, Inventory, walk
from . import rows
from .exclusive_size import layers_alone
from .tables import ArtifactRow, CheckpointRow, DomainRow, HeadDiskRow, LayerRow

Which: TypeAlias = tuple[ColumnElement[bool], ...]
Ids: TypeAlias = Mapping[str, list[int]]
"""Layers by the checkpoint or domain that has them."""
Graph: TypeAlias = Mapping[int, Any]
"""Layers by their ids: rows of what `_LAYER` names."""

_LAYER = (LayerRow.id, LayerRow.path, LayerRow.backing_id, LayerRow.domain_uuid, LayerRow.operation_id)


def inventory(session: Session, host_uuid: str, domain_uuid: str | None) -> Inventory:
    """Raises `CatalogError` when a row is damaged."""

    def of(row: Any) -> Which:
        host: ColumnElement[bool] = row.host_uuid == host_uuid
        return (host,) if domain_uuid is None else (host, row.domain_uuid == domain_uuid)

    checkpoints = _checkpoints(session, of(CheckpointRow))
    frozen = _frozen(session, of(CheckpointRow))
    active = _active(session, of(HeadDiskRow))
    files, memory = _own_files(session, of(CheckpointRow))
    exclusive = _grouped((id_, layer) for id_, layer, _ in layers_alone(session, of(CheckpointRow)))
    graph = _graph(session, of(CheckpointRow), of(HeadDiskRow), of(LayerRow))
    names = dict(session.execute(select(DomainRow.uuid, DomainRow.name).where(DomainRow.host_uuid == host_uuid)).all())

    tops: dict[str, list[int]] = defaultdict(list, {uuid: list(ids) for uuid, ids in active.items()})
    for each in checkpoints:
        tops[each.domain_uuid] += frozen[each.id]
    made = {id_: row.domain_uuid for id_, row in graph.items() if row.operation_id is not None}
    ours = _grouped((domain, id_) for id_, domain in made.items())
    domains = {*tops, *ours} if domain_uuid is None else {domain_uuid} & {*tops, *ours}

    def paths(ids: Iterable[int]) -> list[str]:
        return [graph[id_].path for id_ in ids if id_ in graph]

    values = {
        "domains": [
            {
                "domain": names.get(uuid, uuid),
                "domain_uuid": uuid,
                "frozen": paths(id_ for id_ in ours[uuid] if id_ not in active[uuid]),
                "active": paths(active[uuid]),
                "external": paths(_own(tops[uuid], graph)),
            }
            for uuid in sorted(domains, key=lambda uuid: (names.get(uuid, uuid), uuid))
        ],
        "checkpoints": [
            {
                "domain": names.get(each.domain_uuid, each.domain_uuid),
                "domain_uuid": each.domain_uuid,
                "name": each.name,
                "id": each.id,
                "files": files[each.id],
                "memory": memory.get(each.id),
                "layers": paths(id_ for id_ in frozen[each.id] if id_ in made),
                "exclusive": paths(exclusive[each.id]),
            }
            for each in checkpoints
        ],
    }
    return rows.checked(Inventory, "a layer or checkpoint", values)


def _checkpoints(session: Session, which: Which) -> list[Any]:
    row = CheckpointRow
    query = select(row.id, row.domain_uuid, row.name).where(*which)
    return list(session.execute(query.order_by(row.created, row.id)))


def _own_files(session: Session, which: Which) -> tuple[Mapping[str, list[str]], Mapping[str, str]]:
    """By checkpoint: the files that it alone has, and which of them is its memory image."""
    files: dict[str, list[str]] = defaultdict(list)
    memory: dict[str, str] = {}
    row = ArtifactRow
    query = select(row.checkpoint_id, row.kind, row.path).join(CheckpointRow, CheckpointRow.id == row.checkpoint_id)
    query = query.where(*which, row.kind != ArtifactKind.DISK, row.path.is_not(None))
    query = query.order_by(row.checkpoint_id, row.position)
    for checkpoint_id, kind, path in session.execute(query):
        files[checkpoint_id].append(path or "")
        if kind == ArtifactKind.MEMORY:
            memory[checkpoint_id] = path or ""
    return files, memory


def _frozen(session: Session, which: Which) -> Ids:
    """By checkpoint."""
    disks = ArtifactRow
    query = select(disks.checkpoint_id, disks.layer_id).join(CheckpointRow, CheckpointRow.id == disks.checkpoint_id)
    query = query.where(*which, disks.layer_id.is_not(None)).order_by(disks.checkpoint_id, disks.position)
    return _grouped((id_, layer) for id_, layer in session.execute(query) if layer is not None)


def _active(session: Session, which: Which) -> Ids:
    """By domain."""
    query = select(HeadDiskRow.domain_uuid, HeadDiskRow.layer_id).where(*which).order_by(HeadDiskRow.target)
    return _grouped((domain, layer) for domain, layer in session.execute(query))


def _graph(session: Session, checkpoints: Which, heads: Which, layers: Which) -> Graph:
    """The backing chains of these checkpoints and heads, and what is discarded and not yet removed."""
    disks = ArtifactRow
    frozen = select(disks.layer_id).join(CheckpointRow, CheckpointRow.id == disks.checkpoint_id).where(*checkpoints)
    tops = frozen.union(select(HeadDiskRow.layer_id).where(*heads)).subquery("tops")
    start = select(LayerRow.id, LayerRow.backing_id).join(tops, tops.c.layer_id == LayerRow.id)
    walk = start.cte("walk", recursive=True)
    walk = walk.union(select(LayerRow.id, LayerRow.backing_id).join(walk, LayerRow.id == walk.c.backing_id))
    reached = select(*_LAYER).join(walk, walk.c.id == LayerRow.id)
    # As a range, which an index over the few that are discarded serves: `IS NOT NULL` has SQLite read all.
    discarded = select(*_LAYER).where(*layers, LayerRow.discarded_by > "")
    return {row.id: row for query in (reached, discarded) for row in session.execute(query)}


def _own(tops: Iterable[int], graph: Graph) -> Iterator[int]:
    """The layers at or below these that snapctl did not make; each once, also in a damaged catalog."""
    seen: set[int] = set()
    for top in tops:
        for id_ in walk(top, lambda id_: _below(id_, graph), seen):
            if id_ in graph and graph[id_].operation_id is None:
                yield id_


def _below(id_: int, graph: Graph) -> int | None:
    below: int | None = graph[id_].backing_id if id_ in graph else None
    return below


def _grouped(pairs: Iterable[tuple[str, int]]) -> Ids:
    grouped: dict[str, list[int]] = defaultdict(list)
    for key, id_ in pairs:
        grouped[key].append(id_)
    return grouped
