"""What snapctl promises, as numbers that a run can meet or miss. Never a test: machines differ."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tools.bench.statistics import Summary

MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Aim:
    """`figure` of a group's rows is to be at most `limit`; `show` turns either into text."""

    what: str
    limit: float
    figure: Callable[[Mapping[str, Summary]], float]
    show: Callable[[float], str]

    def verdict(self, rows: Mapping[str, Summary]) -> str:
        """One line; a row that this aim is about may be missing."""
        try:
            found = self.figure(rows)
        except KeyError as missing:
            return f"{self.what} ≤ {self.show(self.limit)}: not measured ({missing.args[0]})"
        judgement = "met" if found <= self.limit else "MISSED"
        return f"{self.what} ≤ {self.show(self.limit)}: {self.show(found)}, {judgement}"


def at_most_times(row: str, reference: str, limit: float) -> Aim:
    """The median of one row is at most `limit` times that of another."""
    return Aim(f"{row} / {reference}", limit, lambda rows: rows[row].ratio_to(rows[reference]), "{:.2f}".format)


def grows_at_most(row: str, first: str, limit: float, *, beside: tuple[str, str]) -> Aim:
    """The median of `row`, less what the second of `beside` takes more than the first, is at most `limit` times
    that of `first`: what libvirt itself takes longer for is not ours."""

    def figure(rows: Mapping[str, Summary]) -> float:
        few, many = (rows[name].median for name in beside)
        return (rows[row].median - max(0.0, many - few)) / rows[first].median

    return Aim(f"({row} − what libvirt adds) / {first}", limit, figure, "{:.2f}".format)


def at_most_more(row: str, reference: str, limit: float) -> Aim:
    """The median of one row is at most `limit` seconds more than that of another."""
    what = f"{row} − {reference}"
    return Aim(what, limit, lambda rows: rows[row].median - rows[reference].median, "{:.2f} s".format)


def peaks_below(row: str, limit: int) -> Aim:
    """A command never has more than `limit` bytes resident."""
    return Aim(f"peak memory of {row}", limit, lambda rows: _peak(rows, row), lambda size: f"{size / MB:.0f} MB")


def _peak(rows: Mapping[str, Summary], row: str) -> int:
    peak = rows[row].peak_bytes
    if peak is None:
        raise KeyError(row)
    return peak
