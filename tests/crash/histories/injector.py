"""The injector of a history's client, which may also be frozen.

A frozen client stops after a call, or in the middle of a job of the daemon's; others go on, and later it goes
on itself or is killed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from orchestrator.errors import HypervisorError
from orchestrator.model import OperationRecord
from orchestrator.ports import OpenOperation
from tests.crash.faults import AT_CALLS, HYPERVISOR_EFFECTS, JOBS, Fault, Killed, Kind
from tests.crash.injectors import CallInjector
from tests.twin import Machine, World


@dataclass(frozen=True)
class Effect:
    """A call that changes something on the hypervisor, and the operation under whose lease it was made."""

    call: str
    operation: str | None


class HistoryInjector(CallInjector):
    """`freeze` returns when the client is to go on.

    `lease` is the journal row that it holds, or believes that it holds; `injected` says that a fault happened.
    """

    def __init__(self, world: World, freeze: Callable[[], None]) -> None:
        super().__init__()
        self.lease: OperationRecord | None = None
        self.effects: list[Effect] = []
        self.injected = False
        self.disconnected = False
        self._world = world
        self._freeze = freeze
        self._at: int | None = None  # the number of the call at which `_stop` happens, or after which
        self._stop: Kind | None = None

    def expect(self, fault: Fault | None) -> None:
        """From now on that is the fault that comes: at a call numbered from here."""
        self.fault, self._at, self._stop = None, None, None
        if fault is None:
            return
        assert isinstance(fault.where, int), f"not the number of a call: {fault.where}"
        self._at = len(self.calls) + fault.where
        if fault.kind in AT_CALLS:
            self.fault = Fault(self._at, fault.kind)
        else:
            self._stop = fault.kind

    def call(self, name: str, port_error: type[Exception], act: Callable[[], Any]) -> Any:
        if self._stops_in_job(name):
            job = act
            act = lambda: self._in_mid_job(job)  # noqa: E731 - it reads as what it is
        if name in HYPERVISOR_EFFECTS and not self.dead:
            self.effects.append(Effect(name, self.lease.id if self.lease else None))
        self._require_connection(port_error)
        result = super().call(name, port_error, act)
        self._follow_lease(name, result)
        if self._freezes_now():
            self._stop, self.injected = None, True
            self._freeze()
        return result

    def _freezes_now(self) -> bool:
        """After the call that it is at; not within a transaction, where nobody else could go on: then at its end."""
        if self._stop is not Kind.FROZEN or self._at is None or self.in_transaction:
            return False
        return len(self.calls) > self._at

    def _inject(self, kind: Kind, name: str, port_error: type[Exception]) -> None:
        self.injected = True
        super()._inject(kind, name, port_error)

    def _require_connection(self, port_error: type[Exception]) -> None:
        if self.disconnected and port_error is HypervisorError and not self.dead:
            self.disconnected = False
            raise HypervisorError("End of file while reading data")

    def _follow_lease(self, name: str, result: Any) -> None:
        if name in ("open_operation", "take_over"):
            operation: OpenOperation = result
            self.lease = operation.record
        elif name == "close":
            self.lease = None

    # ------------------------------------------------------------------ in the middle of a job

    def _stops_in_job(self, name: str) -> bool:
        in_job = self._stop in (Kind.FROZEN_IN_JOB, Kind.KILLED_IN_JOB)
        return in_job and name in JOBS and self._at is not None and len(self.calls) >= self._at

    def _in_mid_job(self, job: Callable[[], Any]) -> Any:
        def stop(_: Machine) -> None:
            self._world.in_mid_job = kept
            self.injected = True
            if self._stop is Kind.FROZEN_IN_JOB:
                self._stop = None
                self._freeze()
                self._require_connection(HypervisorError)
            else:
                self.dead = True
            if self.dead:
                raise Killed

        kept, self._world.in_mid_job = self._world.in_mid_job, stop
        try:
            return job()
        finally:
            self._world.in_mid_job = kept
