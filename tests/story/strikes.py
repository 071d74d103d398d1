"""Faults at the named points of a story: what befalls a client once it has reached one of them.

A point is before or after the effect of a step. A client is killed, the store fills up or QEMU dies
*at* the point; what is to befall a call meets the first effect after it: that of the step itself at
`….before`, that of the journal, or of the next step, at `….after`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from orchestrator.errors import HypervisorError
from orchestrator.model import GuestState
from tests.story.faults import Killed
from tests.twin import Machine, World

HYPERVISOR_EFFECTS = frozenset(
    {
        *("make_directory", "create_overlay", "write", "remove", "remove_directory"),
        *("define", "save", "restore", "resume", "destroy"),
        *("create_paused", "stream", "stop_streaming"),
    }
)
CATALOG_EFFECTS = frozenset(
    {
        *("open_operation", "take_over", "decide", "deciding", "complete", "close"),
        *("commit_checkpoint", "commit_rollback", "hide_checkpoint", "edit_checkpoint", "record_sha256"),
        *("forget_layers", "forget_checkpoint", "begin_rewrite", "commit_rewrite"),
    }
)
EFFECTS = HYPERVISOR_EFFECTS | CATALOG_EFFECTS
JOBS = frozenset({"save", "restore", "stream"})
PATIENCE = 3
"""How many calls in a row time out: more than a story tries again on its own."""


class Strike(StrEnum):
    KILL = "kill"
    KILL_IN_JOB = "kill in the middle of the next job"  # the daemon goes on with it
    ERROR_BEFORE = "error before the effect"
    ERROR_AFTER = "error after the effect"
    TIMEOUT = "time-out"  # a job goes on; another call has no effect; and so it is for a while
    NO_SPACE = "no space"
    DAEMON_RESTART = "daemon restart"  # the next call finds the connection broken
    DAEMON_RESTART_IN_JOB = "daemon restart in the middle of the next job"
    QEMU_DIES = "QEMU dies"


@dataclass(frozen=True)
class Fault:
    point: str
    strike: Strike

    def __str__(self) -> str:
        return f"{self.strike} at {self.point}"


@dataclass
class Client:
    """The fate of one client: `fault` strikes it when it reaches the point for the first time, if it is given one.

    `trace` has the points it reached and the effects it asked for, in order; `killed` is the state in
    which the guest was when its QEMU died.
    """

    world: World
    fault: Fault | None = None
    trace: list[str] = field(default_factory=list)
    struck: bool = False
    killed: GuestState | None = None
    _due: int = 0  # so many calls are still to be met
    _dead: bool = False

    @property
    def points(self) -> list[str]:
        return list(dict.fromkeys(each for each in self.trace if each not in EFFECTS))

    @property
    def effects(self) -> list[str]:
        return [each for each in self.trace if each in EFFECTS]

    # ------------------------------------------------------------------ what `Fate` asks

    def reach(self, point: str) -> None:
        first = point not in self.trace
        self.trace.append(point)
        if first and self.fault and self.fault.point == point:
            self._strike_here(self.fault.strike)

    def call(self, name: str, port_error: type[Exception], act: Callable[[], Any]) -> Any:
        if self._dead:
            raise Killed  # a dead process calls nothing
        if name in EFFECTS:
            self.trace.append(name)
        if self._due and self.fault and self._meets(self.fault.strike, name, port_error):
            self._due -= 1
            self.struck = True
            return self._struck(self.fault.strike, name, port_error, act)
        return act()

    # ------------------------------------------------------------------ strikes

    def _strike_here(self, strike: Strike) -> None:
        self.struck = True
        match strike:
            case Strike.KILL:
                self._die()
            case Strike.NO_SPACE:
                self.world.files.free = 0
            case Strike.QEMU_DIES:
                self._kill_qemu()
                self.struck = self.killed is not None
            case Strike.DAEMON_RESTART:
                self.world.restart_daemon()
                self._due = 1
            case _:
                self.struck = False  # as long as nothing has met the call
                self._due = PATIENCE if strike is Strike.TIMEOUT else 1

    @staticmethod
    def _meets(strike: Strike, name: str, port_error: type[Exception]) -> bool:
        match strike:
            case Strike.KILL_IN_JOB | Strike.DAEMON_RESTART_IN_JOB:
                return name in JOBS
            case Strike.TIMEOUT:
                return name in HYPERVISOR_EFFECTS or name == "wait_for_job"
            case Strike.DAEMON_RESTART:
                return port_error is HypervisorError
            case _:
                return name in EFFECTS

    def _struck(self, strike: Strike, name: str, port_error: type[Exception], act: Callable[[], Any]) -> Any:
        error = port_error(f"injected at {name}: {strike}")
        match strike:
            case Strike.ERROR_AFTER:
                act()
            case Strike.KILL_IN_JOB:
                self._in_mid_job(act, self._die)
            case Strike.DAEMON_RESTART_IN_JOB:
                self._in_mid_job(act, self.world.restart_daemon, error)
            case Strike.TIMEOUT if name in JOBS:
                self._in_mid_job(act, lambda: None, error)
        raise error

    def _in_mid_job(self, job: Callable[[], Any], event: Callable[[], None], error: Exception | None = None) -> None:
        """Begin a job; in its middle something happens, and its client is told of an error, if of anything."""

        def strike(machine: Machine) -> None:
            event()
            if error is not None:
                raise error

        kept = self.world.in_mid_job
        self.world.in_mid_job = strike
        try:
            job()
        finally:
            self.world.in_mid_job = kept

    def _kill_qemu(self) -> None:
        machine = next(each for each in self.world.machines.values() if each.persistent_xml is not None)
        if machine.active:
            self.killed = machine.state
            self.world.kill_qemu(machine.name)

    def _die(self) -> None:
        self._dead = True
        raise Killed
