"""What injects the faults of `tests.crash.faults`: into any call of a client, or at a fault point.

Nothing is known by the first of what the calls mean: a run without a fault counts them, then each of them
gets each kind of fault in turn. A fault point is before or after the effect of a step. A client is killed,
the store fills up or QEMU is killed *at* the point; a fault of a call is injected into the first effect
after it: that of the step itself at `….before`, that of the journal, or of the next step, at `….after`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from orchestrator.errors import CatalogError, HypervisorError
from orchestrator.model import GuestState
from tests.crash.faults import (
    BEFORE_THE_EFFECT,
    EFFECTS,
    HYPERVISOR_EFFECTS,
    JOBS,
    Call,
    Fault,
    Injector,
    Killed,
    Kind,
)
from tests.twin import Machine, World

TIMEOUTS = 3
"""How many calls in a row time out: more than an operation tries again on its own."""


@dataclass
class CallInjector:
    """Injects a fault at a call. `calls` grows by the name of each call that was begun."""

    fault: Fault | None = None
    calls: list[str] = field(default_factory=list)
    dead: bool = False
    in_transaction: bool = False

    def reach(self, point: str) -> None:
        """These faults are at calls."""

    def call(self, name: str, port_error: type[Exception], act: Callable[[], Any]) -> Any:
        if self.dead:
            raise Killed  # a dead process calls nothing
        self.calls.append(name)
        kind = self._due()
        if kind in BEFORE_THE_EFFECT:
            self._inject(kind, name, port_error)
        try:
            result = act()
        except Exception:
            if kind is Kind.KILLED:  # and so never hears that it failed
                self._inject(kind, name, port_error)
            raise
        if kind is not None:
            self._inject(kind, name, port_error)
        return result

    def _due(self) -> Kind | None:
        """The kind of the fault, if it is to be injected into the call that has just begun."""
        if self.fault is None:
            return None
        number = self._number(self.fault)
        now = len(self.calls) - 1
        forever = self.fault.kind is Kind.ERROR_FOREVER
        due = number is not None and (now >= number if forever else now == number)
        return self.fault.kind if due else None

    def _number(self, fault: Fault) -> int | None:
        """That of the call at which the fault is injected; None as long as it has not been made."""
        if not isinstance(fault.where, Call):
            assert isinstance(fault.where, int), f"not a call: {fault.where}"
            return fault.where
        own = [number for number, name in enumerate(self.calls) if name == fault.where.name]
        return own[fault.where.nth - 1] if len(own) >= fault.where.nth else None

    def _inject(self, kind: Kind, name: str, port_error: type[Exception]) -> None:
        if kind is Kind.KILLED:
            self.dead = True
            raise Killed
        if kind is Kind.INTERRUPTED:
            raise KeyboardInterrupt
        raise port_error(f"injected at {name}")


@dataclass
class PointInjector:
    """Injects a fault when its client reaches the fault point for the first time.

    `trace` has the points that were reached and the effects that were asked for, in order. `injected` says
    that the fault did happen, and `qemu_killed` is the state in which the guest was when its QEMU was killed.
    """

    world: World
    fault: Fault | None = None
    trace: list[str] = field(default_factory=list)
    injected: bool = False
    qemu_killed: GuestState | None = None
    in_transaction: bool = False
    _calls_due: int = 0  # the fault is still to be injected into so many calls
    _dead: bool = False

    @property
    def points(self) -> list[str]:
        return list(dict.fromkeys(each for each in self.trace if each not in EFFECTS))

    @property
    def effects(self) -> list[str]:
        return [each for each in self.trace if each in EFFECTS]

    # ------------------------------------------------------------------ the protocol `Injector`

    def reach(self, point: str) -> None:
        first = point not in self.trace
        self.trace.append(point)
        if first and self.fault and self.fault.where == point:
            self._inject_at_point(self.fault.kind)

    def call(self, name: str, port_error: type[Exception], act: Callable[[], Any]) -> Any:
        if self._dead:
            raise Killed  # a dead process calls nothing
        if name in EFFECTS:
            self.trace.append(name)
        if self._calls_due and self.fault and self._concerns(self.fault.kind, name, port_error):
            self._calls_due -= 1
            self.injected = True
            return self._inject_into_call(self.fault.kind, name, port_error, act)
        return act()

    # ------------------------------------------------------------------ injecting

    def _inject_at_point(self, kind: Kind) -> None:
        self.injected = True
        match kind:
            case Kind.KILLED:
                self._die()
            case Kind.NO_SPACE:
                self.world.files.free = 0
            case Kind.QEMU_KILLED:
                self._kill_qemu()
                self.injected = self.qemu_killed is not None
            case Kind.DAEMON_RESTARTED:
                self.world.restart_daemon()
                self._calls_due = 1
            case _:
                self.injected = False  # until a call comes that it concerns
                self._calls_due = TIMEOUTS if kind is Kind.TIMEOUT else 1

    @staticmethod
    def _concerns(kind: Kind, name: str, port_error: type[Exception]) -> bool:
        match kind:
            case Kind.KILLED_IN_JOB | Kind.DAEMON_RESTARTED_IN_JOB:
                return name in JOBS
            case Kind.TIMEOUT:
                return name in HYPERVISOR_EFFECTS or name == "wait_for_job"
            case Kind.DAEMON_RESTARTED:
                return port_error is HypervisorError
            case _:
                return name in EFFECTS

    def _inject_into_call(self, kind: Kind, name: str, port_error: type[Exception], act: Callable[[], Any]) -> Any:
        error = port_error(f"injected at {name}: {kind}")
        match kind:
            case Kind.ERROR_AFTER:
                act()
            case Kind.KILLED_IN_JOB:
                self._in_mid_job(act, self._die)
            case Kind.DAEMON_RESTARTED_IN_JOB:
                self._in_mid_job(act, self.world.restart_daemon, error)
            case Kind.TIMEOUT if name in JOBS:
                self._in_mid_job(act, lambda: None, error)
        raise error

    def _in_mid_job(self, job: Callable[[], Any], event: Callable[[], None], error: Exception | None = None) -> None:
        """Begin a job; in its middle something happens, and its client is told of an error, if of anything."""

        def happen(machine: Machine) -> None:
            event()
            if error is not None:
                raise error

        kept = self.world.in_mid_job
        self.world.in_mid_job = happen
        try:
            job()
        finally:
            self.world.in_mid_job = kept

    def _kill_qemu(self) -> None:
        machine = next(each for each in self.world.machines.values() if each.persistent_xml is not None)
        if machine.active:
            self.qemu_killed = machine.state
            self.world.kill_qemu(machine.name)

    def _die(self) -> None:
        self._dead = True
        raise Killed


class FaultyPort:
    """A port whose methods, and those of its parts, are called by an injector."""

    PARTS = ("domains", "storage")
    UNTOUCHED = ("host", "close_connection", "check", "release")
    OPENING = ("open_operation", "take_over")

    def __init__(self, target: Any, injector: Injector, error: type[Exception]) -> None:
        self._target = target
        self._injector = injector
        self._error = error

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._target, name)
        if name in self.PARTS:
            return FaultyPort(attribute, self._injector, self._error)
        if name in self.UNTOUCHED or not callable(attribute):
            return attribute
        if name == "deciding":
            return lambda: self._deciding(attribute())
        return lambda *args, **kwargs: self._part(
            name, self._injector.call(name, self._error, lambda: attribute(*args, **kwargs))
        )

    def _part(self, name: str, result: Any) -> Any:
        """An open operation is a part of the catalog, too."""
        return FaultyPort(result, self._injector, self._error) if name in self.OPENING else result

    @contextmanager
    def _deciding(self, transaction: AbstractContextManager[None]) -> Iterator[None]:
        """The call that may fail, or be the last one, is the end of the transaction."""
        ended = False

        def commit() -> None:
            nonlocal ended
            ended = True
            transaction.__exit__(None, None, None)

        transaction.__enter__()
        self._injector.in_transaction = True
        try:
            yield
            self._injector.in_transaction = False
            self._injector.call("deciding", self._error, commit)
        except BaseException as error:
            self._injector.in_transaction = False
            if not ended:
                with suppress(type(error)):
                    transaction.__exit__(type(error), error, error.__traceback__)
            raise


def faulty_hypervisor(target: Any, injector: Injector) -> Any:
    return FaultyPort(target, injector, HypervisorError)


def faulty_catalog(target: Any, injector: Injector) -> Any:
    return FaultyPort(target, injector, CatalogError)
