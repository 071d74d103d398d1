"""`snapctl tree`: checkpoints drawn as git draws history, oldest first.

The largest branch (of equal ones the newest) goes straight down in its parent's column, the others
turn right::

    web01
    ○ base
    ├─○ experiment
    │ ○ experiment-2
    ● patched (current)

A branch that turns right holds at most half of what is below its parent, so n checkpoints are never
indented more than 2·log2(n) columns: a chain of any depth stays in one column. On a terminal the drawing
leaves room for sizes and age, and for some of the tags: names that are too long for that lose their ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from ...model import CheckpointSummary, Direction, OperationRecord
from .columns import GAP, Column, align
from .marks import marks
from .units import age, cut, escaped, size, width

LEAST_OF_TAGS = 10
READABLE = 18
"""Columns of a name, and of the mark behind it, that tags do not take."""

COLUMNS = (
    Column(),
    Column(right=True),
    Column(right=True),
    Column(),
    Column(shrinks_to=LEAST_OF_TAGS),
    Column(shrinks_to=8),
)
HERE = " (current)"


class Glyphs(NamedTuple):
    node: str
    head: str
    branch: str
    beside: str  # what is drawn left of a branch until its parent's column continues


UNICODE = Glyphs(node="○", head="●", branch="├─", beside="│ ")
ASCII = Glyphs(node="o", head="*", branch="|-", beside="| ")


@dataclass(frozen=True, slots=True)
class Placed:
    """A checkpoint and its place in the drawing; `depth` counts its ancestors."""

    checkpoint: CheckpointSummary
    depth: int
    indent: int  # columns to its left that continue
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
        for member in operation.members:
            names.setdefault(member.domain_uuid, member.domain_name)
            unfinished.setdefault(member.domain_uuid, []).append(operation)
    return [DomainTree(name, uuid, place(own.get(uuid, [])), unfinished.get(uuid, [])) for uuid, name in names.items()]


def _how_far(operation: OperationRecord, domain_uuid: str) -> str:
    if operation.decision is Direction.UNDO:
        return "being undone"
    return operation.member(domain_uuid).step or "just begun"


def tree(
    drawn: Iterable[DomainTree], now: datetime, *, terminal: int | None, glyphs: Glyphs = UNICODE
) -> Iterator[str]:
    for number, domain in enumerate(drawn):
        if number:
            yield ""
        unfinished = (f" (unfinished {each.kind.label}: {_how_far(each, domain.uuid)})" for each in domain.unfinished)
        yield _short(escaped(domain.name), "".join(unfinished), terminal)
        if domain.nodes:
            yield from align(COLUMNS, _rows(domain.nodes, now, terminal, glyphs), terminal)


def _rows(nodes: Sequence[Placed], now: datetime, terminal: int | None, glyphs: Glyphs) -> list[tuple[str, ...]]:
    most = max(width(size(node.checkpoint.disk_bytes)) for node in nodes)  # so that one plus stands below the other
    facts = [_facts(node.checkpoint, now, most) for node in nodes]
    left = [_left(node, glyphs) for node in nodes]
    room = _room(facts, max(map(width, left)), terminal) if terminal is not None else None
    return [
        (before + _named(node.checkpoint, now, None if room is None else room - width(before)), *its)
        for node, before, its in zip(nodes, left, facts, strict=True)
    ]


def _room(facts: Sequence[tuple[str, ...]], left: int, terminal: int) -> int:
    """Columns for the drawing: what sizes and age leave, and of that some for tags if all names stay readable."""
    memory, disks, ages, tags, _ = (max(map(width, column)) for column in zip(*facts, strict=True))
    room = terminal - sum(len(GAP) + each for each in (memory, disks, ages))
    beside_tags = room - len(GAP) - min(tags, LEAST_OF_TAGS)
    return beside_tags if tags and beside_tags >= left + READABLE else room


def _left(node: Placed, glyphs: Glyphs) -> str:
    turn = glyphs.branch if node.branches else ""
    return f"{glyphs.beside * node.indent}{turn}{glyphs.head if node.checkpoint.current else glyphs.node} "


def _named(checkpoint: CheckpointSummary, now: datetime, room: int | None) -> str:
    found = marks(checkpoint, now)
    state = f" ({found})" if found else ""
    name, here = escaped(checkpoint.name), HERE if checkpoint.current else ""
    if room is not None and room - width(state + here) < min(width(name), READABLE):
        here = ""  # the sign before the name shows it, too
    return _short(name, state + here, room)


def _short(name: str, behind: str, room: int | None) -> str:
    """`name` with all of the marks behind it; where the room is too small the name gives way."""
    return (name if room is None else cut(name, max(1, room - width(behind)))) + behind


def _facts(checkpoint: CheckpointSummary, now: datetime, most: int) -> tuple[str, ...]:
    return (
        size(checkpoint.memory_bytes),
        f"+ {size(checkpoint.disk_bytes):>{most}}",
        age(checkpoint.created, now),
        escaped(f"[{', '.join(checkpoint.tags)}]") if checkpoint.tags else "",
        escaped(checkpoint.description),
    )
