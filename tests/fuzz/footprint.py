"""What the parsers alone take of memory: in a process of their own, where nothing is drawn or kept.

Hypothesis remembers all that it has drawn, so the size of its own process says nothing of them.
"""

from __future__ import annotations

import resource
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tests.waiting import PATIENCE, EndedTooSoon


def growth(act: Callable[[Any], object], refusals: tuple[type[Exception], ...], inputs: Sequence[Any]) -> int:
    """Bytes by which a new process was larger, at its largest, than before it was fed."""
    context = get_context("forkserver")
    ours, theirs = context.Pipe()
    process = context.Process(target=_feed, args=(theirs,), daemon=True)
    process.start()
    theirs.close()
    try:
        ours.send((act, refusals, inputs))
        assert ours.poll(PATIENCE), "no answer"
        try:
            answer: int = ours.recv()
        except EOFError:
            raise EndedTooSoon("the process ended without an answer") from None
        return answer
    finally:
        process.kill()
        process.join(PATIENCE)
        process.close()
        ours.close()


def _feed(pipe: Connection) -> None:
    act, refusals, inputs = pipe.recv()
    before = _resident()
    for value in inputs:
        with suppress(*refusals):
            act(value)
    pipe.send(max(_largest() - before, 0))


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _largest() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
