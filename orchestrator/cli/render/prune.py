"""What `snapctl prune` says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from ...model import Decision, PruneReport
from . import outcome
from .columns import Column, align
from .units import age, counted, escaped, size

COLUMNS = (
    Column(),
    Column(title="DOMAIN"),
    Column(title="NAME"),
    Column(title="CREATED"),
    Column(title="SIZE", right=True),
    Column(title="WHY"),
)
MOST_NAMES = 20


def decisions(decided: Sequence[Decision], now: datetime, *, with_domain: bool) -> Iterator[str]:
    """A checkpoint a line, newest first, then how much goes. Nothing at all for no checkpoints."""
    if not decided:
        return
    yield from align(COLUMNS, [_row(each, now, with_domain) for each in decided], None)
    gone = [each for each in decided if not each.kept]
    yield f"{len(gone)} of {counted(len(decided), 'checkpoint')} to be removed ({size(_bytes(gone))})"


def _row(decision: Decision, now: datetime, with_domain: bool) -> tuple[str, ...]:
    checkpoint = decision.checkpoint
    return (
        "keep" if decision.kept else "remove",
        escaped(checkpoint.domain) if with_domain else "",
        escaped(checkpoint.name),
        age(checkpoint.created, now),
        size(_bytes([decision])),
        escaped(", ".join(decision.reasons)),
    )


def _bytes(decided: Iterable[Decision]) -> int:
    return sum(each.checkpoint.memory_bytes + each.checkpoint.disk_bytes for each in decided)


def question(removed: Sequence[Decision]) -> str:
    """The question before a prune. A layer that others still need is kept, so the size is an upper bound."""
    names = [f"{each.checkpoint.domain}/{each.checkpoint.name}" for each in removed[:MOST_NAMES]]
    more = f" and {len(removed) - MOST_NAMES} more" if len(removed) > MOST_NAMES else ""
    what = escaped(", ".join(names)) + more
    return f"Remove {counted(len(removed), 'checkpoint')} ({what}; {size(_bytes(removed))})? This cannot be undone."


def settled(report: PruneReport) -> Iterator[str]:
    return outcome.settled((*report.recovered, *(each for done in report.outcomes for each in done.recovered)))


def report(report: PruneReport, *, with_steps: bool) -> Iterator[str]:
    return outcome.outcomes(report.outcomes, with_steps=with_steps)
