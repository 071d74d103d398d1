"""stdin, stdout and stderr as they come: a terminal, a pipe without a reader, a full disk, or closed."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import shutil
import sys
from typing import TextIO


def tolerate() -> None:
    """Show what a stream's encoding cannot say as an escape, instead of failing on it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


class OutputLost(Exception):
    """stdout could not be written. `reader_gone`: because whoever read it has had enough."""

    def __init__(self, error: OSError) -> None:
        super().__init__(error.strerror or str(error))
        self.reader_gone = isinstance(error, BrokenPipeError)


def put(text: str) -> None:
    """Write to stdout, at once. Raises `OutputLost`."""
    try:
        if sys.stdout is None:  # closed by the caller: `snapctl list >&-`
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        raise OutputLost(error) from error


def tell(text: str) -> None:
    """Write a line to stderr; a failure to do so is ignored."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError):
            sys.stderr.write(text + "\n")
            sys.stderr.flush()


def drop_output() -> None:
    """Send what is still buffered for stdout nowhere, so that Python's exit does not fail on it again."""
    with contextlib.suppress(OSError, ValueError, AttributeError):  # none, closed, or not a file
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def on_terminal(stream: TextIO | None) -> bool:
    return stream is not None and not stream.closed and stream.isatty()


def somebody_answers() -> bool:
    """Whether a question on stderr would be seen, and answered on stdin."""
    return on_terminal(sys.stdin) and on_terminal(sys.stderr)


def output_width() -> int | None:
    """Columns of the terminal that stdout is, None when it is none."""
    return shutil.get_terminal_size().columns if on_terminal(sys.stdout) else None


def can_draw(text: str) -> bool:
    """Whether stdout's encoding has these characters."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def ask(question: str) -> bool:
    """Ask on stderr; only a plain yes is one. An end of input is a no."""
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    try:
        return sys.stdin.readline().strip().lower() in ("y", "yes")
    except UnicodeDecodeError:
        return False
