"""Times of files as dates."""

from __future__ import annotations

from orchestrator.integrity.times import dates


def test_dates_show_a_fraction_only_where_they_would_look_alike() -> None:
    assert dates("1767323045.5", "1767323046.5") == ["2026-01-02 03:04:05 UTC", "2026-01-02 03:04:06 UTC"]
    assert dates("1767323045.5", "1767323045.25") == ["2026-01-02 03:04:05.5 UTC", "2026-01-02 03:04:05.25 UTC"]
    assert dates("1767323045", "1767323045.25") == ["2026-01-02 03:04:05 UTC", "2026-01-02 03:04:05.25 UTC"]
    assert dates("1767323045.5", "1767323045.5") == ["2026-01-02 03:04:05 UTC"] * 2


def test_dates_of_what_is_no_time_show_it_as_it_is() -> None:
    assert dates(None, "yesterday", f"{10**30}") == ["an unknown time", "yesterday", f"{10**30}"]
