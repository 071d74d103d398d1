"""Operations: what a changing verb does, its journal row, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class OperationKind(StrEnum):
    CHECKPOINT = "checkpoint"
    ROLLBACK = "rollback"
    KEEPING_ROLLBACK = "keeping-rollback"  # one that keeps the present state as a checkpoint
    DELETE = "delete"
    COLLAPSE = "collapse"
    FLATTEN = "flatten"
    EDIT = "edit"

    @property
    def label(self) -> str:
        """For people: as its user typed it."""
        return "rollback --keep-current" if self is OperationKind.KEEPING_ROLLBACK else self.value


class OperationState(StrEnum):
    OPEN = "open"
    DONE = "done"
    UNDONE = "undone"
    ABANDONED = "abandoned"  # closed as it was, by its user's word: what it left is kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The process that holds an operation: enough to see whether it still lives."""

    user: str
    host: str
    boot_id: str
    pid: int
    pid_start: str
    machine_id: str = ""  # derived from machine-id(5); "" if the machine has none


class Direction(StrEnum):
    """The decision on an operation. Made once, for all of its members, and never changed."""

    FORWARD = "forward"  # what it does is committed: the remaining steps are done, whatever happens
    UNDO = "undo"  # the steps that were begun are undone


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberRecord:
    """One domain of an operation. `plan` never changes; `results` and `completed` only grow."""

    domain_uuid: str
    domain_name: str
    plan: Mapping[str, Any]
    step: str = ""  # the step that was entered last
    completed: tuple[str, ...] = ()  # steps observed done, by name
    results: Mapping[str, Any] = field(default_factory=dict)  # what these steps left, by key


FIRST_TOKEN = 1
"""That of who began an operation; each that takes it over has the next one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationRecord:
    """A journal row: what one run of a verb is to do to one domain or to several, and how far it came.

    `decision` is None until it is made: when all members are committed, or when undoing begins. `version` is
    that of the plans and steps: another snapctl may have written the row.
    """

    id: str
    kind: OperationKind
    host_uuid: str
    state: OperationState
    members: tuple[MemberRecord, ...]
    version: int
    token: int
    owner: Owner
    opened: datetime
    lease_until: datetime
    decision: Direction | None = None
    error: str | None = None

    @property
    def domains(self) -> str:
        """The names of its domains, for people."""
        return ", ".join(member.domain_name for member in self.members)

    @property
    def by(self) -> str:
        """What its owner is to it: who began it, or who took it over last, to settle it."""
        return " by" if self.token == FIRST_TOKEN else ", last taken over by"

    @property
    def progress(self) -> str:
        """How far it came, for people: "at step saved", "in its first step" or "being undone"."""
        if self.decision is Direction.UNDO:
            return "being undone"
        steps = list(dict.fromkeys(member.step for member in self.members if member.step))
        return f"at step {', '.join(steps)}" if steps else "in its first step"

    @property
    def way_to_wait(self) -> str:
        """What to do as long as its owner lives, or may."""
        return f"wait until it ends, or end process {self.owner.pid} on {self.owner.host} if it hangs"

    def member(self, domain_uuid: str) -> MemberRecord:
        """The member that is this domain. Raises `KeyError` when there is none."""
        for member in self.members:
            if member.domain_uuid == domain_uuid:
                return member
        raise KeyError(domain_uuid)


class After(StrEnum):
    """State of the guest at the end of a checkpoint or rollback."""

    AS_SAVED = "as-saved"  # as it was: running if it ran, paused if it was paused
    RESUME = "resume"
    PAUSE = "pause"
    STOP = "stop"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTime:
    name: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What the engine says of an operation that was done: how long it took, as a whole and step by step."""

    seconds: float
    steps: tuple[StepTime, ...] = ()
    spans: Mapping[str, tuple[float, float]] = field(default_factory=dict)  # step -> when it began and ended
    kept: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # by domain: files not removed, and why

    def kept_files(self, domain_uuid: str) -> list[str]:
        """For people: what was to be removed of a domain, and is in use."""
        return [f"{path} was kept: {why}" for path, why in self.kept.get(domain_uuid, {}).items()]

    def between(self, first: str, last: str) -> float | None:
        """From the beginning of one step to the end of another, if both were done."""
        if first in self.spans and last in self.spans:
            return self.spans[last][1] - self.spans[first][0]
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a changing verb did. `downtime_s` is how long the guest did not run, None if it never stopped."""

    operation: OperationKind
    domain: str
    checkpoint: str  # its name
    id: str  # of the checkpoint
    duration_s: float
    downtime_s: float | None = None
    steps: tuple[StepTime, ...] = ()
    kept: str | None = None  # rollback: the checkpoint that `keep_current` made of the state before
    freed_bytes: int | None = None  # delete
    layer: str | None = None  # collapse, flatten: the layer that absorbed others
    note: str | None = None  # what its user should know
    recovered: tuple[Recovered, ...] = ()  # what had to be settled first


@dataclass(frozen=True, slots=True, kw_only=True)
class Postponed:
    """A layer that others can be collapsed into, but not now."""

    layer: str  # its path
    reason: str
    advice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """An unfinished operation that was settled: `state` is done or undone; abandoned if its user said so.

    `title` is for people, "checkpoint clean"; `detail` says how far it had come, and what each guest is doing now.
    """

    operation: OperationKind
    domain: str
    id: str
    state: OperationState
    detail: str
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsettled:
    """An operation that is open, and what its guests are doing now."""

    record: OperationRecord
    in_progress: bool  # a process is at it, or nobody can tell
    guests: tuple[str, ...]  # for people: "web01 is shut off"
    memory_in_image: tuple[str, ...] = ()  # the names of the guests that are off, and lose their memory when started


def what_becomes(domain: str, after: After, was_running: bool) -> str:
    match after:
        case After.STOP:
            return f"leave {domain} shut off"
        case After.PAUSE:
            return f"leave {domain} paused"
        case After.RESUME:
            return f"resume {domain}"
        case After.AS_SAVED:
            return f"resume {domain}" if was_running else f"leave {domain} paused, as it was"


def runs_after(after: After, was_running: bool) -> bool:
    return after is After.RESUME or (after is After.AS_SAVED and was_running)
