"""The command on a real (pseudo-)terminal: questions, the progress bar, the width."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import termios
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TypeAlias

import pytest

from orchestrator.catalog import unfinished_operations
from tests.children import Child
from tests.migrations.rows import ELSEWHERE, execute, make_old
from tests.waiting import wait_until
from tests.workstation import Workstation

from .conftest import SECONDS
from .sample import leave_unfinished

ROOT = Path(__file__).parents[2]
PATIENCE = 30.0
"""Seconds in which the command must say something, or end."""


class Terminal(Child):
    """A process whose stdin and stderr, and stdout unless it is piped, are a terminal."""

    def __init__(self, argv: list[str], *, columns: int, piped: bool) -> None:
        self.screen, inner = pty.openpty()
        self.seen = ""
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        environment = os.environ | {"TERM": "xterm-256color"}
        try:
            stdout = None if piped else inner
            super().__init__(argv, cwd=ROOT, env=environment, stdin=inner, stdout=stdout, stderr=inner)
        finally:
            os.close(inner)

    def until(self, text: str) -> None:
        wait_until(lambda: self._shows(text), PATIENCE, what=f"{text!r} on the terminal", process=self)

    def type(self, text: str) -> None:
        os.write(self.screen, text.encode())

    def exit_status(self) -> int:
        """At its end, before which it may have more to say than a terminal holds."""
        wait_until(self._has_ended_after_reading, PATIENCE, what="the end", process=self)
        return self.finish(PATIENCE).returncode

    def output(self) -> str:
        return f"{super().output()}\n[terminal]\n{self.seen}"

    def _shows(self, text: str) -> bool:
        self._read()
        return text in self.seen

    def _has_ended_after_reading(self) -> bool:
        ended = self.has_ended
        more = self._read()
        return ended and not more

    def _read(self) -> bool:
        """Take what there is on the screen; whether there was anything."""
        ready, _, _ = select.select([self.screen], [], [], 0)
        try:
            more = os.read(self.screen, 65536).decode() if ready else ""
        except OSError:  # EIO: the other end is closed
            more = ""
        self.seen += more
        return bool(more)


Open: TypeAlias = Callable[..., AbstractContextManager[Terminal]]


@pytest.fixture
def terminal(station: Workstation) -> Open:
    """Runs the command on a terminal."""

    @contextmanager
    def terminal(*arguments: str, columns: int = 80, piped: bool = False) -> Iterator[Terminal]:
        screen = Terminal(station.process(*arguments), columns=columns, piped=piped)
        try:
            with screen:
                yield screen
        finally:
            os.close(screen.screen)
        station.load()

    return terminal


QUESTION = (
    "Roll web01 back to patched? All changes to its memory and disks since checkpoint before-test "
    "(created 3 min ago) will be lost. [y/N] "
)


def test_prune_asks_and_names_what_would_go(terminal: Open) -> None:
    with terminal("prune", "web01", "--keep-last", "2", "--keep-tag", "base") as screen:
        screen.until("[y/N] ")
        assert screen.seen == (
            "Remove 2 checkpoints (web01/experiment-2, web01/experiment; 1.9 MiB)? This cannot be undone. [y/N] "
        )
        screen.type("n\n")
        assert screen.exit_status() == 1
        assert "prune was not confirmed" in screen.seen


def test_catalog_upgrade_asks_and_names_what_can_no_more_be_changed(terminal: Open, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/old.sqlite"
    with make_old(url) as database:
        execute(database, ELSEWHERE)
    with terminal("--catalog", url, "catalog", "upgrade", "--abandon", "old-server") as screen:
        screen.until("[y/N] ")
        assert screen.seen.splitlines()[-1] == (
            "Abandon 1 operation? snapctl can then no longer change db on old-server; its files are kept. [y/N] "
        )
        screen.type("n\n")
        assert screen.exit_status() == 1
        assert "catalog upgrade was not confirmed" in screen.seen
    assert [each.id for each in unfinished_operations(url)] == ["elsewhere"]


def test_rollback_asks_before_a_loss_and_proceeds_on_yes(terminal: Open) -> None:
    with terminal("rollback", "web01", "patched") as screen:
        screen.until("[y/N] ")
        assert screen.seen == QUESTION
        screen.type("y\n")
        assert screen.exit_status() == 0
        assert "web01: rolled back to patched" in screen.seen


@pytest.mark.parametrize("answer", ["n\n", "\n", "yess\n", "\x04"])
def test_question_any_other_answer_is_a_no_exit_1(terminal: Open, station: Workstation, answer: str) -> None:
    with terminal("delete", "web01", "before-test") as screen:
        screen.until("[y/N] ")
        assert "Delete before-test of web01 (96.0 KiB)? This cannot be undone." in screen.seen
        screen.type(answer)
        assert screen.exit_status() == 1
        assert "delete was not confirmed; nothing was changed" in screen.seen
    assert station.memory("before-test") in station.world.files.files


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_question_interrupted_exit_code_of_the_signal(terminal: Open, number: int, code: int) -> None:
    with terminal("rollback", "web01") as screen:
        screen.until("[y/N] ")
        screen.send_signal(number)
        assert screen.exit_status() == code
        assert "interrupted; nothing was changed" in screen.seen
        assert "Traceback" not in screen.seen


def test_question_is_not_in_the_piped_data(terminal: Open) -> None:
    with terminal("rollback", "web01", "patched", "-o", "json", piped=True) as screen:
        screen.until("[y/N] ")
        screen.type("y\n")
        assert screen.exit_status() == 0
        assert screen.stdout.startswith('{\n  "operation": "rollback"')


# --------------------------------------------------------------------------- the progress bar


@pytest.fixture
def slow(station: Workstation) -> None:
    """A save of more than a second, so that it gets a bar."""
    station.world.pace = 0.12


@pytest.mark.usefixtures("slow")
def test_bar_long_step_shows_bytes_and_rate_and_leaves_nothing_behind(terminal: Open) -> None:
    with terminal("checkpoint", "web01", "x", columns=100) as screen:
        screen.until("MiB of 128.0 MiB")
        screen.until("MiB/s")
        assert "saving memory" in screen.seen
        assert screen.exit_status() == 0
        last = screen.seen.rsplit("\x1b[2K", 1)[-1]
        assert SECONDS.sub("N s", last).strip("\r\n") == "web01: checkpoint x created in N s (guest stopped for N s)"


@pytest.mark.usefixtures("slow")
@pytest.mark.parametrize("option", ["-q", "-ojson"])
def test_bar_quiet_or_json_is_not_drawn(terminal: Open, option: str) -> None:
    with terminal("checkpoint", "web01", "x", option) as screen:
        assert screen.exit_status() == 0
        assert "saving memory" not in screen.seen


@pytest.mark.usefixtures("slow")
def test_bar_interrupted_gives_the_cursor_back_exit_130(terminal: Open) -> None:
    with terminal("checkpoint", "web01", "x") as screen:
        screen.until("saving memory")
        screen.send_signal(signal.SIGINT)
        assert screen.exit_status() == 130
        assert screen.seen.rindex("\x1b[?25h") > screen.seen.rindex("\x1b[?25l")


@pytest.mark.parametrize("columns", [66, 80, 200])
def test_list_keeps_to_the_width_of_the_terminal(terminal: Open, station: Workstation, columns: int) -> None:
    leave_unfinished(station)
    with terminal("list", columns=columns) as screen:
        assert screen.exit_status() == 0
        lines = [line for line in screen.seen.splitlines() if "unfinished" not in line]
        assert max(map(len, lines)) <= columns
        assert ("all updates of May" in screen.seen) == (columns == 200)
