"""Competitors take turns: A B C A B C …, so that whatever else the machine does hits all alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter

from tools.bench.statistics import Measurement, Summary

WARM_UP = 1
"""Rounds that are run and not counted: the first one loads files and fills caches."""


class Unavailable(Exception):
    """A competitor cannot do the work here; the text says why. Raised by its `run`."""


def nothing() -> None:
    """What a competitor does that needs no preparation, or no check."""


@dataclass(frozen=True, slots=True)
class Competitor:
    """One way to do the work. Only `run` is measured."""

    name: str
    run: Callable[[], Measurement]
    ready: Callable[[], None] = nothing  # brings about the conditions from which all of them start
    check: Callable[[], None] = nothing  # raises unless the work was really done


@dataclass(slots=True)
class Result:
    """What a competitor did in all rounds, or why it could not."""

    name: str
    measurements: list[Measurement] = field(default_factory=list)
    unavailable: str | None = None

    def summary(self) -> Summary | None:
        return Summary.of(self.measurements) if self.measurements and self.unavailable is None else None


def interleave(competitors: Sequence[Competitor], rounds: int) -> list[Result]:
    """Let each competitor run once a round. Whatever but `Unavailable` one of them raises ends it all."""
    results = [Result(competitor.name) for competitor in competitors]
    for number in range(WARM_UP + rounds):
        for competitor, result in zip(competitors, results, strict=True):
            if result.unavailable is None:
                _take_turn(competitor, result, counts=number >= WARM_UP)
    return results


def timed(work: Callable[[], float | None]) -> Measurement:
    """How long a call takes in this process; it returns for how many seconds the guest did not run, if it can tell."""
    began = perf_counter()
    stopped = work()
    return Measurement(seconds=perf_counter() - began, stopped=stopped)


def _take_turn(competitor: Competitor, result: Result, *, counts: bool) -> None:
    competitor.ready()
    try:
        measurement = competitor.run()
    except Unavailable as reason:
        result.unavailable = str(reason)
        return
    competitor.check()
    if counts:
        result.measurements.append(measurement)
