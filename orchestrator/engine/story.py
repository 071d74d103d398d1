"""What an operation is made of: a plan, and steps that can each be done, observed and undone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Protocol

from ..errors import HypervisorError, OperationUndone, SnapctlError, Unfinished
from ..model import Host, OperationKind, OperationRecord, Outcome, Ran
from ..ports import Catalog, Evidence, Hypervisor, OpenOperation, Progress

FaultPoint = Callable[[str], None]


def no_undo() -> None:
    """The undo of a step that leaves nothing behind."""


@dataclass(frozen=True, slots=True)
class Step:
    name: str
    do: Callable[[], None]
    observe: Callable[[], Evidence | None]
    undo: Callable[[], None] = no_undo


@dataclass(frozen=True, slots=True)
class Commit(Step):
    """The step with which an operation is decided: `do` writes the catalog and has no other effect.

    It is done for all members in one transaction. `prepare` gathers what `do` writes, before that begins.
    """

    prepare: Callable[[], None] = no_undo


class Plan(Protocol):
    """What an operation will do, as a value: printed by `--dry-run`, stored in the journal, never edited."""

    @property
    def operation_id(self) -> str: ...
    @property
    def host(self) -> Host: ...
    @property
    def domain_uuid(self) -> str: ...
    @property
    def domain_name(self) -> str: ...
    @property
    def made(self) -> tuple[str, list[str]]:
        """The operation that makes or made these files, by id, and the files that this plan takes for its own."""

    @property
    def kind(self) -> OperationKind: ...
    @property
    def title(self) -> str:
        """The operation, for people: "checkpoint clean", "rollback to clean"."""

    def lines(self) -> list[str]:
        """What `--dry-run` prints: one effect a line, in order."""

    def outcome(self, ran: Ran) -> Outcome:
        """What the verb returns once it is done."""


class Story(Protocol):
    """What an operation does, step by step, over the ports. Its plan never changes."""

    results: MutableMapping[str, Any]
    """Evidence of the steps so far, as the journal holds it."""

    @property
    def domain_uuid(self) -> str: ...

    @property
    def steps(self) -> tuple[Step, ...]: ...

    def check_preconditions(self) -> None:
        """Raise when a precondition of the plan no longer holds; called once the domain is leased."""

    def is_past_no_return(self) -> bool:
        """Whether the world is beyond the point of no return, by what this operation did. Raises `Unfinished` when
        that cannot be determined as things are."""

    def may_advance(self) -> bool:
        """Whether a member before the point of no return may be taken beyond it for the others' sake: nothing has
        changed since the operation was begun."""

    def may_fall_back(self) -> bool:
        """Whether the world is beyond the point of no return, and can still be brought back."""

    def fall_back(self) -> None:
        """Bring it back. Called only where `may_fall_back` says so."""

    def may_give_up(self) -> bool:
        """Whether the steps may be undone although the world is beyond the point of no return, once going forward has
        failed for good: nothing relies on what they made, and what was to be discarded is left as far as it is there
        still."""

    def now(self) -> str:
        """What the guest is doing now, for each message of an operation that did not finish."""

    def kept(self) -> Mapping[str, str]:
        """The files that were to be removed and are in use, by path, and who uses each."""

    def caveat(self) -> SnapctlError | None:
        """The error to raise when the operation is done, and yet not all that was asked for."""

    def loss(self) -> str | None:
        """What was given up when it was undone, as others had acted in between."""

    def undone_error(self, cause: Exception) -> SnapctlError:
        """The error to raise after `cause` led to an undo of everything."""

    def unfinished_error(self, problem: str) -> Unfinished:
        """The error to raise when `problem` keeps the operation from being settled now."""


class Registry(Protocol):
    """All kinds of operations: how each reads its plan and builds its story."""

    def version(self, kind: OperationKind) -> int:
        """The version of the plans and steps of that kind. It goes up with every change that an older or newer
        snapctl would misunderstand in the middle of an operation."""

    def plans(self, operation: OperationRecord) -> list[Plan]:
        """The members' plans as the journal has them. Raises `CatalogError` for what is damaged (it is input, too),
        or was written in another version."""

    def stories(
        self, hypervisor: Hypervisor, catalog: Catalog, operation: OpenOperation, progress: Progress
    ) -> list[Story]:
        """The members' stories: the same for a new operation and for one that a crash left behind."""


def undone_error(cause: Exception, domain: str) -> SnapctlError:
    """The usual error after an undo: class and words of the cause, with the effect "undone"."""
    effect = f"undone: the disks of {domain} are as before"
    if not isinstance(cause, SnapctlError):
        return OperationUndone(problem_of(cause), effect=effect)
    kind = OperationUndone if isinstance(cause, HypervisorError) else type(cause)
    return kind(cause.problem, effect=effect, hint=cause.hint)


def problem_of(cause: BaseException) -> str:
    """What went wrong, without effect and hint."""
    if isinstance(cause, SnapctlError):
        return cause.problem
    if isinstance(cause, KeyboardInterrupt):
        return "interrupted"
    return f"{type(cause).__name__}: {cause}"
