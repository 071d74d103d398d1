"""Names and texts that people give to checkpoints, tags and labs. Raises `UsageError` for others."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from ..errors import UsageError

LONGEST_DESCRIPTION = 4096


NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


def check_name(name: str, what: str) -> None:
    if not NAME.fullmatch(name):
        shown = name if len(name) <= 40 else name[:40] + "…"
        raise UsageError(
            f"{shown!r} is not a valid {what} name",
            hint="use 1 to 63 of A-Z a-z 0-9 . _ - and begin with a letter or digit",
        )


def check_description(description: str) -> None:
    if len(description) > LONGEST_DESCRIPTION:
        raise UsageError(f"the description is longer than {LONGEST_DESCRIPTION} characters", hint="shorten it")


def check_expiry(expires: datetime | None) -> None:
    if expires is not None and expires.tzinfo is None:
        raise UsageError(f"the expiry time {expires} has no time zone", hint="add one, such as UTC")


def some(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
