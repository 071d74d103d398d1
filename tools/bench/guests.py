"""Guests to measure on: all alike, and only the one that is being measured runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from orchestrator.model import Host
from tests.box.box import Box
from tests.box.connection import connect
from tests.box.witness import Media, Witness

DISKS = 2
MEMORY_MIB = 256
LOADED_MIB = 64  # of its memory filled with data, so that a memory image has about 120 MB

_LOAD = (
    "yes 0123456789abcdef | head -c 1048576 >/tmp/piece; "
    f"for n in $(seq {LOADED_MIB}); do cat /tmp/piece; done >/tmp/load; sync"
)
_MARK = """
for place in /tmp /mnt /mnt2; do printf '%-4096s' {mark} >$place/mark; done
cat /tmp/piece /tmp/piece /tmp/piece /tmp/piece >/tmp/more
for disk in /mnt /mnt2; do cp /tmp/more $disk/more; done
sync
"""
# Not through the page cache, which is part of memory and so always agrees with it.
_MARKS = """
read -r mark rest </tmp/mark; echo $mark
for disk in /mnt /mnt2; do dd if=$disk/mark bs=4096 count=1 iflag=direct 2>/dev/null | tr -d ' '; echo; done
"""


class WrongState(Exception):
    """A guest is not what the work that was measured should have made of it."""


class Guest:
    """A witness with marks in its memory and on both disks. It stands still unless `wake` let it go."""

    def __init__(self, witness: Witness) -> None:
        self.uri = witness.uri
        self.name = witness.name
        self._witness = witness

    def wake(self, mark: str) -> None:
        """Let it run, and change its memory and disks: `mark` is left in each, and 4 MiB of data."""
        with connect(self.uri) as connection:
            connection.lookupByName(self.name).resume()
        self._witness.sh(_MARK.format(mark=mark))

    def rest(self, mark: str) -> None:
        """Let it stand still. Raises `WrongState` unless it runs, and memory and disks have that mark."""
        found = self._witness.sh(_MARKS).split()
        if found != [mark] * (1 + DISKS):
            raise WrongState(f"{self.name}: memory and disks should be marked {mark}, and are {found}")
        self._suspend()

    def load(self) -> None:
        """Fill part of the memory of a guest that has just booted, and let it stand still."""
        self._witness.sh(_LOAD)
        self._suspend()

    def _suspend(self) -> None:
        with connect(self.uri) as connection:
            connection.lookupByName(self.name).suspend()


@dataclass(frozen=True, slots=True)
class Site:
    """Where a bench takes place: a box, and a directory of the client's that goes at the end."""

    box: Box
    directory: Path
    host: Host

    @property
    def uri(self) -> str:
        return self.box.uri

    def catalog(self, name: str) -> str:
        """The URL of a catalog that is one competitor's own."""
        return f"sqlite:///{self.directory / name}.sqlite"

    @contextmanager
    def guest(self, name: str, prepare: Callable[[str], None] = lambda name: None) -> Iterator[Guest]:
        """A new guest with two disks, part of its memory filled; it stands still.

        `prepare` is called with its name before it boots.
        """
        witness = Witness.define(self.uri, name, media=Media(disks=DISKS), memory_mib=MEMORY_MIB)
        try:
            prepare(name)
            witness.boot()
            guest = Guest(witness)
            guest.load()
            yield guest
        finally:
            witness.remove()
