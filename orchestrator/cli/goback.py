"""What rollback, undo and pop have in common: the present state of a domain is lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..model import CheckpointSummary, Outcome
from .session import Session

if TYPE_CHECKING:
    from ..coordinator import Coordinator
    from ..operations.rollback.plan import RollbackPlan

GENERATED = ""
"""What --keep-current without a name gives."""
KEEPING = "add -y, or --keep-current to checkpoint the present state first"


def go_back(
    session: Session,
    verb: str,
    domain: str,
    *,
    plan: Callable[[Coordinator], RollbackPlan],
    act: Callable[[Coordinator], Outcome | Sequence[Outcome]],
    dry_run: bool,
    agreed: bool,
    otherwise: str,
    besides: str = "",
) -> None:
    """Show what would be done, or do it: who has not agreed to the loss is asked first.

    `otherwise` is the advice where there is no terminal to ask on; `besides` is what the question adds.
    """
    from .render.outcome import loss
    from .report import report, report_plans

    asks = not (agreed or dry_run)
    if asks:
        session.require_terminal(verb, otherwise=otherwise)
    with session.coordinator() as coordinator:
        if dry_run:
            report_plans(session, plan(coordinator))
            return
        if asks:
            session.agree(verb, loss(plan(coordinator), _standing(coordinator, domain), session.now) + besides)
        result = act(coordinator)
    report(session, result)


def _standing(coordinator: Coordinator, domain: str) -> CheckpointSummary | None:
    """The checkpoint that the domain stands on."""
    return next((each for each in coordinator.list(domain) if each.current), None)
