"""Lengths of time as people write and read them: `90m`, `12h`, `3d`, `2w`. Pure."""

from __future__ import annotations

import re
from datetime import timedelta

from .errors import UsageError

MINUTES = {"m": 1, "h": 60, "d": 24 * 60, "w": 7 * 24 * 60}
LONGEST = timedelta(days=100 * 365)
"""Anything longer is a typing error, and would end beyond the year 9999."""

_SPAN = re.compile(r"([0-9]{1,9})([mhdw])")


def parse(text: str, what: str) -> timedelta:
    """A whole number of minutes, hours, days or weeks, more than none. Raises `UsageError` naming `what`."""
    found = _SPAN.fullmatch(text.strip().lower())
    span = timedelta(minutes=int(found[1]) * MINUTES[found[2]]) if found else timedelta()
    if not timedelta() < span <= LONGEST:
        shown = text if len(text) <= 40 else text[:40] + "…"
        raise UsageError(f"{what}: {shown!r} is not a length of time", hint="use a form like 90m, 12h, 3d or 2w")
    return span


def brief(span: timedelta) -> str:
    """As `parse` reads it, in the largest unit that it is a whole number of: `3d`. Seconds are left out."""
    minutes = int(span.total_seconds()) // 60
    unit = max((unit for unit, length in MINUTES.items() if minutes % length == 0), key=MINUTES.__getitem__)
    return f"{minutes // MINUTES[unit]}{unit}"


def rough(span: timedelta) -> str:
    """Rounded, in the largest unit that leaves a whole part: `2 days`; whatever its sign."""
    minutes = round(abs(span).total_seconds() / 60)
    for length, unit in ((24 * 60, "day"), (60, "hour"), (1, "minute")):
        if minutes >= length:
            count = round(minutes / length)
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return "less than a minute"
