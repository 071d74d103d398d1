"""The progress bar of a long step, on a terminal only."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..ports import Progress, silent
from . import streams

if TYPE_CHECKING:
    import rich.progress

LABELS = {"save": "saving memory", "hash": "hashing", "stream": "copying data"}
PATIENCE = 0.5
"""Seconds a step may take before its bar shows: a bar that only flashes up is of no use."""
INTERVAL = 0.1
"""Seconds between two drawings."""


@contextlib.contextmanager
def bar(watched: bool) -> Iterator[Progress]:
    """A progress callback that draws on stderr, if that is a terminal and progress is wanted."""
    if not watched or not streams.on_terminal(sys.stderr):
        yield silent
        return
    drawing = _Bar()
    try:
        yield drawing
    finally:
        drawing.close()


class _Bar:
    """Draws in the caller's thread, and never fails: what it reports on matters more than the bar."""

    def __init__(self) -> None:
        self._what = ""
        self._began = 0.0
        self._drawn = 0.0
        self._display: rich.progress.Progress | None = None
        self._task: rich.progress.TaskID | None = None

    def __call__(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if what != self._what:
            self.close()
            self._what, self._began = what, now
        if 0 < total <= done:
            self.close()
        elif now - self._began >= PATIENCE and now - self._drawn >= INTERVAL:
            self._drawn = now
            with contextlib.suppress(OSError):
                self._draw(done, total)

    def _draw(self, done: int, total: int) -> None:
        if self._display is None or self._task is None:
            from .render.bar import display  # rich takes longer to load than most verbs to run

            self._display = display(sys.stderr)
            self._task = self._display.add_task(LABELS.get(self._what, self._what))
            self._display.start()
        self._display.update(self._task, completed=done, total=total or None)
        self._display.refresh()

    def close(self) -> None:
        """Take the bar off the screen."""
        if self._display is not None:
            with contextlib.suppress(OSError):
                self._display.stop()
        self._display = self._task = None
        self._what = ""
