"""What every changing verb says at its end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..engine.story import Plan
from ..model import Outcome, Unsettled
from ..operations.shared.compound import Compound
from .render import outcome as render
from .session import Session


def report(session: Session, result: Outcome | Sequence[Outcome]) -> None:
    """What was done: one outcome is one JSON object, several are an array."""
    done = [result] if isinstance(result, Outcome) else result
    for line in render.settled(each for outcome in done for each in outcome.recovered):
        session.note(line)
    session.summary(result, lambda: render.outcomes(done, with_steps=session.verbose > 0))
    for outcome in done:
        if outcome.note:
            session.note(outcome.note)


def report_edits(session: Session, done: Sequence[Outcome], became: str) -> None:
    """What checkpoints are now."""
    for line in render.settled(each for outcome in done for each in outcome.recovered):
        session.note(line)
    session.summary(done, lambda: render.edits(done, became))


def report_plans(session: Session, planned: Plan | Compound[Any] | Sequence[Plan]) -> None:
    """What would be done: a plan is one JSON object, also one that takes several operations; several are an array."""
    from .render import documents

    document: Any
    plans: Sequence[Plan]
    if isinstance(planned, Sequence):
        plans, document = planned, [documents.plan(each) for each in planned]
    elif isinstance(planned, Compound):
        plans, document = planned.shown, documents.compound(planned)
    else:
        plans, document = [planned], documents.plan(planned)
    session.data(document, lambda: render.plans(plans))
    session.note("this was a dry run: nothing was changed")


def report_unsettled(session: Session, operations: Sequence[Unsettled]) -> None:
    for line in render.unsettled(operations, session.now):
        session.note(line)
