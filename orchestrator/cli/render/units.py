"""Sizes, times and names as people read them."""

from __future__ import annotations

from datetime import datetime
from unicodedata import combining, east_asian_width

from ...errors import printable

ELLIPSIS = "…"


def size(count: int) -> str:
    """Bytes in the largest binary unit that leaves a whole part: `95.2 MiB`."""
    value, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB", "PiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{count} B" if unit == "B" else f"{value:.1f} {unit}"


def age(moment: datetime, now: datetime) -> str:
    """How long ago, in the largest unit that leaves a whole part; clocks that disagree make no future."""
    seconds = int((now - moment).total_seconds())
    if seconds < 1:
        return "just now"
    for length, unit in ((365 * 86400, "y"), (30 * 86400, "mo"), (86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= length:
            return f"{seconds // length} {unit} ago"
    return f"{seconds} s ago"


def duration(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def escaped(text: str) -> str:
    """`text` on one line, with whatever a terminal might obey shown escaped."""
    return text if text.isascii() and text.isprintable() else printable(text)


def width(text: str) -> int:
    """Columns that `text` takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(char) else 2 if east_asian_width(char) in "WF" else 1 for char in text)


def cut(text: str, most: int) -> str:
    """`text` in at most so many columns, its end given up for an ellipsis."""
    if width(text) <= most:
        return text
    kept, room = "", most - 1
    for char in text:
        room -= width(char)
        if room < 0:
            break
        kept += char
    return kept.rstrip() + ELLIPSIS if most > 0 else ""
