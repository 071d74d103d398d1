"""The steps of a history, each an act of a client, of an owner, or of the world.

After each of them everything that must hold is asked (`seen`), and whether each domain stands as it may
(`expectation`).
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Self

from orchestrator.coordinator import Coordinator
from orchestrator.errors import HypervisorError
from orchestrator.model import After, GuestState, Level
from orchestrator.operations.edit.plan import Edits
from orchestrator.operations.prune.policy import Policy
from tests.crash.faults import Fault, Killed
from tests.crash.histories import domains as past
from tests.crash.histories.client import FreezableClient, Outcome, Verb
from tests.crash.histories.expectation import (
    Act,
    Checkpoint,
    Delete,
    Expectation,
    Flatten,
    Intent,
    InTurn,
    Protect,
    Prune,
    Rename,
    Rollback,
    Undo,
)
from tests.crash.histories.observer import Observer
from tests.crash.histories.verb_run import VerbRun
from tests.twin import Guest, Machine

CLIENTS = ("alice", "bob")
SAVES = (Checkpoint,)
"""The acts that a managed-save image forbids; a rollback discards it."""


class History:
    """Three domains with their owner, two clients that share a catalog, and what is expected of them.

    A context manager. Steps that are not possible as things are may not be asked for: see `power`, `free`, `frozen`.
    """

    def __init__(self, directory: Path) -> None:
        self._file = directory / "catalog.sqlite"
        self.world = past.begin(self._file)
        self.observer = Observer(self.world, self._file)
        self._clients = {name: FreezableClient(name, self.world, self._file) for name in CLIENTS}
        self._runs: dict[str, VerbRun] = {}  # of those who are frozen
        self._expected = {
            domain: Expectation(self.observer.standing(domain), transient=domain == past.TRANSIENT)
            for domain in past.DOMAINS
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for client in self._clients.values():
            client.close()
        self.observer.close()

    # ------------------------------------------------------------------ what is possible

    @property
    def free(self) -> list[str]:
        return [name for name, client in self._clients.items() if not client.frozen]

    @property
    def frozen(self) -> list[str]:
        return [name for name, client in self._clients.items() if client.frozen]

    @property
    def known(self) -> list[str]:
        """The domains that snapctl can have heard of: a transient one that is off has left something in the catalog."""
        return [d for d in past.DOMAINS if self.observer.machine(d) or self.names(d) or self.observer.operation(d)]

    def power(self, domain: str) -> GuestState:
        return self.observer.power(domain)

    def names(self, domain: str) -> list[str]:
        """Of its checkpoints, oldest first."""
        return self.observer.names(domain)

    # ------------------------------------------------------------------ owners

    def work(self, domain: str, times: int) -> None:
        """The guest counts on, and leaves its number in one of a few places."""
        guest = self._guest(domain)
        guest.leave(f"place {guest.tick(times) % past.PLACES}")
        self._expected[domain].counted(times)
        self._look()

    def start(self, domain: str) -> None:
        """Not while a helper writes to a layer of its disks."""
        try:
            self._guest(domain).start()
        except HypervisorError:
            assert self.observer.helpers, f"{domain} cannot be started"
            self._look()
        else:
            self._powered(domain, GuestState.RUNNING)

    def shut_down(self, domain: str) -> None:
        self._guest(domain).shut_down()
        self._powered(domain, GuestState.OFF)

    def kill_qemu(self, domain: str) -> None:
        self.world.kill_qemu(domain)
        self._powered(domain, GuestState.OFF)

    def suspend(self, domain: str) -> None:
        self._guest(domain).suspend()
        self._powered(domain, GuestState.PAUSED)

    def resume(self, domain: str) -> None:
        self._guest(domain).resume()
        self._powered(domain, GuestState.RUNNING)

    def managed_save(self, domain: str, there: bool) -> None:
        """There is a managed-save image of it, or none any more."""
        self._machine(domain).managed_save = there
        self._look()

    # ------------------------------------------------------------------ the world

    def restart_daemon(self) -> None:
        self.world.restart_daemon()
        for client in self._clients.values():
            client.injector.disconnected = client.frozen
        self._look()

    def kill_helpers(self) -> None:
        for helper in self.observer.helpers:
            self.world.kill_qemu(helper.name)
        self._look()

    def expire(self) -> None:
        """Time passes, and nobody who is frozen has beaten: what they hold may be taken over."""
        with closing(sqlite3.connect(self._file)) as database, database:
            database.execute(
                "UPDATE operation SET lease_until = opened, owner_pid_start = 'of one that ended' WHERE state = 'open'"
            )
        self._look()

    # ------------------------------------------------------------------ clients

    def thaw(self, client: str, fault: Fault | None = None) -> None:
        run = self._runs.pop(client)
        self._came_to(run, run.go_on(fault))

    def kill(self, client: str) -> None:
        """One who is frozen."""
        self._clients[client].kill()
        self._runs.pop(client).end()
        self._look()

    def checkpoint(self, client: str, domain: str, name: str, after: After, fault: Fault | None = None) -> None:
        acts = InTurn((Checkpoint(name, after),))
        self._run(client, [domain], acts, lambda session: session.checkpoint(domain, name, after=after), fault)

    def rollback(
        self,
        client: str,
        domain: str,
        name: str | None,
        after: After,
        keep: str | None = None,
        fault: Fault | None = None,
    ) -> None:
        """`keep` is the name under which the present state is kept."""
        acts: list[Act] = [Checkpoint(keep, After.AS_SAVED)] if keep else []
        acts.append(Rollback(name, after, kept=keep))

        def verb(session: Coordinator) -> object:
            return session.rollback(domain, name, after=after, keep_current=keep is not None, keep_name=keep)

        self._run(client, [domain], InTurn(tuple(acts)), verb, fault)

    def undo(self, client: str, domain: str, fault: Fault | None = None) -> None:
        self._run(client, [domain], InTurn((Undo(),)), lambda session: session.undo(domain), fault)

    def delete(self, client: str, domain: str, names: Sequence[str], fault: Fault | None = None) -> None:
        acts = InTurn(tuple(Delete(name) for name in self._children_first(domain, names)))
        self._run(client, [domain], acts, lambda session: session.delete(domain, names), fault)

    def _children_first(self, domain: str, names: Sequence[str]) -> list[str]:
        """In the order given, but for children, which go before their parents."""
        parents = self.observer.parents(domain)

        def depth(name: str) -> int:
            above = parents.get(name)
            return 1 + depth(above) if above in names and above is not None else 0

        return sorted(dict.fromkeys(names), key=depth, reverse=True)

    def prune(self, client: str, domain: str, last: int, fault: Fault | None = None) -> None:
        policy = Policy(keep_last=last)
        self._run(client, [domain], Prune(last), lambda session: session.prune(domain, policy), fault)

    def rename(self, client: str, domain: str, name: str, to: str, fault: Fault | None = None) -> None:
        edits = Edits(name=to)
        acts = InTurn((Rename(name, to),))
        self._run(client, [domain], acts, lambda session: session.edit(domain, name, edits), fault)

    def protect(self, client: str, domain: str, name: str, protected: bool, fault: Fault | None = None) -> None:
        def verb(session: Coordinator) -> object:
            return session.protect(domain, [name], protected=protected)

        self._run(client, [domain], InTurn((Protect(name, protected),)), verb, fault)

    def collapse(self, client: str, domain: str, fault: Fault | None = None) -> None:
        self._run(client, [domain], InTurn(), lambda session: session.collapse(domain), fault)

    def flatten(self, client: str, domain: str, fault: Fault | None = None) -> None:
        outcome = self._run(client, [domain], InTurn((Flatten(),)), lambda session: session.flatten(domain), fault)
        if not (outcome.frozen or outcome.error):
            self.observer.require_flat(domain)

    def recover(self, client: str, domain: str | None = None, fault: Fault | None = None) -> None:
        self._run(client, [domain] if domain else self.known, InTurn(), lambda session: session.recover(domain), fault)

    def verify(self, client: str, deep: bool, fault: Fault | None = None) -> None:
        """What it finds would be marked, and seen by `require_sound`."""
        self._run(client, [], InTurn(), lambda session: session.verify(deep=deep), fault)

    def clean(self, client: str, fault: Fault | None = None) -> None:
        """snapctl doctor --clean"""
        self._run(client, [], InTurn(), lambda session: session.doctor(clean=True), fault)

    # ------------------------------------------------------------------ the end

    def finish(self) -> None:
        """Whatever happened, all can be settled, and then nothing is amiss."""
        for client in self.frozen:
            self.kill(client)
        for domain in past.DOMAINS:
            if self.observer.machine(domain):
                self.managed_save(domain, there=False)
        self.recover("alice")
        self._do(self._clients["alice"], lambda session: session.collapse())
        self._look(self.known)
        self._do(self._clients["alice"], _require_collapsed)
        self.verify("alice", deep=True)
        self._do(self._clients["alice"], _require_health)
        assert not self.observer.open

    # ------------------------------------------------------------------

    def _guest(self, domain: str) -> Guest:
        return Guest(self.world, self._machine(domain))

    def _machine(self, domain: str) -> Machine:
        return self.world.machine(self.observer.uuid(domain))

    def _powered(self, domain: str, power: GuestState) -> None:
        self._expected[domain].powered(power)
        self._look()

    def _run(self, client: str, domains: Sequence[str], intent: Intent, verb: Verb, fault: Fault | None) -> Outcome:
        if client not in self.free:
            raise ValueError(f"{client} is frozen")
        expected = {domain: self._expected[domain] for domain in domains}
        unknown = any(domain not in self.known for domain in domains)
        saves = isinstance(intent, InTurn) and any(isinstance(act, SAVES) for act in intent.acts)
        barred = saves and any(self._is_barred(domain) for domain in domains)
        run = VerbRun(self._clients[client], expected, intent, self.observer, barred=unknown or barred)
        outcome = run.begin(verb, fault)
        self._came_to(run, outcome)
        return outcome

    def _is_barred(self, domain: str) -> bool:
        machine = self.observer.machine(domain)
        return machine is not None and machine.managed_save

    def _came_to(self, run: VerbRun, outcome: Outcome) -> None:
        if outcome.frozen:
            self._runs[run.client.name] = run
        elif isinstance(outcome.error, Killed | KeyboardInterrupt):
            run.client.kill()
        self._look(run.domains)
        if outcome.frozen:
            return
        run.require_honest(outcome.error)
        run.end()
        if step := run.next_step(outcome.error):
            self._follow(run.client, step)

    def _follow(self, client: FreezableClient, step: re.Match[str]) -> None:
        """An owner does what the message says, and then nothing is left."""
        domain = step["domain"]
        if step["owner"] == "start":
            self.start(domain)
        elif step["owner"] == "destroy":
            self.kill_qemu(domain)
        self._do(client, lambda session: session.recover(domain))
        self._look([domain])
        assert self.observer.operation(domain) is None

    @staticmethod
    def _do(client: FreezableClient, verb: Verb) -> None:
        if error := client.do(verb).error:
            raise error

    def _look(self, domains: Sequence[str] = ()) -> None:
        """Everything that must hold, without changing anything; what is asked of `domains` takes longer."""
        self.observer.look()
        self.observer.require_sound()
        for domain in past.DOMAINS:
            if self.observer.operation(domain) is None:
                self._expected[domain].settle(self.observer.standing(domain))
                if domain in domains:
                    self.observer.require_closed_world(domain)


def _require_health(session: Coordinator) -> None:
    amiss = [each for each in session.doctor() if each.level not in (Level.OK, Level.NOTE)]
    assert not amiss, amiss


def _require_collapsed(session: Coordinator) -> None:
    plans = session.plan_collapse().plans
    assert not plans, plans
