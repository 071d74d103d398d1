"""The rows of the table of bad inputs. `number` is that of the list in docs/bad-inputs.md."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from tests.workstation import Workstation

Provocation: TypeAlias = Callable[[Workstation], object]

FAILED, USAGE, ENVIRONMENT, BUSY, INTEGRITY, REFUSED, UNFINISHED = 1, 2, 3, 4, 5, 6, 7
"""Exit codes."""


def nothing(station: Workstation) -> None:
    """The arguments alone are bad."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A bad input that is given to the command, and how the command must answer.

    Only exit code `FAILED` may come after a changing call, as then everything has been undone.
    """

    number: int
    what: str
    argv: tuple[str, ...]
    code: int
    says: str  # a part of the line on stderr
    provoke: Provocation = nothing
    over_libvirt: bool = False  # a real connection is tried, not the twin
    marks: bool = False  # the checkpoint may be marked as damaged: that is what a verify is for


@dataclass(frozen=True, kw_only=True)
class Elsewhere:
    """One that only a real hypervisor can show, or that is no refusal: the test that covers it."""

    number: int
    what: str
    test: str  # file::function


@dataclass(frozen=True, kw_only=True)
class Unconcerned:
    """One that cannot happen as things are; `why` must be read again when they change."""

    number: int
    what: str
    why: str


Row: TypeAlias = Case | Elsewhere | Unconcerned
