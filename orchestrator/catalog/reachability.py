"""Which layers nothing needs any more: mark what is held and all below it; the rest may go. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


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
            _mark(node, graph, needed)
    return {node.id for node in graph.values() if node.ours and node.id not in needed}


def _mark(top: Node, graph: dict[int, Node], needed: set[int]) -> None:
    node: Node | None = top
    while node is not None and node.id not in needed:  # below a marked one all is marked
        needed.add(node.id)
        node = graph.get(node.backing) if node.backing is not None else None
