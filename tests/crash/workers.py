"""Processes that share one catalog and one served world, as so many people with a command line do."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from orchestrator.catalog import LeaseTimes, open_catalog
from orchestrator.coordinator import Coordinator
from orchestrator.errors import SnapctlError
from tests.crash.served import RemoteHypervisor
from tests.crash.twin_host import STORE
from tests.waiting import PATIENCE, POLL, EndedTooSoon, wait_until


@dataclass(frozen=True)
class Answer:
    """What came of a verb, as a command line tells it."""

    exit_code: int
    line: str = ""


@dataclass(frozen=True)
class Place:
    """Where all processes of a test meet."""

    socket: Path
    catalog: Path
    times: LeaseTimes = LeaseTimes()  # noqa: RUF009 - frozen


class Worker:
    """A process that carries out one verb after the other. A context manager, which ends it."""

    def __init__(self, place: Place) -> None:
        context = get_context("forkserver")
        context.set_forkserver_preload([__name__])
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(place, theirs), daemon=True)
        self._process.start()
        theirs.close()

    def __enter__(self) -> Self:
        self.answer()  # it is ready
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.kill()
        self._process.close()
        self._pipe.close()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def do(self, verb: str, *arguments: Any) -> Answer:
        self.begin(verb, *arguments)
        return self.answer()

    def begin(self, verb: str, *arguments: Any) -> None:
        """Let it call that method of its coordinator."""
        self._pipe.send((verb, arguments))

    def answer(self) -> Answer:
        wait_until(lambda: self._pipe.poll(POLL), what="an answer", process=self, poll=0)
        try:
            answer: Answer = self._pipe.recv()
        except EOFError:  # what a pipe has for us when its other end is closed
            raise EndedTooSoon(f"no answer:\n{self.output()}") from None
        return answer

    @property
    def has_answered(self) -> bool:
        return self._pipe.poll()

    def wait_until_stopped(self) -> None:
        wait_until(lambda: self._is_stopped, what="the stop", process=self)

    def go_on(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL. Harmless when it was killed."""
        self._process.kill()
        self._process.join(PATIENCE)
        assert self.has_ended, self.output()

    @property
    def has_ended(self) -> bool:
        return self._process.exitcode is not None

    def output(self) -> str:
        """What it prints goes where this process's output goes."""
        return f"[worker {self.pid}: exit status {self._process.exitcode}]"

    @property
    def _is_stopped(self) -> bool:
        return Path(f"/proc/{self.pid}/stat").read_text().rpartition(") ")[2].startswith("T")


def _work(place: Place, pipe: Connection) -> None:
    hypervisor = RemoteHypervisor(place.socket)
    catalog = open_catalog(f"sqlite:///{place.catalog}", hypervisor.host, place.times)
    with Coordinator(hypervisor, catalog, store=STORE) as snapctl:
        pipe.send(Answer(0))
        while True:
            verb, arguments = pipe.recv()
            try:
                getattr(snapctl, verb)(*arguments)
                pipe.send(Answer(0))
            except SnapctlError as error:
                pipe.send(Answer(error.exit_code, str(error)))
