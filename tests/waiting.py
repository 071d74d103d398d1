"""Waiting for what others do, but not for ever, and not for what has died.

Every wait of the tests has a deadline. Where a process is to bring about what is waited for, the wait fails
as soon as that process has ended, with what it printed.
"""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable
from threading import Thread
from typing import Protocol, TypeVar

PATIENCE = 60.0
"""Seconds; less than the time limit of a test (pyproject.toml), so that it is the wait that fails and says for what."""

POLL = 0.02
"""Seconds between two looks."""

T = TypeVar("T")  # what a condition gives when it is true


class Awaited(Protocol):
    """A process that is expected to bring something about."""

    @property
    def has_ended(self) -> bool: ...

    def output(self) -> str:
        """What it is, and what it printed so far."""


class EndedTooSoon(AssertionError):
    """The process ended, and what was waited for had not happened."""


def wait_until(
    condition: Callable[[], T | None],
    timeout: float = PATIENCE,
    *,
    what: str = "what was waited for",
    process: Awaited | None = None,
    poll: float = POLL,
) -> T:
    """Return what `condition()` returns as soon as that is true.

    Raise TimeoutError when it is not within `timeout` seconds, and `EndedTooSoon` when `process` ended without it.
    """
    deadline = time.monotonic() + timeout
    while True:
        # In this order: what the process did last counts.
        ended = process is not None and process.has_ended
        if found := condition():
            return found
        if process is not None and ended:
            raise EndedTooSoon(f"{what} did not happen, and will not:\n{process.output()}")
        if time.monotonic() > deadline:
            said = f"\n{process.output()}" if process is not None else ""
            raise TimeoutError(f"{what} did not happen within {timeout:g} s{said}")
        time.sleep(poll)


def join(thread: Thread, timeout: float = PATIENCE) -> None:
    """Wait for the end of a thread; if it does not come, raise TimeoutError with its stack."""
    thread.join(timeout)
    if thread.is_alive():
        frame = sys._current_frames().get(thread.ident or 0)
        stack = "".join(traceback.format_stack(frame))
        raise TimeoutError(f"thread {thread.name} did not end within {timeout:g} s:\n{stack}")
