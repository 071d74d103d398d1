"""Processes that do what they like with one domain, all at once, while its guest works."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Any

from orchestrator.model import GuestState
from tests.crash.faults import HYPERVISOR_EFFECTS
from tests.crash.served import ServedWorld
from tests.crash.twin_host import TwinHost
from tests.crash.workers import Answer, Place, Worker
from tests.waiting import PATIENCE, wait_until


@dataclass
class Team:
    """`ended` has the answers to all verbs so far, `effects` which of the served calls were those of each operation.

    A verb may be several operations, as a delete and the collapse after it: somebody else may come between them.
    """

    host: TwinHost
    served: ServedWorld
    place: Place
    random: Random
    ended: list[Answer] = field(default_factory=list)
    effects: list[list[int]] = field(default_factory=list)
    _workers: dict[Worker, int | None] = field(default_factory=dict)  # None: idle; else what was called when it began
    _names: Iterator[str] = field(default_factory=lambda: (f"n{number}" for number in count()))

    def hire(self, stack: ExitStack) -> None:
        self._workers[stack.enter_context(Worker(self.place))] = None

    def turn(self) -> None:
        """The guest works on, and those who have ended something begin something else."""
        self._tick()
        for worker, began in self._workers.items():
            if began is not None and worker.has_answered:
                self._end(worker, began)
            if self._workers[worker] is None:
                self._workers[worker] = len(self.served.calls)
                worker.begin(*self._some_verb())

    def work_until(self, done: int, *, code: int = 0, timeout: float = PATIENCE) -> None:
        """Until so many verbs have ended with that exit code."""

        def enough() -> bool:
            if self.exit_codes()[code] >= done:
                return True
            self.turn()
            return False

        wait_until(enough, timeout, what=f"the end of {done} verbs with exit code {code}", poll=0)

    def complete(self) -> None:
        """Until all have ended what they began."""
        for worker, began in self._workers.items():
            if began is not None:
                self._end(worker, began)

    def kill_one(self) -> None:
        worker = self.random.choice(list(self._workers))
        worker.kill()
        del self._workers[worker]

    def exit_codes(self) -> Counter[int]:
        return Counter(answer.exit_code for answer in self.ended)

    # ------------------------------------------------------------------

    def _tick(self) -> None:
        with self.served.lock:
            if self.host.world.machines and self.host.guest.machine.state is GuestState.RUNNING:
                self.host.guest.tick()

    def _end(self, worker: Worker, began: int) -> None:
        self.ended.append(worker.answer())
        self.effects += self._by_operation(worker, began)
        self._workers[worker] = None

    def _by_operation(self, worker: Worker, began: int) -> list[list[int]]:
        """Before a verb its domain is looked for. A collapse that follows a delete in one verb is an operation of its
        own: it begins with its helper, or in the guest itself."""
        effects: list[list[int]] = [[]]
        before = ""
        for number, call in enumerate(self.served.calls[began:], began):
            if call.pid != worker.pid:
                continue
            if call.name == "find":
                effects.append([])
            elif call.name in HYPERVISOR_EFFECTS:
                if call.name == "create_paused" or (call.name == "stream" and before != "create_paused"):
                    effects.append([])
                effects[-1].append(number)
                before = call.name
        return effects

    def _some_verb(self) -> tuple[Any, ...]:
        verb = self.random.choice(("checkpoint", "rollback", "rollback", "delete"))
        known = [each.name for each in self.host.session().list()]
        if verb == "checkpoint" or not known:
            return "checkpoint", "web01", next(self._names)
        name = self.random.choice(known)
        return (verb, "web01", name) if verb == "rollback" else (verb, "web01", [name])
