"""One libvirt connection, opened again after it broke.

libvirt's event loop runs in a thread of its own, from before the first connection: without it no
keepalive is answered, and a daemon that hangs is never noticed.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import cache
from threading import Thread
from time import monotonic, sleep
from typing import Any

import libvirt

from . import uri as uris
from .errors import silent, unreachable

CONNECT_TIMEOUT = 30.0  # seconds
KEEPALIVE_INTERVAL = 5  # seconds
KEEPALIVE_COUNT = 5  # missed replies until the connection counts as dead: as libvirtd itself does
REOPEN_PATIENCE = 30.0  # seconds: a daemon that is being restarted is back by then
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0


class Connection:
    """A way to a hypervisor; `handle` is the virConnect to call *now*: never keep it."""

    def __init__(self, uri: str, *, read_only: bool = False, timeout: float = CONNECT_TIMEOUT) -> None:
        """`timeout` (seconds) is for each time that it is opened.

        Raises `UsageError` for a URI that `uri.check` refuses, `HypervisorError` when it cannot be opened.
        """
        uris.check(uri)
        _run_event_loop()
        self._uri = uri
        self._timeout = timeout
        self._open = libvirt.openReadOnly if read_only else libvirt.open
        try:
            self._handle = self._opened()
        except libvirt.libvirtError as error:
            raise unreachable(uris.shown(self._uri), error) from error

    @property
    def uri(self) -> str:
        """Without user, password and parameters."""
        return uris.public(self._uri)

    @property
    def handle(self) -> Any:
        """A virConnect that is alive as far as the client knows.

        Opens it again if the daemon went away; raises `HypervisorError` if that fails for 30 s. All objects
        of the old one (domains, pools) are void then, and so is what was asked of it: observe again.
        """
        if not _is_alive(self._handle):
            self._handle = self._reopened()
        return self._handle

    def close(self) -> None:
        with suppress(libvirt.libvirtError):
            self._handle.close()

    def is_open(self) -> bool:
        return _is_alive(self._handle)

    def _opened(self) -> Any:
        """Raises libvirtError; `HypervisorError` when there is no answer in time.

        libvirt waits for ever for a daemon that takes the call and says nothing, and no Ctrl-C ends that. So
        the call is made in a thread that is left alone then; a connection that comes later is closed unseen.
        """
        opening: Future[Any] = Future()
        Thread(target=_settle, args=(opening, self._open, self._uri), name="libvirt-open", daemon=True).start()
        try:
            handle = opening.result(self._timeout)
        except TimeoutError:
            raise silent(uris.shown(self._uri), self._timeout) from None
        handle.setKeepAlive(KEEPALIVE_INTERVAL, KEEPALIVE_COUNT)
        return handle

    def _reopened(self) -> Any:
        deadline = monotonic() + REOPEN_PATIENCE
        pause = FIRST_PAUSE
        while True:
            try:
                return self._opened()
            except libvirt.libvirtError as error:
                if monotonic() + pause > deadline:
                    raise unreachable(uris.shown(self._uri), error) from error
            sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)


def _settle(opening: Future[Any], open_: Callable[[str], Any], uri: str) -> None:
    try:
        opening.set_result(open_(uri))
    except libvirt.libvirtError as error:
        opening.set_exception(error)


def _is_alive(handle: Any) -> bool:
    try:
        return bool(handle.isAlive())  # no RPC: whether this side's socket and keepalive are well
    except libvirt.libvirtError:
        return False


@cache
def _run_event_loop() -> None:
    """Once per process: event loop, and silence (libvirt would print every error that it raises)."""
    # Not a function written in Python: the handler of a signal could raise its KeyboardInterrupt within it, where
    # libvirt-python turns it into a SystemError. One in C ends before Python looks for signals.
    libvirt.registerErrorHandler(operator.is_, None)
    libvirt.virEventRegisterDefaultImpl()
    Thread(target=_run_events, name="libvirt-events", daemon=True).start()


def _run_events() -> None:
    while True:
        libvirt.virEventRunDefaultImpl()
