"""Times of files as people read them. libvirt prints them as seconds and nanoseconds since the epoch."""

from __future__ import annotations

from datetime import UTC, datetime


def dates(*mtimes: str | None) -> list[str]:
    """Each as a date, with the fraction of its second only where they would look alike without."""
    shown = [_date(each) for each in mtimes]
    return shown if len(set(shown)) == len(set(mtimes)) else [_date(each, precise=True) for each in mtimes]


def _date(mtime: str | None, *, precise: bool = False) -> str:
    if mtime is None:
        return "an unknown time"
    seconds, _, fraction = mtime.partition(".")
    try:
        date = datetime.fromtimestamp(int(seconds), UTC)
    except (ValueError, OverflowError, OSError):
        return mtime  # of a hypervisor that counts otherwise
    return f"{date:%Y-%m-%d %H:%M:%S}{f'.{fraction}' if precise and fraction else ''} UTC"
