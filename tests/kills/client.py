"""A user whose command can be made to kill or freeze itself at any point of its story."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.system.client import BECOME_NOBODY, Client, Result, finish

LAUNCHER = Path(__file__).with_name("launcher.py")


class SignalledClient(Client):
    """The points are named, or numbered from 1 in the order in which they are reached."""

    def start_at(self, point: str | int, number: signal.Signals, *arguments: str) -> subprocess.Popen[str]:
        """Start the command and return at once; it sends itself the signal at the point."""
        return subprocess.Popen(
            [*BECOME_NOBODY, sys.executable, "-P", LAUNCHER, str(point), str(int(number)), *arguments],
            cwd=self.home, env=self.environment, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run_to(self, point: str | int, *arguments: str) -> Result:
        """Run the command until it kills itself at the point, or to its end if it does not come there."""
        with self.start_at(point, signal.SIGKILL, *arguments) as process:
            return finish(process)

    def freeze_at(self, point: str | int, *arguments: str) -> subprocess.Popen[str]:
        """Start the command and return when it stands still at the point: SIGCONT lets it go on."""
        process = self.start_at(point, signal.SIGSTOP, *arguments)
        seen = os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        assert seen is not None
        if seen.si_code != os.CLD_STOPPED:
            raise AssertionError(f"it never came to {point}: {finish(process)}")
        return process


def go_on(process: subprocess.Popen[str]) -> Result:
    """Let a frozen command go on to its end."""
    process.send_signal(signal.SIGCONT)
    return finish(process)
