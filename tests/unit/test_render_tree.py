"""The drawing of a tree: every checkpoint once, below its parent, never far to the right."""

from __future__ import annotations

from datetime import UTC, datetime
from math import log2

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.cli.render.tree import ASCII, UNICODE, Glyphs, place, tree, trees
from orchestrator.model import CheckpointSummary

NOW = datetime(2026, 5, 1, tzinfo=UTC)


def checkpoints(parents: dict[str, str | None]) -> list[CheckpointSummary]:
    return [
        CheckpointSummary(
            domain="web01",
            domain_uuid="uuid",
            name=name,
            id=name,
            parent=parent,
            parent_id=parent,
            created=NOW,
            mode="save",
            tags=(),
            description="",
            current=False,
            memory_bytes=0,
            disk_bytes=0,
            state="ready",
        )
        for name, parent in parents.items()
    ]


def drawn(parents: dict[str, str | None], glyphs: Glyphs = UNICODE) -> list[str]:
    lines = tree(trees(checkpoints(parents), []), NOW, terminal=None, glyphs=glyphs)
    return [line.split("  ")[0] for line in lines]


def test_a_chain_stays_in_its_column() -> None:
    assert drawn({"a": None, "b": "a", "c": "b"}) == ["web01", "○ a", "○ b", "○ c"]


def test_branches_turn_right_and_the_largest_goes_on() -> None:
    parents = {"a": None, "b": "a", "b1": "b", "b2": "b", "c": "a", "d": "a", "d1": "d", "d2": "d1", "d3": "d2"}
    assert drawn(parents) == [
        "web01",
        "○ a",
        "├─○ b",
        "│ ├─○ b1",
        "│ ○ b2",
        "├─○ c",
        "○ d",
        "○ d1",
        "○ d2",
        "○ d3",
    ]


def test_plain_characters() -> None:
    assert drawn({"a": None, "b": "a", "c": "a"}, ASCII) == ["web01", "o a", "|-o b", "o c"]


def test_several_roots_and_a_parent_that_is_not_there() -> None:
    assert drawn({"old": None, "orphan": "gone", "child": "orphan"}) == ["web01", "├─○ old", "○ orphan", "○ child"]


def test_a_circle_of_parents_hides_nothing() -> None:
    """Which only a damaged catalog has."""
    assert drawn({"self": "self"}) == ["web01", "○ self"]
    assert drawn({"a": "c", "b": "a", "c": "b", "side": "b"}) == ["web01", "○ a", "○ b", "├─○ c", "○ side"]


def test_fifty_thousand_in_a_chain() -> None:
    nodes = place(checkpoints({str(n): str(n - 1) if n else None for n in range(50_000)}))
    assert (nodes[-1].depth, nodes[-1].indent) == (49_999, 0)


def forest(choices: list[int]) -> dict[str, str | None]:
    """Each checkpoint below the one that its number chooses among those before it, or below none."""
    parents = [choice % (number + 1) - 1 for number, choice in enumerate(choices)]
    return {str(number): str(parent) if parent >= 0 else None for number, parent in enumerate(parents)}


forests = st.lists(st.integers(0, 2**16), min_size=1, max_size=100).map(forest)


@settings(deadline=None)
@given(forests)
def test_every_checkpoint_once_below_its_parent_and_not_far_right(parents: dict[str, str | None]) -> None:
    nodes = place(checkpoints(parents))
    assert sorted(node.checkpoint.id for node in nodes) == sorted(parents)
    depth = {node.checkpoint.id: node.depth for node in nodes}
    row = {node.checkpoint.id: number for number, node in enumerate(nodes)}
    for child, parent in parents.items():
        if parent is not None:
            assert depth[child] == depth[parent] + 1
            assert row[child] > row[parent]
    assert max(node.indent + node.branches for node in nodes) <= log2(len(parents) + 1)


@settings(deadline=None)
@given(forests)
def test_the_drawing_alone_tells_the_parents(parents: dict[str, str | None]) -> None:
    """Read back as a person does: the parent stands above in the same column, or where the branch turns off."""
    column: dict[int, str] = {}
    for line in drawn(parents)[1:]:
        left, name = line.split("○ ")
        at, turns = len(left) // 2, left.endswith("├─")
        assert parents[name] == column.get(at - 1 if turns else at)
        column = {where: who for where, who in column.items() if where < at} | {at: name}
