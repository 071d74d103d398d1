"""Every way snapctl can fail: one tree, one line each, one exit code each.

    SnapctlError                 1   failed; nothing changed, or undone
      OperationUndone            1   an operation failed and was undone
      GuestLost                  1   QEMU died before its memory was whole
      StartedOutside             1   the guest was started outside snapctl, not restored
      UsageError                 2   bad arguments, name, URI or configuration
      EnvironmentLacks           3   hypervisor or catalog not reachable, or something is missing
        HypervisorError          3   a libvirt call failed; its effect is unknown until observed
        CatalogError             3   the catalog could not be read or written
      Busy                       4   another operation, or a job, is in progress
      IntegrityError             5   a file is not what the catalog says
      Refused                    6   not found, exists already, or not possible as things are
        NotFound                 6
      Unfinished                 7   an operation is neither done nor undone: run `snapctl recover`
      Interrupted              130   by the user; settled (the command exits with 143 if it was SIGTERM, 129 if SIGHUP)

An error says what is wrong, what was left unchanged, and what to do next. All three are parts of
the error, so that a program can read them (`-o json`) and a person reads one line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

UNCHANGED = "nothing was changed"
LONGEST_LINE = 400
"""Characters of the longest line that an error is shown as. `as_dict` cuts nothing."""

_LONG_PATH = re.compile(r"(?:/[^/\s,;'\"]+){4,}")
_UUID = re.compile(r"([0-9a-f]{8})-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class SnapctlError(Exception):
    """`problem; effect; next step`, on one line of at most `LONGEST_LINE` characters."""

    exit_code: ClassVar[int] = 1

    def __init__(self, problem: str, *, effect: str = UNCHANGED, hint: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.effect = effect
        self.hint = hint

    def __str__(self) -> str:
        return _one_line(printable(self.problem), printable(self.effect), printable(self.hint))

    def as_dict(self) -> dict[str, object]:
        """The error, uncut, as the JSON object that `-o json` prints on stderr."""
        return {
            "error": type(self).__name__,
            "message": self.problem,
            "effect": self.effect,
            "hint": self.hint,
            "exit_code": self.exit_code,
        }


class OperationUndone(SnapctlError):
    """An operation failed before its point of no return, or was undone after it."""


class GuestLost(SnapctlError):
    """The guest's QEMU died through no fault of ours before its memory was whole."""


class StartedOutside(SnapctlError):
    """An operation was completed, but the guest runs, or ran, otherwise than by it: it was left alone."""


class UsageError(SnapctlError):
    exit_code = 2


class EnvironmentLacks(SnapctlError):
    exit_code = 3


class HypervisorError(EnvironmentLacks):
    """A libvirt call failed. An RPC error means *unknown*, not *failed*."""


class CatalogError(EnvironmentLacks):
    """`may_pass`: a server that is restarting, a lock that is held for long; the same is worth another try."""

    def __init__(self, problem: str, *, effect: str = UNCHANGED, hint: str = "", may_pass: bool = False) -> None:
        super().__init__(problem, effect=effect, hint=hint)
        self.may_pass = may_pass


class Busy(SnapctlError):
    exit_code = 4


class IntegrityError(SnapctlError):
    exit_code = 5


class Refused(SnapctlError):
    exit_code = 6


class NotFound(Refused):
    pass


class Unfinished(SnapctlError):
    exit_code = 7

    def __init__(self, problem: str, *, effect: str, hint: str = "run: snapctl recover") -> None:
        super().__init__(problem, effect=effect, hint=hint)


class Interrupted(SnapctlError):
    exit_code = 130


def is_interrupt(error: SnapctlError) -> bool:
    """Whether the user ended it, also if what was in progress could not be settled: nothing more is to be begun."""
    return isinstance(error, Interrupted) or isinstance(error.__cause__, KeyboardInterrupt)


@contextmanager
def with_effect(what: str) -> Iterator[None]:
    """Prepend `what` to the effect of an error, when one of several steps fails. "" adds nothing."""
    try:
        yield
    except SnapctlError as error:
        if what:
            rest = "nothing else was changed" if error.effect == UNCHANGED else error.effect
            error.effect = f"{what}; {rest}"
        raise


def printable(text: str) -> str:
    """`text` with control, bidirectional and unencodable characters shown escaped, on one line."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in " ".join(text.split())
    )


def _one_line(problem: str, effect: str, hint: str) -> str:
    """The parts joined. What does not fit gives way: the longest paths first, then the middle of the problem."""
    rest = "".join(f"; {part}" for part in (effect, hint) if part)
    for path in sorted(_LONG_PATH.findall(problem), key=len, reverse=True):
        if len(problem + rest) > LONGEST_LINE:
            problem = problem.replace(path, _short_path(path))
    problem = _without_middle(problem, max(LONGEST_LINE - len(rest), LONGEST_LINE // 4))
    return _without_middle(problem + rest, LONGEST_LINE)


def _short_path(path: str) -> str:
    """The last two parts of a path, and of a UUID its beginning: `…/1b2c3d4e…/vda.qcow2`."""
    *_, directory, name = path.split("/")
    return _UUID.sub(r"\1…", f"…/{directory}/{name}")


def _without_middle(text: str, longest: int) -> str:
    if len(text) <= longest:
        return text
    end = longest // 3
    return f"{text[: longest - end - 1]}…{text[-end:]}"
