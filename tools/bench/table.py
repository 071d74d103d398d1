"""Results as text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from tools.bench.aims import MB, Aim
from tools.bench.rounds import Result
from tools.bench.statistics import Summary

NAME_WIDTH = 40
INDENT = "  "
HEADINGS = ("median", "lowest", "highest", "ratio", "stopped", "memory")
WIDTHS = (9, 9, 9, 7, 9, 8)


def render(
    title: str, results: Sequence[Result], reference: str | Callable[[str], str], aims: Sequence[Aim]
) -> Iterator[str]:
    """A table of one group, and below it each aim with its verdict.

    `ratio` is that of the medians to the row named `reference`, or that it names for a row; empty cells are
    what a row cannot tell.
    """
    rows = {result.name: summary for result in results if (summary := result.summary())}
    yield f"{title:<{NAME_WIDTH + len(INDENT)}}{_line(HEADINGS)}".rstrip()
    for result in results:
        compared = reference if isinstance(reference, str) else reference(result.name)
        yield f"{INDENT}{result.name:<{NAME_WIDTH}}{_cells(result, rows, compared)}".rstrip()
    for aim in aims:
        yield f"{INDENT}aim: {aim.verdict(rows)}"


def _cells(result: Result, rows: Mapping[str, Summary], reference: str) -> str:
    summary = rows.get(result.name)
    if summary is None:
        return f"  n/a: {result.unavailable or 'no round was run'}"
    return _line(
        (
            _seconds(summary.median),
            _seconds(summary.lowest),
            _seconds(summary.highest),
            f"{summary.ratio_to(rows[reference]):.2f}" if reference in rows else "",
            _seconds(summary.stopped),
            "" if summary.peak_bytes is None else f"{summary.peak_bytes / MB:.0f} MB",
        )
    )


def _line(cells: Sequence[str]) -> str:
    return "".join(f"{cell:>{width}}" for cell, width in zip(cells, WIDTHS, strict=True))


def _seconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.3f} s"
