"""Which layers nothing needs any more: mark what is held and all below it; the rest may go. Pure."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import takewhile

from ..model import walk


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A layer in a graph: `held` by a checkpoint, a head, or a layer outside the graph."""

    id: int
    backing: int | None
    ours: bool  # made by an operation of ours
    held: bool


def unneeded(nodes: Iterable[Node]) -> set[int]:
    """The layers of ours that are neither held nor below, however far, one that is."""
    graph = {node.id: node for node in nodes}
    needed: set[int] = set()
    for node in graph.values():
        if node.held:
            deque(walk(node.id, lambda id_: _backing(id_, graph), needed), maxlen=0)
    return {node.id for node in graph.values() if node.ours and node.id not in needed}


def _backing(id_: int, graph: Mapping[int, Node] | Mapping[int, Held]) -> int | None:
    """Its backing file, if that is in the graph."""
    below = graph[id_].backing
    return below if below in graph else None


# --------------------------------------------------------------------------- of all checkpoints at once

HEAD = ""
"""The holder of an active overlay. It also means "several": what it holds, no checkpoint alone keeps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A layer with all that holds it by itself: the ids of checkpoints, or `HEAD`."""

    id: int
    backing: int | None
    discarded: bool
    holders: tuple[str, ...] = ()  # checkpoints, until they are deleted
    leaving: tuple[str, ...] = ()  # hidden checkpoints: they hold nothing any more


def kept_alone(layers: Iterable[Held]) -> Iterator[tuple[str, int]]:
    """Each layer that is needed by one checkpoint alone, after that checkpoint's id.

    A layer of which that is asked must be given with all that stand right on it. Costs a step a layer.
    """
    graph = {layer.id: layer for layer in layers}
    above = Counter(layer.backing for layer in graph.values() if layer.backing in graph)
    keeper: dict[int, str] = {}  # none: nothing needs it
    order = [layer for layer in graph.values() if layer.id not in above]
    for layer in order:  # grows while it is walked: a layer comes after all that stand on it
        for holder in layer.holders:
            _join(keeper, layer.id, holder)
        if layer.backing in graph:
            if not layer.discarded:
                _join(keeper, layer.backing, keeper.get(layer.id, HEAD))  # who put it there may need it
            above[layer.backing] -= 1
            if not above[layer.backing]:
                order.append(graph[layer.backing])
    for layer in order:
        if (only := keeper.get(layer.id)) not in (None, HEAD):
            yield only, layer.id
        for hidden in layer.leaving:
            yield from ((hidden, free) for free in _free_from(layer, graph, keeper))


def _join(keeper: dict[int, str], layer_id: int, holder: str) -> None:
    if keeper.setdefault(layer_id, holder) != holder:
        keeper[layer_id] = HEAD


def _free_from(top: Held, graph: dict[int, Held], keeper: dict[int, str]) -> Iterator[int]:
    """The layer and those below it, down to the first that something needs."""
    return takewhile(lambda id_: id_ not in keeper, walk(top.id, lambda id_: _backing(id_, graph)))
