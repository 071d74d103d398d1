"""How a long step reports its progress."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called as (what, bytes done, bytes in all); total is 0 while unknown. `what` is "save", "hash" or "stream"."""


def silent(what: str, done: int, total: int) -> None:
    """The progress callback of someone who does not watch."""
