"""No input crashes a parser, holds it up, or makes it take more memory than the input is worth."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic, process_time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from . import footprint
from .targets import TARGETS, Target

QUICK, LONG = 150, 12_000
"""Inputs for each parser."""

LONGEST_TIME = 2.0
"""Seconds of CPU that one input may take: whatever else the machine does is not the parser's fault."""
MOST_MEMORY = 8 << 20
"""Bytes that Python may take for one input; none is longer than some 10 KiB."""
MOST_GROWTH = 24 << 20
"""Bytes that a process may grow by over all inputs: what libxml2 takes is not Python's."""

EVERYWHERE = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@dataclass
class InputCount:
    taken: int = 0
    refused: int = 0
    fed: list[Any] = field(default_factory=list)

    def feed(self, target: Target, value: Any) -> None:
        self.fed.append(value)
        began = process_time()
        tracemalloc.start()
        try:
            target.act(value)
            self.taken += 1
        except target.refusals:
            self.refused += 1
        finally:
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
        assert peak < MOST_MEMORY
        assert process_time() - began < LONGEST_TIME


def campaign(target: Target, examples: int) -> str:
    """Feed that many inputs; what to say of it."""
    count = InputCount()

    @settings(EVERYWHERE, max_examples=examples)
    @given(target.inputs)
    def feed(value: Any) -> None:
        count.feed(target, value)

    began = monotonic()
    feed()
    growth = footprint.growth(target.act, target.refusals, count.fed)
    assert growth < MOST_GROWTH
    total = count.taken + count.refused
    return (
        f"fuzz: {target.name}: {total} inputs, {count.taken} of them taken, in {monotonic() - began:.1f} s;"
        f" memory grew by {growth / (1 << 20):.1f} MiB"
    )


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_parser_survives_random_input(target: Target, figure: Callable[[str], None]) -> None:
    figure(campaign(target, QUICK))


@pytest.mark.long
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_parser_survives_random_input_for_long(target: Target, figure: Callable[[str], None]) -> None:
    figure(campaign(target, LONG))


_hoard: list[bytes] = []


def hoard(size: int) -> None:
    _hoard.append(b"x" * size)


def test_growth_kept_or_peak_memory_is_measured() -> None:
    """The measure itself: so much for a parser that keeps a little of each input, or takes much for one."""
    assert footprint.growth(hoard, (), [1 << 10] * 10) < MOST_GROWTH
    assert footprint.growth(hoard, (), [1 << 10] * (MOST_GROWTH >> 10)) >= MOST_GROWTH
    assert footprint.growth(bytearray, (), [MOST_GROWTH + (1 << 20)]) >= MOST_GROWTH
