"""What `snapctl doctor` says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...errors import UNCHANGED, IntegrityError, SnapctlError, Unfinished
from ...model import Advice, Cleaning, Level
from .columns import Column, align
from .units import counted, escaped

FAILURES: tuple[type[SnapctlError], ...] = (Unfinished, IntegrityError, SnapctlError)
"""The error for each exit code of an advice."""


def advice(found: Sequence[Advice]) -> Iterator[str]:
    """A line for each thing that was checked, and one below it for what to do."""
    rows = []
    for each in found:
        rows.append((each.level.value, each.about, escaped(each.what)))
        if each.advice:
            rows.append(("", "", f"→ {escaped(each.advice)}"))
    return align((Column(), Column(), Column()), rows, None)


def planned(cleaning: Cleaning | None) -> list[str]:
    """What a dry run of --clean would do."""
    lines = cleaning.lines() if cleaning is not None else []
    return [escaped(line) for line in lines] or ["nothing is to be removed"]


def cleaning(planned: Cleaning) -> str:
    """The question before anything is removed."""
    return "\n".join((*map(escaped, planned.lines()), "Do this? It cannot be undone."))


def failure(found: Sequence[Advice], *, cleaned: bool) -> SnapctlError | None:
    """The error that doctor ends with; None if there are no findings."""
    code = max((each.exit_code for each in found), default=0)
    for kind in FAILURES:
        if kind.exit_code == code:
            effect = "nothing else was changed" if cleaned else UNCHANGED
            return kind(_count(found), effect=effect, hint="follow the advice")
    return None


def _count(found: Sequence[Advice]) -> str:
    counts = {level: sum(each.level is level for each in found) for level in (Level.ERROR, Level.WARNING)}
    return " and ".join(counted(count, level) for level, count in counts.items() if count)
