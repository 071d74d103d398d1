"""What was measured, and what several measurements of the same thing come to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One competitor's work in one round."""

    seconds: float  # from the call, or the start of the command, to its end
    stopped: float | None = None  # seconds for which the guest did not run, where the competitor can tell
    peak_bytes: int | None = None  # most memory that the command had resident, where it is one


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Several measurements of the same work. Times are seconds."""

    median: float
    lowest: float
    highest: float
    stopped: float | None = None  # median; None unless all measurements tell
    peak_bytes: int | None = None  # the highest; None unless all measurements tell

    @classmethod
    def of(cls, measurements: Sequence[Measurement]) -> Summary:
        """Raises `ValueError` when there is none."""
        if not measurements:
            raise ValueError("nothing was measured")
        times = [each.seconds for each in measurements]
        stopped = [each.stopped for each in measurements if each.stopped is not None]
        peaks = [each.peak_bytes for each in measurements if each.peak_bytes is not None]
        return cls(
            median=median(times),
            lowest=min(times),
            highest=max(times),
            stopped=median(stopped) if len(stopped) == len(times) else None,
            peak_bytes=max(peaks) if len(peaks) == len(times) else None,
        )

    def ratio_to(self, reference: Summary) -> float:
        """Of the medians, so that it can be checked against the table."""
        return self.median / reference.median
