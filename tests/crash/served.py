"""One in-memory world for several processes: it is served over a socket, and each call is noted.

The server can stop a client (SIGSTOP) in the moment between the effect of a call and the client's
learning of it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from threading import RLock, Thread
from typing import Any

from orchestrator.errors import SnapctlError
from orchestrator.model import Host
from orchestrator.ports import Domains, Storage
from tests.twin import TwinHypervisor, World

PARTS = ("domains", "storage")


@dataclass(frozen=True)
class Call:
    """A method of a port, called by the process of that id."""

    pid: int
    name: str


class ServedWorld:
    """Serves what `world` returns at the time of each call. Calls come one at a time, under `lock`."""

    def __init__(self, world: Callable[[], World], socket: Path) -> None:
        self.lock = RLock()
        self.calls: list[Call] = []
        self.stop_after: Call | None = None
        self._world = world
        self._listener = Listener(str(socket))
        Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection = self._listener.accept()
            except OSError:  # closed
                return
            Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection: Connection) -> None:
        with connection:
            try:
                pid = connection.recv()
                connection.send(self._world().host)
                while True:
                    part, name, arguments = connection.recv()
                    connection.send(self._answer(Call(pid, name), part, arguments))
            except (EOFError, OSError):
                return  # the client has gone

    def _answer(self, call: Call, part: str, arguments: tuple[Any, ...]) -> tuple[Any, SnapctlError | None]:
        with self.lock:
            self.calls.append(call)
            try:
                return getattr(getattr(TwinHypervisor(self._world()), part), call.name)(*arguments), None
            except SnapctlError as error:
                return None, error
            finally:
                if call == self.stop_after:
                    self.stop_after = None
                    os.kill(call.pid, signal.SIGSTOP)


class RemoteHypervisor:
    """Implements `ports.Hypervisor`: one client's connection to a served world."""

    def __init__(self, socket: Path) -> None:
        self._connection = Client(str(socket))
        self._connection.send(os.getpid())
        self.host: Host = self._connection.recv()
        self.domains: Domains = _Remote(self._connection, "domains")
        self.storage: Storage = _Remote(self._connection, "storage")

    def close(self) -> None:
        self._connection.close()


class _Remote:
    """One of the ports, method by method."""

    def __init__(self, connection: Connection, part: str) -> None:
        self._connection = connection
        self._part = part

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            self._connection.send((self._part, name, arguments))
            result, error = self._connection.recv()
            if error is not None:
                raise error
            return result

        return call
