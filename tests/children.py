"""The processes that tests start: what they print is kept, and none outlives its test.

A child's output goes to files rather than pipes: it can be read at any time, by a test that timed out as well,
no child ever waits for a reader, and no grandchild that holds a pipe open makes us wait for its end.
`tests.timeouts` shows what the children of a failed test printed, and ends them all at the end of each test.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import tempfile
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from tests.waiting import PATIENCE, EndedTooSoon, wait_until

SHOWN = 10
"""So many of the children that ended are remembered: a test may have thousands."""

_running: list[Child] = []
_ended: deque[Child] = deque(maxlen=SHOWN)
"""Of the test at hand. A child that nobody has waited for is among the running ones."""


class Child:
    """A process. As a context manager it is killed at the end of the block, if it has not ended by then.

    Of its standard streams stdin is empty, or a pipe with `listens`, and the others are kept. Each of them may be
    a file descriptor instead, and is then the caller's business.
    """

    def __init__(
        self,
        argv: Sequence[str | Path],
        *,
        cwd: str | Path | None = None,
        env: Mapping[str, str] | None = None,
        listens: bool = False,
        stdin: int | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
    ) -> None:
        self.argv = [str(part) for part in argv]
        self._out, self._err = _Kept(), _Kept()
        self._heard = 0  # lines of stdout
        self._process = subprocess.Popen(
            self.argv,
            cwd=cwd,
            env=env,
            stdin=stdin if stdin is not None else subprocess.PIPE if listens else subprocess.DEVNULL,
            stdout=self._out.file if stdout is None else stdout,
            stderr=self._err.file if stderr is None else stderr,
            bufsize=0,
            process_group=0,  # so that `end` reaches what it started, too
        )
        _running.append(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end()

    @property
    def pid(self) -> int:
        return self._process.pid

    # ------------------------------------------------------------------ what it did

    @property
    def stdout(self) -> str:
        """What it printed so far."""
        return self._out.text()

    @property
    def stderr(self) -> str:
        return self._err.text()

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    @property
    def is_stopped(self) -> bool:
        """By SIGSTOP."""
        return self._state() == "T"

    @property
    def is_zombie(self) -> bool:
        """It has ended, and nobody has asked for its exit status yet."""
        return self._state() == "Z"

    def output(self) -> str:
        """All that can be said about it, for a test that failed."""
        code = self._process.poll()
        fate = "still running" if code is None else f"exit status {code}"
        text = f"$ {shlex.join(self.argv)}\n[process {self.pid}: {fate}]"
        for name, printed in (("stdout", self.stdout), ("stderr", self.stderr)):
            text += f"\n[{name}]\n{printed}" if printed else ""
        return text

    # ------------------------------------------------------------------ what is done with it

    def say(self, line: str) -> None:
        """Write a line to its stdin."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{line}\n".encode())
        except BrokenPipeError:
            raise EndedTooSoon(f"it reads no more lines:\n{self.output()}") from None

    def hear(self, timeout: float = PATIENCE) -> str:
        """The next line on its stdout, without its end."""
        lines = wait_until(self._unheard, timeout, what="another line", process=self)
        self._heard += 1
        return lines[0]

    def send_signal(self, number: int) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        """Send it SIGKILL; harmless when it has ended."""
        self._process.kill()

    def wait(self, timeout: float) -> int:
        """Its exit status, or subprocess.TimeoutExpired if it has none by then."""
        return self._process.wait(timeout)

    def finish(self, timeout: float = PATIENCE) -> subprocess.CompletedProcess[str]:
        """Wait for its end. One that takes too long is killed, and is an error that shows what it printed."""
        try:
            code = self.wait(timeout)
        except subprocess.TimeoutExpired:
            output = self.output()
            self.end()
            raise TimeoutError(f"not ended within {timeout:g} s:\n{output}") from None
        self._close()
        return subprocess.CompletedProcess(self.argv, code, self.stdout, self.stderr)

    def end(self) -> None:
        """Kill it and what it started, if it has not ended. What it printed can be read still."""
        if not self.has_ended:
            os.killpg(self.pid, signal.SIGKILL)
            self.wait(PATIENCE)
        self._close()

    def _close(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._out.close()
        self._err.close()
        if self in _running:
            _running.remove(self)
            _ended.append(self)

    def _unheard(self) -> list[str]:
        *lines, _ = self.stdout.split("\n")
        return lines[self._heard :]

    def _state(self) -> str:
        try:
            stat = Path(f"/proc/{self.pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return ""
        return stat.rpartition(") ")[2][:1]


class _Kept:
    """A file without a name that is read without moving the position at which the child writes."""

    def __init__(self) -> None:
        self.file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        self._text: str | None = None  # once it is closed

    def text(self) -> str:
        if self._text is not None:
            return self._text
        number = self.file.fileno()
        return os.pread(number, os.fstat(number).st_size, 0).decode(errors="replace")

    def close(self) -> None:
        self._text = self.text()
        self.file.close()


def run(
    *argv: str | Path,
    check: bool = False,
    cwd: str | Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = PATIENCE,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; with `check`, its exit status must be 0."""
    with Child(argv, cwd=cwd, env=env) as child:
        done = child.finish(timeout)
    assert not check or done.returncode == 0, child.output()
    return done


@contextmanager
def started_together(*commands: Sequence[str | Path]) -> Iterator[list[Child]]:
    """Programs that each print "ready", wait for a line, and then act, as nearly at the same time as can be."""
    with ExitStack() as stack:
        children = [stack.enter_context(Child(command, listens=True)) for command in commands]
        for child in children:
            assert child.hear() == "ready", child.output()
        for child in children:
            child.say("go")
        yield children


def outputs() -> list[tuple[str, str]]:
    """Of the test at hand, the last children that ended and those that have not: a name, and all that can be said."""
    return [(f"process {child.pid}", child.output()) for child in (*_ended, *_running)]


def end_all() -> None:
    """Kill the children that there still are."""
    for child in tuple(_running):
        child.end()


def forget_all() -> None:
    """After `end_all`: the next test shows its own."""
    _ended.clear()
