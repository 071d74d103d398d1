"""Columns: aligned, left out when empty, cut to the terminal from the right."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.cli.render.columns import Column, align
from orchestrator.cli.render.units import escaped, width

COLUMNS = (
    Column(title="NAME"),
    Column(title="SIZE", right=True),
    Column(title="TAGS", shrinks_to=4),
    Column(title="TEXT", shrinks_to=6),
)
ROWS = [("base", "1.0 MiB", "one,two,three", "a long description"), ("大き", "10.0 MiB", "", "short")]


def fitted(terminal: int | None) -> list[str]:
    return list(align(COLUMNS, ROWS, terminal))


def test_align_without_a_terminal_cuts_nothing() -> None:
    assert fitted(None) == [
        "NAME      SIZE  TAGS           TEXT",
        "base   1.0 MiB  one,two,three  a long description",
        "大き  10.0 MiB                 short",
    ]


def test_the_last_column_shrinks_first() -> None:
    assert fitted(40) == [
        "NAME      SIZE  TAGS           TEXT",
        "base   1.0 MiB  one,two,three  a long d…",
        "大き  10.0 MiB                 short",
    ]
    assert fitted(30)[1] == "base   1.0 MiB  one,t…  a lon…"


def test_align_column_that_cannot_shrink_enough_is_left_out() -> None:
    assert fitted(24)[:2] == ["NAME      SIZE  TAGS", "base   1.0 MiB  one,two…"]
    assert fitted(10)[:2] == ["NAME      SIZE", "base   1.0 MiB"]


def test_an_empty_column_is_left_out() -> None:
    assert list(align(COLUMNS, [("a", "1", "", "text")], None)) == ["NAME  SIZE  TEXT", "a        1  text"]


def test_columns_without_titles_have_no_heading() -> None:
    assert list(align((Column(), Column(right=True)), [("a", "1"), ("bb", "10")], None)) == ["a    1", "bb  10"]


@settings(deadline=None)
@given(st.lists(st.tuples(st.text(), st.text(), st.text(), st.text()), min_size=1), st.integers(20, 100))
def test_columns_that_all_shrink_always_fit(rows: list[tuple[str, str, str, str]], terminal: int) -> None:
    columns = [Column(title="ABC", shrinks_to=3)] * 4
    printable = [tuple(escaped(cell) for cell in row) for row in rows]
    assert all(width(line) <= terminal for line in align(columns, printable, terminal))
