"""A box in which saves and restores can be held, so that something can happen in the middle of them.

libvirt sends a compressed memory image through gzip, both ways. In a box with slow saves that is a
program of ours; here it is one that can be held on the way back, too.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import libvirt

from tests.box import layout
from tests.box.box import Box
from tests.box.connection import connect
from tests.waiting import Awaited, wait_until

STARTING = [libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_STARTING_UP]
SAVING = libvirt.VIR_DOMAIN_JOB_OPERATION_SAVE

GZIP = """#!/bin/sh
[ "$1" = -c ] && hold={saves} || hold={restores}
while [ -e $hold ]; do sleep 0.05; done
exec /usr/bin/gzip -1 "$@"
"""


class HoldingBox(Box):
    def up(self, *, slow_save: bool = True, static_ownership: bool = False) -> HoldingBox:
        super().up(slow_save=slow_save, static_ownership=static_ownership)
        gzip = GZIP.format(saves=self.state.hold_saves, restores=self._hold_restores)
        self.run_inside("sh", "-c", f'printf %s "$0" >{layout.SHIMS}/gzip', gzip)
        return self

    @contextlib.contextmanager
    def hold(self, job: str) -> Iterator[None]:
        """As long as the context lasts, no "save", or no "restore", comes to its end."""
        if job == "save":
            with self.hold_saves():
                yield
            return
        self._hold_restores.touch()
        try:
            yield
        finally:
            self._hold_restores.unlink()

    def wait_for(self, job: str, domain: str, process: Awaited) -> None:
        """Return when such a job of the domain, which `process` begins, is in progress."""
        begun = {"save": self._saves, "restore": self._restores}[job]
        wait_until(lambda: begun(domain), what=f"the {job}", process=process)

    def _saves(self, name: str) -> bool:
        with connect(self.uri) as connection:
            return bool(connection.lookupByName(name).jobStats().get("operation") == SAVING)

    def _restores(self, name: str) -> bool:
        """Whether there is a QEMU that waits for its memory."""
        with connect(self.uri) as connection:
            if connection.lookupByName(name).state() != STARTING:
                return False
        return self.run_inside("pgrep", "--full", f"guest={name},.* -incoming", check=False).returncode == 0

    @property
    def _hold_restores(self) -> Path:
        return self.state.directory / "hold-restores"
