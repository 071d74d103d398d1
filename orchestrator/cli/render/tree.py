"""`snapctl tree`: checkpoints drawn as git draws history, oldest first.

The largest branch (of equal ones the newest) goes straight down in its parent's column, the others
turn right::

    web01
    ○ base
    ├─○ experiment
    │ ○ experiment-2
    ● patched (you are here)

A branch that turns right holds at most half of what is below its parent, so n checkpoints are never
indented more than 2·log2(n) columns: a chain of any depth stays in one column, and 500 nodes fit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from ...model import CheckpointSummary, OperationRecord
from .columns import Column, align
from .marks import marks
from .units import age, shown, size

COLUMNS = (
    Column(),
    Column(right=True),
    Column(right=True),
    Column(),
    Column(shrinks_to=6),
    Column(shrinks_to=8),
)


class Glyphs(NamedTuple):
    node: str
    head: str
    branch: str
    beside: str  # what stands left of a branch until its parent's column goes on


UNICODE = Glyphs(node="○", head="●", branch="├─", beside="│ ")
ASCII = Glyphs(node="o", head="*", branch="|-", beside="| ")


@dataclass(frozen=True, slots=True)
class Placed:
    """A checkpoint and its place in the drawing; `depth` counts its ancestors."""

    checkpoint: CheckpointSummary
    depth: int
    indent: int  # columns to its left that go on
    branches: bool  # whether it turns right off its parent's column


def place(checkpoints: Sequence[CheckpointSummary]) -> list[Placed]:
    """The checkpoints of one domain in the order of their drawing. A checkpoint without a known parent is a root."""
    children = _children(checkpoints)
    weights = _weights(children)
    placed: list[Placed] = []
    stack = [*_siblings(children[None], weights, depth=0, indent=0)]
    while stack:
        node = stack.pop()
        placed.append(node)
        below = children.get(node.checkpoint.id, [])
        stack.extend(_siblings(below, weights, depth=node.depth + 1, indent=node.indent + node.branches))
    return placed


def _children(checkpoints: Sequence[CheckpointSummary]) -> dict[str | None, list[CheckpointSummary]]:
    parents = {checkpoint.id: checkpoint.parent_id for checkpoint in checkpoints}
    ends = _ends_of_circles(parents)
    children: dict[str | None, list[CheckpointSummary]] = {None: []}
    for checkpoint in checkpoints:
        parent = checkpoint.parent_id if checkpoint.parent_id in parents and checkpoint.id not in ends else None
        children.setdefault(parent, []).append(checkpoint)
    return children


def _ends_of_circles(parents: Mapping[str, str | None]) -> set[str]:
    """One checkpoint of each circle of parents, which only a damaged catalog has: none may be left out for it."""
    ends: set[str] = set()
    known: set[str] = set()  # from each of these there is a way to a root
    for identifier in parents:
        walked: set[str] = set()
        above = identifier
        while above in parents and above not in known and above not in walked:
            walked.add(above)
            above = parents[above] or ""
        if above in walked:
            ends.add(above)
        known |= walked
    return ends


def _weights(children: Mapping[str | None, Sequence[CheckpointSummary]]) -> dict[str, int]:
    """How many checkpoints there are from each one on; without recursion, as chains are long."""
    order = list(children[None])
    for checkpoint in order:  # grows while it is walked: parents come before children
        order.extend(children.get(checkpoint.id, ()))
    weights: dict[str, int] = {}
    for checkpoint in reversed(order):
        weights[checkpoint.id] = 1 + sum(weights[child.id] for child in children.get(checkpoint.id, ()))
    return weights


def _siblings(
    siblings: Sequence[CheckpointSummary], weights: Mapping[str, int], *, depth: int, indent: int
) -> Iterator[Placed]:
    """In the order of a stack: the one that goes straight on is drawn last, so it comes first."""
    if not siblings:
        return
    trunk = max(reversed(siblings), key=lambda checkpoint: weights[checkpoint.id])
    yield Placed(trunk, depth, indent, branches=False)
    for sibling in reversed(siblings):
        if sibling is not trunk:
            yield Placed(sibling, depth, indent, branches=True)


@dataclass(frozen=True, slots=True)
class DomainTree:
    name: str
    uuid: str
    nodes: list[Placed]
    unfinished: list[OperationRecord]


def trees(checkpoints: Iterable[CheckpointSummary], operations: Iterable[OperationRecord]) -> list[DomainTree]:
    """Every domain that has checkpoints or unfinished operations, in the order of its first appearance."""
    names: dict[str, str] = {}
    own: dict[str, list[CheckpointSummary]] = {}
    unfinished: dict[str, list[OperationRecord]] = {}
    for checkpoint in checkpoints:
        names[checkpoint.domain_uuid] = checkpoint.domain
        own.setdefault(checkpoint.domain_uuid, []).append(checkpoint)
    for operation in operations:
        names.setdefault(operation.domain_uuid, operation.domain_name)
        unfinished.setdefault(operation.domain_uuid, []).append(operation)
    return [DomainTree(name, uuid, place(own.get(uuid, [])), unfinished.get(uuid, [])) for uuid, name in names.items()]


def tree(
    drawn: Iterable[DomainTree], now: datetime, *, terminal: int | None, glyphs: Glyphs = UNICODE
) -> Iterator[str]:
    for number, domain in enumerate(drawn):
        if number:
            yield ""
        yield shown(domain.name) + "".join(
            f" (unfinished {each.kind}: {each.step or 'just begun'})" for each in domain.unfinished
        )
        if domain.nodes:
            yield from align(COLUMNS, [_row(node, now, glyphs) for node in domain.nodes], terminal)


def _row(node: Placed, now: datetime, glyphs: Glyphs) -> tuple[str, ...]:
    checkpoint = node.checkpoint
    left = glyphs.beside * node.indent + (glyphs.branch if node.branches else "")
    return (
        f"{left}{glyphs.head if checkpoint.current else glyphs.node} {shown(checkpoint.name)}{_marks(checkpoint, now)}",
        size(checkpoint.memory_bytes),
        f"+ {size(checkpoint.disk_bytes)}",
        age(checkpoint.created, now),
        shown(f"[{', '.join(checkpoint.tags)}]") if checkpoint.tags else "",
        shown(checkpoint.description),
    )


def _marks(checkpoint: CheckpointSummary, now: datetime) -> str:
    found = marks(checkpoint, now)
    return (f" ({found})" if found else "") + (" (you are here)" if checkpoint.current else "")
