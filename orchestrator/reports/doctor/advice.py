"""How a check says what it saw."""

from __future__ import annotations

from ...errors import IntegrityError, SnapctlError, Unfinished
from ...model import Advice, Level

FAILED = SnapctlError.exit_code
DAMAGED = IntegrityError.exit_code
UNFINISHED = Unfinished.exit_code


def ok(about: str, what: str) -> Advice:
    return Advice(level=Level.OK, about=about, what=what)


def note(about: str, what: str, advice: str = "") -> Advice:
    return Advice(level=Level.NOTE, about=about, what=what, advice=advice)


def warning(about: str, what: str, advice: str) -> Advice:
    return Advice(level=Level.WARNING, about=about, what=what, advice=advice, exit_code=FAILED)


def error(about: str, what: str, advice: str, exit_code: int) -> Advice:
    return Advice(level=Level.ERROR, about=about, what=what, advice=advice, exit_code=exit_code)


def count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
