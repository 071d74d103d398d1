"""A client: a coordinator with a connection of its own to the catalog, that can be frozen in the middle of a verb.

It works in a thread that runs only while the one who asked waits for it, so that histories are the same each time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Semaphore, Thread
from typing import Any

from orchestrator.catalog import open_catalog
from orchestrator.coordinator import Coordinator
from tests.crash.faults import Fault
from tests.crash.histories.injector import HistoryInjector
from tests.crash.injectors import faulty_catalog, faulty_hypervisor
from tests.crash.twin_host import STORE
from tests.twin import TwinHypervisor, World
from tests.waiting import PATIENCE, join

Verb = Callable[[Coordinator], object]


@dataclass(frozen=True)
class Outcome:
    """How far a verb came: to its end, to an error (or a kill), or it is frozen."""

    error: BaseException | None = None
    frozen: bool = False


class FreezableClient:
    """One process, as far as the catalog can tell; a new one when it was killed."""

    def __init__(self, name: str, world: World, catalog: Path) -> None:
        self.name = name
        self.frozen = False
        self._world = world
        self._file = catalog
        self._client_may_run = Semaphore(0)
        self._asker_may_run = Semaphore(0)
        self._thread: Thread | None = None
        self._begin()

    def _begin(self) -> None:
        self._catalog = open_catalog(f"sqlite:///{self._file}", self._world.host)
        self.injector = HistoryInjector(self._world, self._freeze)

    @property
    def holds(self) -> bool:
        return self.injector.lease is not None

    def do(self, verb: Verb, fault: Fault | None = None) -> Outcome:
        """Carry a verb out, as far as it comes."""
        self.injector = HistoryInjector(self._world, self._freeze)
        self.injector.expect(fault)
        coordinator = Coordinator(
            faulty_hypervisor(TwinHypervisor(self._world), self.injector),
            faulty_catalog(self._catalog, self.injector),
            store=STORE,
        )
        self._thread = Thread(target=self._work, args=(verb, coordinator), name=self.name, daemon=True)
        self._thread.start()
        return self._wait()

    def thaw(self, fault: Fault | None = None) -> Outcome:
        self.injector.expect(fault)
        self._client_may_run.release()
        return self._wait()

    def kill(self) -> None:
        """End it where it is, and begin anew."""
        if self.frozen:
            self.injector.dead = True
            self.thaw()
        self._catalog.close_connection()  # which releases its leases: a dead process holds none
        self._begin()

    def close(self) -> None:
        self.kill()
        self._catalog.close_connection()

    # ------------------------------------------------------------------ hand in hand

    def _wait(self) -> Outcome:
        assert self._thread is not None
        if not self._asker_may_run.acquire(timeout=PATIENCE):
            join(self._thread, 0)  # which tells where it is
        if not self.frozen:
            join(self._thread)
        return Outcome(frozen=True) if self.frozen else self._outcome

    def _work(self, verb: Verb, coordinator: Any) -> None:
        try:
            verb(coordinator)
        except BaseException as error:  # noqa: BLE001 - kills and interrupts, too; judged by the one who asked
            self._outcome = Outcome(error)
        else:
            self._outcome = Outcome()
        self._asker_may_run.release()

    def _freeze(self) -> None:
        self.frozen = True
        self._asker_may_run.release()
        if not self._client_may_run.acquire(timeout=PATIENCE):
            raise TimeoutError(f"{self.name} was not thawed within {PATIENCE:g} s")
        self.frozen = False
