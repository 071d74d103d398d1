"""Time and memory of a command, from its start to its end."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

from tools.bench.statistics import Measurement

PATIENCE = 600.0
"""Seconds until a command that does not end is given up; the slowest that is measured takes a few."""

LAUNCHER = (sys.executable, "-I", "-S", str(Path(__file__).with_name("launcher.py")))


class CommandFailed(Exception):
    """A command that was measured, or prepares a measurement, exited with an error."""

    def __init__(self, command: str, said: str) -> None:
        super().__init__(f"{command}: {said}")
        self.said = said  # the last line on its stderr


def measured(*argv: str | Path) -> Measurement:
    """Run a command; raises `CommandFailed` unless its exit status is 0."""
    command = [str(part) for part in argv]
    done = subprocess.run(
        [*LAUNCHER, *command], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True, timeout=PATIENCE
    )
    seconds, peak_bytes, status = done.stdout.split()
    if status != "0":
        said = done.stderr.strip().splitlines()[-1:] or [f"exit status {status}"]
        raise CommandFailed(shlex.join(command), said[0].removeprefix("error: "))
    return Measurement(seconds=float(seconds), peak_bytes=int(peak_bytes))
