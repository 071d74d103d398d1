"""SIGTERM and SIGHUP end a command as Ctrl-C does: what is in progress is finished or undone first.

`systemctl stop`, a CI timeout, a closed terminal and a lost ssh session send them far more often than anybody
presses Ctrl-C, and in the middle of a save they would leave the guest off.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

FATAL = 128
"""What a shell adds to the number of the signal that ended a command."""


class Ending:
    """Which signal has asked the command to end, if any has."""

    def __init__(self) -> None:
        self._first: int | None = None

    @property
    def exit_code(self) -> int:
        """130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP."""
        return FATAL + (self._first or signal.SIGINT)

    def on_signal(self, number: int, _: FrameType | None) -> None:
        """Raise `KeyboardInterrupt`.

        A closed terminal or a service manager sends several signals: those after the first do not disturb what it
        has begun; only another Ctrl-C does. (One that was lost is not the first: see `on_unraisable`.)
        """
        insists = number == signal.SIGINT
        if self._first is None or insists:
            self._first = self._first or number
            raise KeyboardInterrupt

    def on_unraisable(self, exception: BaseException | None) -> None:
        """Python discards an exception raised in a finalizer (`__del__`) or in a callback from C. A signal that came
        at such a moment interrupted nothing: the next one, of whatever kind, counts as the first again."""
        if isinstance(exception, KeyboardInterrupt):
            self._first = None


@contextmanager
def handled() -> Iterator[Ending]:
    """Handle them while the block lasts; one that the caller ignores (`nohup`) or handles itself stays as it is."""
    ending = Ending()
    before = {}
    unraisable = sys.unraisablehook

    def on_unraisable(discarded: sys.UnraisableHookArgs) -> None:
        ending.on_unraisable(discarded.exc_value)
        unraisable(discarded)

    if threading.current_thread() is threading.main_thread():  # Python lets no other thread set handlers
        for number, default in (
            (signal.SIGINT, signal.default_int_handler),
            (signal.SIGTERM, signal.SIG_DFL),
            (signal.SIGHUP, signal.SIG_DFL),
        ):
            if signal.getsignal(number) == default:
                before[number] = signal.signal(number, ending.on_signal)
        sys.unraisablehook = on_unraisable
    try:
        yield ending
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if sys.unraisablehook is on_unraisable:
            sys.unraisablehook = unraisable
