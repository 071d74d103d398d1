"""Sizes, times and names as people read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.cli.render.units import age, cut, duration, escaped, size, width

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (196608, "192.0 KiB"),
        (99824435, "95.2 MiB"),
        (3 * 2**30, "3.0 GiB"),
        (2**40, "1.0 TiB"),
        (5000 * 2**50, "5000.0 PiB"),
    ],
)
def test_sizes(count: int, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3600, "just now"),
        (0.9, "just now"),
        (1, "1 s ago"),
        (59, "59 s ago"),
        (60, "1 min ago"),
        (3599, "59 min ago"),
        (3600, "1 h ago"),
        (86399, "23 h ago"),
        (86400, "1 d ago"),
        (29 * 86400, "29 d ago"),
        (30 * 86400, "1 mo ago"),
        (365 * 86400, "1 y ago"),
        (3650 * 86400, "10 y ago"),
    ],
)
def test_ages(seconds: float, text: str) -> None:
    assert age(NOW - timedelta(seconds=seconds), NOW) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.00 s"), (0.844, "0.84 s"), (12.34, "12.3 s"), (59.94, "59.9 s"), (60, "1 min 0 s"), (3725, "62 min 5 s")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_width_counts_columns_not_characters() -> None:
    assert (width("größe"), width("大きさ"), width("e\u0301")) == (5, 6, 1)


@settings(deadline=None)
@given(st.text(), st.integers(min_value=0, max_value=30))
def test_cut_text_fits(text: str, most: int) -> None:
    assert width(cut(escaped(text), most)) <= most


@settings(deadline=None)
@given(st.text(), st.integers(min_value=1, max_value=30))
def test_cut_text_that_fits_is_unchanged(text: str, most: int) -> None:
    text = escaped(text)
    assert (cut(text, most) == text) == (width(text) <= most)


@settings(deadline=None)
@given(st.text())
def test_escaped_is_one_printable_line(text: str) -> None:
    assert escaped(text).isprintable()
