"""Where something that must hold does not hold yet, and why. An entry that no longer happens fails its test."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.crash.faults import Call
from tests.crash.matrix.oracle import Violation


@dataclass(frozen=True)
class Example:
    """A combination that comes to it: the client of `verb` is killed after that call."""

    verb: str
    after: Call
    act: str
    following: str = "recover"


@dataclass(frozen=True)
class Known:
    what: str
    acts: tuple[str, ...]
    oracle: str
    says: str  # a regular expression, for the beginning of what is found anywhere in it
    reason: str
    example: Example

    def __str__(self) -> str:
        return self.what

    def is_it(self, act: str, violation: Violation) -> bool:
        return act in self.acts and violation.oracle == self.oracle and bool(re.search(self.says, violation.says))


KNOWN: tuple[Known, ...] = ()


def known(act: str, violation: Violation) -> Known | None:
    return next((each for each in KNOWN if each.is_it(act, violation)), None)
