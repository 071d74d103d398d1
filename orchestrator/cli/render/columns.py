"""Text in columns: aligned, cut to the terminal, and fast enough for ten thousand rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from .units import cut, width

GAP = "  "


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """`shrinks_to`: so narrow it may become on a narrow terminal, and if even that is too wide it goes."""

    title: str = ""
    right: bool = False
    shrinks_to: int | None = None  # None keeps it whole


def align(columns: Sequence[Column], rows: Sequence[Sequence[str]], terminal: int | None) -> Iterator[str]:
    """The rows, each as one line without trailing blanks; `terminal` is the width to fit, None for none.

    A column that is empty in every row is left out. The last columns give way first.
    """
    if any(column.title for column in columns):
        rows = [[column.title for column in columns], *rows]
    widths = {
        index: max(width(row[index]) for row in rows)
        for index, column in enumerate(columns)
        if any(row[index] for row in (rows[1:] if column.title else rows))
    }
    if terminal is not None:
        widths = _fitted(columns, widths, terminal)
    for row in rows:
        yield GAP.join(_cell(row[index], columns[index], most) for index, most in widths.items()).rstrip()


def _fitted(columns: Sequence[Column], widths: Mapping[int, int], terminal: int) -> dict[int, int]:
    """The columns that are kept, each with its width."""
    shrunk = {index: _least(columns[index], whole) for index, whole in widths.items()}
    for index in reversed(widths):
        if _line(shrunk) > terminal and columns[index].shrinks_to is not None:
            del shrunk[index]
    for index in shrunk:  # what room there is goes to the first columns
        shrunk[index] += min(widths[index] - shrunk[index], max(0, terminal - _line(shrunk)))
    return shrunk


def _least(column: Column, whole: int) -> int:
    return whole if column.shrinks_to is None else min(whole, column.shrinks_to)


def _line(widths: Mapping[int, int]) -> int:
    return sum(widths.values()) + len(GAP) * (len(widths) - 1)


def _cell(text: str, column: Column, most: int) -> str:
    if column.shrinks_to is not None:
        text = cut(text, most)
    padding = " " * (most - width(text))
    return padding + text if column.right else text + padding
