"""The command on a real (pseudo-)terminal: questions, the progress bar, the width."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]


class Terminal:
    """A process whose stdin and stderr, and stdout unless it is piped, are a terminal."""

    def __init__(self, process: subprocess.Popen[bytes], screen: int) -> None:
        self.process = process
        self.screen = screen
        self.seen = ""

    def until(self, text: str) -> None:
        while text not in self.seen:
            self.seen += self._read() or f"[the process ended without saying {text!r}]{text}"

    def type(self, text: str) -> None:
        os.write(self.screen, text.encode())

    def finish(self) -> int:
        while more := self._read():
            self.seen += more
        return self.process.wait(timeout=30)

    def _read(self) -> str:
        try:
            return os.read(self.screen, 65536).decode()
        except OSError:  # EIO: the other end is closed
            return ""


@contextmanager
def terminal(*arguments: str, columns: int = 80, piped: bool = False) -> Iterator[Terminal]:
    screen, inner = pty.openpty()
    fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.cli.standin", *arguments],
        cwd=ROOT,
        stdin=inner,
        stdout=subprocess.PIPE if piped else inner,
        stderr=inner,
        env={key: value for key, value in os.environ.items() if key != "COLUMNS"} | {"TERM": "xterm-256color"},
    )
    os.close(inner)
    try:
        yield Terminal(process, screen)
    finally:
        process.kill()
        process.wait()
        os.close(screen)
        if process.stdout:
            process.stdout.close()


def test_prune_asks_and_names_what_would_go() -> None:
    with terminal("prune", "web01", "--keep-last", "2", "--keep-tag", "base") as screen:
        screen.until("[y/N] ")
        assert screen.seen == (
            "Remove 2 checkpoints (web01/experiment-2, web01/experiment; 193.0 MiB)? There is no way back. [y/N] "
        )
        screen.type("n\n")
        assert screen.finish() == 1
        assert "prune was not confirmed" in screen.seen


QUESTION = (
    "Roll web01 back to patched? What its memory and disks became since checkpoint before-test "
    "(made 3 min ago) is lost. [y/N] "
)


def test_rollback_asks_what_may_be_lost_and_goes_on_with_a_yes() -> None:
    with terminal("rollback", "web01", "patched") as screen:
        screen.until("[y/N] ")
        assert screen.seen == QUESTION
        screen.type("y\n")
        assert screen.finish() == 0
        assert "web01: rolled back to patched" in screen.seen


def test_anything_else_is_a_no() -> None:
    for answer in ("n\n", "\n", "yess\n", "\x04"):
        with terminal("delete", "web01", "before-test") as screen:
            screen.until("[y/N] ")
            assert "Delete before-test of web01 (95.0 MiB)? There is no way back." in screen.seen
            screen.type(answer)
            assert screen.finish() == 1
            assert "delete was not confirmed; nothing was changed" in screen.seen


def test_ctrl_c_at_the_question() -> None:
    with terminal("rollback", "web01") as screen:
        screen.until("[y/N] ")
        screen.process.send_signal(signal.SIGINT)
        assert screen.finish() == 130
        assert "interrupted; nothing was changed" in screen.seen
        assert "Traceback" not in screen.seen


def test_a_question_does_not_end_up_in_the_data() -> None:
    with terminal("rollback", "web01", "patched", "-o", "json", piped=True) as screen:
        screen.until("[y/N] ")
        screen.type("y\n")
        assert screen.process.stdout is not None
        assert screen.process.stdout.read().startswith(b'{\n  "operation": "rollback"')
        assert screen.finish() == 0


def test_a_long_step_shows_bytes_and_rate_and_leaves_nothing_behind() -> None:
    with terminal("checkpoint", "web01", "x", columns=100) as screen:
        screen.until("MiB of 300.0 MiB")
        screen.until("MiB/s")
        assert "saving memory" in screen.seen
        assert screen.finish() == 0
        last = screen.seen.rsplit("\x1b[2K", 1)[-1]
        assert last.strip("\r\n") == "web01: checkpoint x made in 0.84 s (guest stopped for 0.61 s)"


def test_the_bar_keeps_quiet_when_asked_to() -> None:
    for option in ("-q", "-ojson"):
        with terminal("checkpoint", "web01", "x", option) as screen:
            assert screen.finish() == 0
            assert "saving memory" not in screen.seen


def test_ctrl_c_during_a_step_gives_the_cursor_back() -> None:
    with terminal("checkpoint", "web01", "x") as screen:
        screen.until("saving memory")
        screen.process.send_signal(signal.SIGINT)
        assert screen.finish() == 130
        assert screen.seen.rindex("\x1b[?25h") > screen.seen.rindex("\x1b[?25l")


def test_the_width_of_the_terminal_is_kept() -> None:
    for columns in (66, 80, 200):
        with terminal("list", columns=columns) as screen:
            assert screen.finish() == 0
            lines = [line for line in screen.seen.splitlines() if "unfinished" not in line]
            assert max(map(len, lines)) <= columns
            assert ("all updates of May" in screen.seen) == (columns == 200)
