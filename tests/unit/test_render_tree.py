"""The drawing of a tree: every checkpoint once, below its parent, never far to the right."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import log2
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.cli.render.tree import ASCII, UNICODE, Glyphs, place, tree, trees
from orchestrator.cli.render.units import age, size
from orchestrator.model import CheckpointSummary, MemberRecord, OperationKind, OperationRecord, OperationState, Owner

NOW = datetime(2026, 5, 1, tzinfo=UTC)
MIB = 1024 * 1024


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


def test_tree_chain_stays_in_its_column() -> None:
    assert drawn({"a": None, "b": "a", "c": "b"}) == ["web01", "○ a", "○ b", "○ c"]


def test_tree_branches_indent_and_the_largest_continues() -> None:
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


def test_tree_ascii_glyphs() -> None:
    assert drawn({"a": None, "b": "a", "c": "a"}, ASCII) == ["web01", "o a", "|-o b", "o c"]


def test_tree_several_roots_and_missing_parent() -> None:
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
def test_place_puts_each_checkpoint_once_below_its_parent(parents: dict[str, str | None]) -> None:
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
def test_tree_drawing_determines_the_parents(parents: dict[str, str | None]) -> None:
    """Read back as a person does: the parent stands above in the same column, or where the branch turns off."""
    column: dict[int, str] = {}
    for line in drawn(parents)[1:]:
        left, name = line.split("○ ")
        at, turns = len(left) // 2, left.endswith("├─")
        assert parents[name] == column.get(at - 1 if turns else at)
        column = {where: who for where, who in column.items() if where < at} | {at: name}


# --------------------------------------------------------------------------- on a terminal


def node(name: str, parent: str | None = None, **facts: Any) -> CheckpointSummary:
    (made,) = checkpoints({name: parent})
    return replace(made, memory_bytes=95 * MIB, disk_bytes=1536 * 1024, **facts)


def unfinished(domain: str) -> OperationRecord:
    return OperationRecord(
        id="op-1",
        kind=OperationKind.ROLLBACK,
        host_uuid="host",
        state=OperationState.OPEN,
        members=(MemberRecord(domain_uuid="uuid", domain_name=domain, step="stopped", completed=(), plan={}),),
        version=1,
        token=1,
        owner=Owner(user="ann", host="desk", boot_id="boot", pid=4711, pid_start="1"),
        opened=NOW,
        lease_until=NOW,
    )


def picture(nodes: list[CheckpointSummary], columns: int) -> list[str]:
    return list(tree(trees(nodes, [unfinished("web01")]), NOW, terminal=columns))


FAMILY = [
    node("base", created=NOW - timedelta(days=3), tags=("base", "debian-12", "of-an-odd-length"), description="fresh"),
    node("an-experiment-with-a-long-name", "base", created=NOW - timedelta(hours=5)),
    node("first-of-two-that-go-on-from-it", "an-experiment-with-a-long-name", state="damaged"),
    node("second", "an-experiment-with-a-long-name", state="deleting"),
    node("patched", "base", tags=("updates",)),
    node("patched-again-and-tested-all-night", "patched", state="unhashed", current=True),
]

AT_80 = """\
web01 (unfinished rollback: stopped)
○ base                                 95.0 MiB  + 1.5 MiB  3 d ago   [base, de…
├─○ patched                            95.0 MiB  + 1.5 MiB  just now  [updates]
│ ● patched-again-and-tes… (unhashed)  95.0 MiB  + 1.5 MiB  just now
○ an-experiment-with-a-long-name       95.0 MiB  + 1.5 MiB  5 h ago
├─○ first-of-two-that-go-o… (damaged)  95.0 MiB  + 1.5 MiB  just now
○ second (deleting)                    95.0 MiB  + 1.5 MiB  just now
"""


def test_tree_on_a_terminal_of_80_columns() -> None:
    assert "".join(f"{line}\n" for line in picture(FAMILY, 80)) == AT_80


def test_tree_on_a_wide_terminal_cuts_nothing() -> None:
    drawn = picture(FAMILY, 140)
    assert drawn == list(tree(trees(FAMILY, [unfinished("web01")]), NOW, terminal=None))
    assert drawn[1].endswith("95.0 MiB  + 1.5 MiB  3 d ago   [base, debian-12, of-an-odd-length]  fresh")
    assert drawn[3].startswith("│ ● patched-again-and-tested-all-night (unhashed) (current)  95.0 MiB")


def test_a_long_domain_name_leaves_room_for_what_is_unfinished() -> None:
    (line,) = tree(trees([], [unfinished("d" * 255)]), NOW, terminal=80)
    assert len(line) == 80 and line.endswith("… (unfinished rollback: stopped)")


def dressed(seed: int) -> list[CheckpointSummary]:
    """A tree of up to 500 nodes, with all that a row can have. Not drawn node by node: that takes too long."""
    chosen = Random(seed)
    size = chosen.randint(1, 500)
    spread = chosen.choice([2, 10, 2**16])
    shape = chosen.choice([BINARY, forest([number + 1 - chosen.randint(0, spread) for number in range(size)])])
    here = chosen.randrange(len(shape))
    longest = chosen.choice([5, 63])

    def label() -> str:
        return "".join(chosen.choices("abcxyz0123456789-", k=chosen.randint(1, longest)))

    return [
        replace(
            each,
            name=label(),
            memory_bytes=chosen.choice(SIZES),
            disk_bytes=chosen.choice(SIZES),
            state=chosen.choice(STATES),
            tags=tuple(label() for _ in range(chosen.choice([0, 0, 1, 4]))),
            created=NOW - timedelta(seconds=chosen.randint(0, 10 ** chosen.randint(0, 9))),
            description="x" * chosen.choice([0, 50]),
            current=number == here,
        )
        for number, each in enumerate(checkpoints(shape))
    ]


SIZES = (0, 95 * MIB, 1023 * MIB + 900 * 1024, 3 << 40)
STATES = ("ready", "ready", "damaged", "unhashed", "deleting")
BINARY: dict[str, str | None] = {str(n): str((n - 1) // 2) if n else None for n in range(511)}
"""Turns right as often as so many checkpoints can."""


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32), st.sampled_from([80, 100, 200]))
def test_tree_fits_the_terminal_with_name_sizes_and_age(seed: int, columns: int) -> None:
    nodes = dressed(seed)
    lines = picture(nodes, columns)
    assert max(map(len, lines)) <= columns
    assert len(lines) == 1 + len(nodes)
    for placed, line in zip(place(nodes), lines[1:], strict=True):
        its = placed.checkpoint
        assert line.lstrip("│├─ ")[2:].startswith(its.name[:4])
        assert size(its.memory_bytes) in line and age(its.created, NOW) in line
        assert its.state == "ready" or f"({its.state})" in line
        assert ("●" in line) == its.current
