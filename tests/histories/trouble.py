"""What may befall a client at one of its calls, and the client that it befalls.

Beyond the faults that the stories know (`tests.story.faults`), a client may be frozen: it stops after a
call, or in the middle of a job of the daemon's, others go on, and later it goes on itself or is killed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from orchestrator.errors import HypervisorError
from orchestrator.model import OperationRecord
from orchestrator.ports import OpenOperation
from tests.story.faults import Faults, Killed, Kind
from tests.story.strikes import HYPERVISOR_EFFECTS, JOBS
from tests.twin import Machine, World


class Stop(StrEnum):
    FROZEN_AFTER = "frozen after"
    FROZEN_IN_JOB = "frozen in the middle of the next job"
    KILLED_IN_JOB = "killed in the middle of the next job"


@dataclass(frozen=True)
class Trouble:
    """It comes at the call numbered `at`, counted from when a client begins or goes on."""

    at: int
    kind: Kind | Stop


@dataclass(frozen=True)
class Effect:
    """A call that changes something on the hypervisor, and the operation under whose lease it was made."""

    call: str
    operation: str | None


class Course(Faults):
    """The fate of one client. `freeze` returns when the client is to go on.

    `lease` is the journal row that it holds, or believes that it holds.
    """

    def __init__(self, world: World, freeze: Callable[[], None]) -> None:
        super().__init__()
        self.lease: OperationRecord | None = None
        self.effects: list[Effect] = []
        self.struck = False
        self.disconnected = False
        self._world = world
        self._freeze = freeze
        self._stop: Stop | None = None

    def meet(self, trouble: Trouble | None) -> None:
        """From now on, that is what comes."""
        self.at = len(self.calls) + trouble.at if trouble else None
        self.kind = trouble.kind if trouble and isinstance(trouble.kind, Kind) else None
        self._stop = trouble.kind if trouble and isinstance(trouble.kind, Stop) else None

    def call(self, name: str, port_error: type[Exception], act: Callable[[], Any]) -> Any:
        if self._stops_in_job(name):
            job = act
            act = lambda: self._in_mid_job(job)  # noqa: E731 - it reads as what it is
        if name in HYPERVISOR_EFFECTS and not self.dead:
            self.effects.append(Effect(name, self.lease.id if self.lease else None))
        self._require_connection(port_error)
        result = super().call(name, port_error, act)
        self._follow_lease(name, result)
        if self._stop is Stop.FROZEN_AFTER and len(self.calls) - 1 == self.at:
            self.struck = True
            self._freeze()
        return result

    def _strike(self, kind: Kind, name: str, port_error: type[Exception]) -> None:
        self.struck = True
        super()._strike(kind, name, port_error)

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
        in_job = self._stop in (Stop.FROZEN_IN_JOB, Stop.KILLED_IN_JOB)
        return in_job and name in JOBS and self.at is not None and len(self.calls) >= self.at

    def _in_mid_job(self, job: Callable[[], Any]) -> Any:
        def stop(_: Machine) -> None:
            self._world.in_mid_job = kept
            self.struck = True
            if self._stop is Stop.FROZEN_IN_JOB:
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
