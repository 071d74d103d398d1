"""A user whose command can be made to kill or freeze itself at any point of its story."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from tests.children import Child
from tests.system.client import BECOME_NOBODY, Client, Result, finish
from tests.waiting import wait_until

LAUNCHER = Path(__file__).with_name("launcher.py")


class SignalledClient(Client):
    """The points are named, or numbered from 1 in the order in which they are reached."""

    def start_at(self, point: str | int, number: signal.Signals, *arguments: str) -> Child:
        """Start the command and return at once; it sends itself the signal at the point."""
        launcher: list[str | Path] = [sys.executable, "-P", LAUNCHER, str(point), str(int(number))]
        return Child([*BECOME_NOBODY, *launcher, *arguments], cwd=self.home, env=self.environment)

    def run_to(self, point: str | int, *arguments: str) -> Result:
        """Run the command until it kills itself at the point, or to its end if it does not come there."""
        with self.start_at(point, signal.SIGKILL, *arguments) as process:
            return finish(process)

    def freeze_at(self, point: str | int, *arguments: str) -> Child:
        """Start the command and return when it stands still at the point: SIGCONT lets it go on."""
        process = self.start_at(point, signal.SIGSTOP, *arguments)
        wait_until(lambda: process.is_stopped, what=f"the stop at {point}", process=process)
        return process


def go_on(process: Child) -> Result:
    """Let a frozen command go on to its end."""
    process.send_signal(signal.SIGCONT)
    return finish(process)
