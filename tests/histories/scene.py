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
from tests.histories import cast
from tests.histories.client import Client, Outcome, Verb
from tests.histories.expectation import (
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
from tests.histories.seen import Observer
from tests.histories.trouble import Trouble
from tests.histories.visit import Visit
from tests.story.faults import Killed
from tests.twin import Guest, Machine

CLIENTS = ("alice", "bob")
MOVES = (Checkpoint, Rollback, Undo)
"""The acts that a managed-save image forbids."""


class Scene:
    """Three domains with their owner, two clients that share a catalog, and what is expected of them.

    A context manager. Steps that are not possible as things are may not be asked for: see `power`, `free`, `frozen`.
    """

    def __init__(self, directory: Path) -> None:
        self._file = directory / "catalog.sqlite"
        self.world = cast.begin(self._file)
        self.seen = Observer(self.world, self._file)
        self._clients = {name: Client(name, self.world, self._file) for name in CLIENTS}
        self._visits: dict[str, Visit] = {}  # of those who are frozen
        self._expected = {
            domain: Expectation(self.seen.standing(domain), transient=domain == cast.TRANSIENT)
            for domain in cast.DOMAINS
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for client in self._clients.values():
            client.close()
        self.seen.close()

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
        return [d for d in cast.DOMAINS if self.seen.machine(d) or self.names(d) or self.seen.operation(d)]

    def power(self, domain: str) -> GuestState:
        return self.seen.power(domain)

    def names(self, domain: str) -> list[str]:
        """Of its checkpoints, oldest first."""
        return self.seen.names(domain)

    # ------------------------------------------------------------------ owners

    def work(self, domain: str, times: int) -> None:
        """The guest counts on, and leaves its number in one of a few places."""
        guest = self._guest(domain)
        guest.leave(f"place {guest.tick(times) % cast.PLACES}")
        self._expected[domain].counted(times)
        self._look()

    def start(self, domain: str) -> None:
        """Not while a helper writes to a layer of its disks."""
        try:
            self._guest(domain).start()
        except HypervisorError:
            assert self.seen.helpers, f"{domain} cannot be started"
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
            client.course.disconnected = client.frozen
        self._look()

    def kill_helpers(self) -> None:
        for helper in self.seen.helpers:
            self.world.kill_qemu(helper.name)
        self._look()

    def expire(self) -> None:
        """Time passes, and nobody who is frozen has beaten: what they hold may be taken over."""
        with closing(sqlite3.connect(self._file)) as database, database:
            database.execute("UPDATE operation SET lease_until = opened WHERE state = 'open'")
        self._look()

    # ------------------------------------------------------------------ clients

    def thaw(self, client: str, trouble: Trouble | None = None) -> None:
        visit = self._visits.pop(client)
        self._came_to(visit, visit.go_on(trouble))

    def kill(self, client: str) -> None:
        """One who is frozen."""
        self._clients[client].kill()
        self._visits.pop(client).end()
        self._look()

    def checkpoint(self, client: str, domain: str, name: str, after: After, trouble: Trouble | None = None) -> None:
        acts = InTurn((Checkpoint(name, after),))
        self._visit(client, [domain], acts, lambda session: session.checkpoint(domain, name, after=after), trouble)

    def rollback(
        self,
        client: str,
        domain: str,
        name: str | None,
        after: After,
        keep: str | None = None,
        trouble: Trouble | None = None,
    ) -> None:
        """`keep` is the name under which the present state is kept."""
        acts: list[Act] = [Checkpoint(keep, After.AS_SAVED)] if keep else []
        acts.append(Rollback(name, after, kept=keep))

        def verb(session: Coordinator) -> object:
            return session.rollback(domain, name, after=after, keep_current=keep is not None, keep_name=keep)

        self._visit(client, [domain], InTurn(tuple(acts)), verb, trouble)

    def undo(self, client: str, domain: str, trouble: Trouble | None = None) -> None:
        self._visit(client, [domain], InTurn((Undo(),)), lambda session: session.undo(domain), trouble)

    def delete(self, client: str, domain: str, names: Sequence[str], trouble: Trouble | None = None) -> None:
        known = self.names(domain)
        children_first = sorted(set(names), key=lambda name: known.index(name) if name in known else 0, reverse=True)
        acts = InTurn(tuple(Delete(name) for name in children_first))
        self._visit(client, [domain], acts, lambda session: session.delete(domain, names), trouble)

    def prune(self, client: str, domain: str, last: int, trouble: Trouble | None = None) -> None:
        policy = Policy(keep_last=last)
        self._visit(client, [domain], Prune(last), lambda session: session.prune(domain, policy), trouble)

    def rename(self, client: str, domain: str, name: str, to: str, trouble: Trouble | None = None) -> None:
        edits = Edits(name=to)
        acts = InTurn((Rename(name, to),))
        self._visit(client, [domain], acts, lambda session: session.edit(domain, name, edits), trouble)

    def protect(self, client: str, domain: str, name: str, protected: bool, trouble: Trouble | None = None) -> None:
        def verb(session: Coordinator) -> object:
            return session.protect(domain, [name], protected=protected)

        self._visit(client, [domain], InTurn((Protect(name, protected),)), verb, trouble)

    def collapse(self, client: str, domain: str, trouble: Trouble | None = None) -> None:
        self._visit(client, [domain], InTurn(), lambda session: session.collapse(domain), trouble)

    def flatten(self, client: str, domain: str, trouble: Trouble | None = None) -> None:
        outcome = self._visit(client, [domain], InTurn((Flatten(),)), lambda session: session.flatten(domain), trouble)
        if not (outcome.frozen or outcome.error):
            self.seen.require_flat(domain)

    def recover(self, client: str, domain: str | None = None, trouble: Trouble | None = None) -> None:
        self._visit(
            client, [domain] if domain else self.known, InTurn(), lambda session: session.recover(domain), trouble
        )

    def verify(self, client: str, deep: bool, trouble: Trouble | None = None) -> None:
        """What it finds would be marked, and seen by `require_sound`."""
        self._visit(client, [], InTurn(), lambda session: session.verify(deep=deep), trouble)

    def clean(self, client: str, trouble: Trouble | None = None) -> None:
        """snapctl doctor --clean"""
        self._visit(client, [], InTurn(), lambda session: session.doctor(clean=True), trouble)

    # ------------------------------------------------------------------ the end

    def finish(self) -> None:
        """Whatever happened, all can be settled, and then nothing is amiss."""
        for client in self.frozen:
            self.kill(client)
        for domain in cast.DOMAINS:
            if self.seen.machine(domain):
                self.managed_save(domain, there=False)
        self.recover("alice")
        self._do(self._clients["alice"], lambda session: session.collapse())
        self._look(self.known)
        self._do(self._clients["alice"], _require_collapsed)
        self.verify("alice", deep=True)
        self._do(self._clients["alice"], _require_health)
        assert not self.seen.open

    # ------------------------------------------------------------------

    def _guest(self, domain: str) -> Guest:
        return Guest(self.world, self._machine(domain))

    def _machine(self, domain: str) -> Machine:
        return self.world.machine(self.seen.uuid(domain))

    def _powered(self, domain: str, power: GuestState) -> None:
        self._expected[domain].powered(power)
        self._look()

    def _visit(
        self, client: str, domains: Sequence[str], intent: Intent, verb: Verb, trouble: Trouble | None
    ) -> Outcome:
        if client not in self.free:
            raise ValueError(f"{client} is frozen")
        expected = {domain: self._expected[domain] for domain in domains}
        unknown = any(domain not in self.known for domain in domains)
        moves = isinstance(intent, InTurn) and any(isinstance(act, MOVES) for act in intent.acts)
        barred = moves and any(self._is_barred(domain) for domain in domains)
        visit = Visit(self._clients[client], expected, intent, self.seen, barred=unknown or barred)
        outcome = visit.begin(verb, trouble)
        self._came_to(visit, outcome)
        return outcome

    def _is_barred(self, domain: str) -> bool:
        machine = self.seen.machine(domain)
        return machine is not None and machine.managed_save

    def _came_to(self, visit: Visit, outcome: Outcome) -> None:
        if outcome.frozen:
            self._visits[visit.client.name] = visit
        elif isinstance(outcome.error, Killed | KeyboardInterrupt):
            visit.client.kill()
        self._look(visit.domains)
        if outcome.frozen:
            return
        visit.require_honest(outcome.error)
        visit.end()
        if step := visit.next_step(outcome.error):
            self._follow(visit.client, step)

    def _follow(self, client: Client, step: re.Match[str]) -> None:
        """An owner does what the message says, and then nothing is left."""
        domain = step["domain"]
        if step["owner"] == "start":
            self.start(domain)
        elif step["owner"] == "destroy":
            self.kill_qemu(domain)
        self._do(client, lambda session: session.recover(domain))
        self._look([domain])
        assert self.seen.operation(domain) is None

    @staticmethod
    def _do(client: Client, verb: Verb) -> None:
        if error := client.do(verb).error:
            raise error

    def _look(self, domains: Sequence[str] = ()) -> None:
        """Everything that must hold, without changing anything; what is asked of `domains` takes longer."""
        self.seen.look()
        self.seen.require_sound()
        for domain in cast.DOMAINS:
            if self.seen.operation(domain) is None:
                self._expected[domain].settle(self.seen.standing(domain))
                if domain in domains:
                    self.seen.require_closed_world(domain)


def _require_health(session: Coordinator) -> None:
    amiss = [each for each in session.doctor() if each.level not in (Level.OK, Level.NOTE)]
    assert not amiss, amiss


def _require_collapsed(session: Coordinator) -> None:
    plans, _ = session.plan_collapse()
    assert not plans, plans
