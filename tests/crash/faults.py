"""The one vocabulary for faults: where one happens, and of what kind it is.

A fault happens at a call to the hypervisor or the catalog, or at a named fault point of an operation
("saved.before"). Which kinds make sense at which place is said below, and what carries them out is an
injector: `tests.crash.injectors`, and for histories `tests.crash.histories.injector`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

HYPERVISOR_EFFECTS = frozenset(
    {
        *("make_directory", "create_overlay", "create_file", "write", "overwrite", "remove", "remove_directory"),
        *("define", "save", "restore", "resume", "destroy"),
        *("create_paused", "stream", "stop_streaming", "remove_managed_save", "undefine", "copy"),
    }
)
"""The calls that change something on the hypervisor."""
CATALOG_EFFECTS = frozenset(
    {
        *("open_operation", "take_over", "decide", "deciding", "complete", "close"),
        *("commit_checkpoint", "commit_rollback", "hide_checkpoint", "edit_checkpoint", "record_sha256"),
        *("forget_layers", "forget_checkpoint", "begin_rewrite", "commit_rewrite"),
    }
)
EFFECTS = HYPERVISOR_EFFECTS | CATALOG_EFFECTS
JOBS = frozenset({"save", "restore", "stream"})
"""The calls that the daemon goes on with when the client is gone."""


class Killed(BaseException):
    """SIGKILL: nobody catches it, nothing after it happens."""


class Kind(StrEnum):
    """What happens. The comments say more where a name is too short."""

    KILLED = "client killed"  # after the effect of the call, which is just before the next call; or at the point
    KILLED_IN_JOB = "client killed in the middle of the next job"  # the daemon goes on with it
    ERROR_BEFORE = "error before the effect"
    ERROR_AFTER = "error after the effect"
    ERROR_FOREVER = "error at this call and all later ones"
    INTERRUPTED = "Ctrl-C after the effect"
    TIMEOUT = "time-out"  # a job goes on; another call has no effect; and so it is for several calls
    NO_SPACE = "no space"
    DAEMON_RESTARTED = "daemon restarted"  # the next call finds the connection broken
    DAEMON_RESTARTED_IN_JOB = "daemon restarted in the middle of the next job"
    QEMU_KILLED = "QEMU killed"
    FROZEN = "client frozen after the effect"  # others go on; later it goes on itself, or is killed
    FROZEN_IN_JOB = "client frozen in the middle of the next job"


AT_CALLS = (Kind.KILLED, Kind.ERROR_BEFORE, Kind.ERROR_AFTER, Kind.ERROR_FOREVER, Kind.INTERRUPTED)
"""The kinds that are injected at each call."""
AT_POINTS = (
    *(Kind.KILLED, Kind.KILLED_IN_JOB, Kind.ERROR_BEFORE, Kind.ERROR_AFTER, Kind.TIMEOUT, Kind.NO_SPACE),
    *(Kind.DAEMON_RESTARTED, Kind.DAEMON_RESTARTED_IN_JOB, Kind.QEMU_KILLED),
)
"""The kinds that are injected at each fault point."""
IN_HISTORIES = (*AT_CALLS, Kind.FROZEN, Kind.FROZEN_IN_JOB, Kind.KILLED_IN_JOB)
"""The kinds that befall a client in a random history, at calls; the rest of the world has steps of its own there."""
BEFORE_THE_EFFECT = frozenset({Kind.ERROR_BEFORE, Kind.ERROR_FOREVER})


@dataclass(frozen=True)
class Call:
    """The n-th call of that name."""

    name: str
    nth: int = 1


Where = int | Call | str
"""A call by its number, counted from when the client begins or goes on; a call by its name; a fault point."""


@dataclass(frozen=True)
class Fault:
    where: Where
    kind: Kind

    def __str__(self) -> str:
        return f"{self.kind} at {self.where}"


class Injector(Protocol):
    """What injects faults into one client: it is told of each fault point, and makes the client's calls."""

    in_transaction: bool  # within one of the catalog's that takes several calls

    def reach(self, point: str) -> None: ...
    def call(self, name: str, port_error: type[Exception], act: Callable[[], Any]) -> Any: ...
