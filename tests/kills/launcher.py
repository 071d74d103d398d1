"""The real command, in a process that sends itself a signal at a named point of the operation it carries out.

    python -P launcher.py POINT SIGNAL [ARGUMENT]…

POINT is the point's name ("saved.before"), or a number: the n-th point that is reached. SIGNAL is a
number (9 kills, 19 freezes). The points reached are told on stderr. The lease is so short that a
test can wait for its end.
"""

from __future__ import annotations

import os
import sys

from orchestrator import Coordinator
from orchestrator.catalog import LeaseTimes, open_catalog
from orchestrator.cli import main
from orchestrator.hypervisor import connect
from orchestrator.ports import Progress
from orchestrator.settings import Settings
from orchestrator.units import MIB

LEASE = LeaseTimes(ttl=3.0, beat=0.75, lost=2.25)  # the usual one, twenty times as fast


class Launcher:
    """Opens the library as `Coordinator.open` does, but with the point and the lease."""

    def __init__(self, point: str, signal: int) -> None:
        self._point = point
        self._signal = signal
        self._reached = 0

    def connect(self, settings: Settings, *, progress: Progress) -> Coordinator:
        hypervisor = connect(settings.uri, job_timeout=settings.job.timeout_s)
        return Coordinator(
            hypervisor,
            open_catalog(settings.catalog, hypervisor.host, LEASE),
            store=settings.store.path,
            reserve_bytes=settings.store.reserve_mib * MIB,
            progress=progress,
            point=self._reach,
        )

    def _reach(self, name: str) -> None:
        self._reached += 1
        print(name, file=sys.stderr, flush=True)
        if self._point in (name, str(self._reached)):
            self._point = ""  # once
            os.kill(os.getpid(), self._signal)


if __name__ == "__main__":
    _, point, signal, *arguments = sys.argv
    sys.exit(main(arguments, connect=Launcher(point, int(signal)).connect))
