"""Lengths of time: what is read, what is refused, how they are told."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import UsageError
from orchestrator.timespan import LONGEST, brief, parse, rough


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("90m", timedelta(minutes=90)),
        ("12h", timedelta(hours=12)),
        ("3d", timedelta(days=3)),
        ("2w", timedelta(days=14)),
        (" 3D ", timedelta(days=3)),
    ],
)
def test_parse_reads_each_unit(text: str, span: timedelta) -> None:
    assert parse(text, "--expires") == span


@pytest.mark.parametrize(
    "text",
    ["", "3", "d", "0d", "-3d", "+3d", "1.5h", "3 d", "3days", "3d12h", "3s", "³d", "3d\n\0", "99999999w", "9" * 99],
)
def test_parse_no_length_of_time_is_refused(text: str) -> None:
    with pytest.raises(
        UsageError, match=r"--expires: .* is not a length of time; .*; use a form like 90m, 12h, 3d or 2w"
    ):
        parse(text, "--expires")


@given(st.integers(1, int(LONGEST.total_seconds()) // 60))
def test_parse_reads_what_brief_writes(minutes: int) -> None:
    span = timedelta(minutes=minutes)
    assert parse(brief(span), "") == span


@pytest.mark.parametrize(
    ("span", "told"),
    [
        (timedelta(seconds=29), "less than a minute"),
        (timedelta(minutes=1), "1 minute"),
        (timedelta(minutes=-89), "1 hour"),
        (timedelta(hours=25), "1 day"),
        (timedelta(days=3, seconds=-5), "3 days"),
        (timedelta(days=-2), "2 days"),
    ],
)
def test_roughly(span: timedelta, told: str) -> None:
    assert rough(span) == told
