"""The lease of an open operation: a row's token, kept alive by a heartbeat.

Three times, as restic keeps its locks (15 < 45 < 60): the heartbeat beats every `beat` seconds, each
beat puts the end of the lease `ttl` seconds off, and a holder without a heartbeat for `lost` seconds
does nothing more before it has renewed the lease, well before another process may take it over.

The end of a lease is wall-clock time of the database server, or of this machine for an SQLite file; the time since the
last heartbeat is measured by a monotonic clock that also counts while the machine sleeps.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from threading import Event, Thread

from ..errors import Busy, CatalogError
from ..model import OperationRecord
from . import journal
from .database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseTimes:
    """In seconds."""

    ttl: float = 60.0
    beat: float = 15.0
    lost: float = 45.0


class SqlLease:
    """The lease of one row. Its heartbeat is a thread with a connection of its own."""

    def __init__(self, database: Database, operation: OperationRecord, times: LeaseTimes) -> None:
        self._database = database
        self._operation = operation
        self._times = times
        self._beaten = _clock()
        self._released = Event()
        self._heart = Thread(target=self._beat, name=f"lease {operation.id}", daemon=True)
        try:
            self._heart.start()
        except BaseException:  # interrupted while the thread starts: it must not renew the lease of an unused operation
            self._released.set()
            raise

    def check(self) -> None:
        """Raise `Busy` unless the lease is ours, and will be for some time: `ttl` - `lost` at least."""
        if self._released.is_set():
            raise journal.not_ours(self._operation)
        if _clock() - self._beaten >= self._times.lost:
            self._renew()
            return
        with self._database.read() as session:
            journal.require(session, self._operation)

    def release(self) -> None:
        """Stop the heartbeat and end the lease now, so that another process may take the operation over.

        A catalog that cannot be reached is no error here: the lease ends by itself.
        """
        if self._released.is_set():
            return
        self._released.set()
        try:
            self._heart.join()
        except KeyboardInterrupt:
            self._heart.join()  # a last beat after the release would take the lease again
            raise
        finally:  # a process that goes on after Ctrl-C must not keep its own domain busy
            with suppress(CatalogError), self._database.write() as session:
                journal.release(session, self._operation)

    def _renew(self) -> None:
        at = _clock()  # before the row is written, so that we give up too early rather than too late
        with self._database.write() as session:
            if not journal.renew(session, self._operation, self._times.ttl):
                raise journal.lost(session, journal.get(session, self._operation.id), self._operation)
        self._beaten = at

    def _beat(self) -> None:
        while not self._released.wait(self._times.beat):
            try:
                self._renew()
            except CatalogError:
                continue  # it may be reachable again at the next beat
            except Busy:
                return  # lost: whoever works under it finds out by itself


def _clock() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
