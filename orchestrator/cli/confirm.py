"""What rollback, undo, pop and prune ask before anything is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .session import Session
from .streams import somebody_answers

if TYPE_CHECKING:
    from ..coordinator import Coordinator
    from ..operations.checkpoint.plan import CheckpointPlan
    from ..operations.checkpoint.verb import FlattenedCheckpoint
    from ..operations.keeping.plan import KeepingPlan
    from ..operations.rollback.plan import RollbackPlan
    from ..operations.shared.guest import Guest
    from ..operations.stack.verb import Pop

GENERATED = ""
"""What --keep-current without a name gives."""
KEEPING = "add -y, or --keep-current to keep the present state as a checkpoint"


def require_terminal(session: Session, snapctl: Coordinator, domain: str | None, verb: str, *, otherwise: str) -> None:
    """Raise `UsageError` if there is no terminal to ask on; `NotFound` if there is nothing to ask about either."""
    if not somebody_answers():
        snapctl.list(domain)
    session.require_terminal(verb, otherwise=otherwise)


def confirm_loss(
    session: Session,
    snapctl: Coordinator,
    guest: Guest | str,
    verb: str,
    plan: RollbackPlan | KeepingPlan | Pop,
    besides: str = "",
) -> None:
    """Ask whether this very plan is to be carried out; `besides` is what the question adds. Raises unless it is."""
    from ..operations.keeping.plan import KeepingPlan
    from ..operations.shared.compound import Compound
    from .render.outcome import loss

    if isinstance(plan, KeepingPlan):
        return  # nothing is lost
    back = plan.rollback if isinstance(plan, Compound) else plan
    current = back.head.checkpoint_id if back.head else None
    here = next((each for each in snapctl.list(guest) if each.id == current), None) if current else None
    session.agree(verb, loss(back, here, session.now) + besides)


def confirm_adoption(session: Session, plan: CheckpointPlan | FlattenedCheckpoint) -> None:
    """Ask whether a domain is to continue with its present disks, unless they are those of the catalog."""
    from ..operations.shared.compound import Compound
    from .render.outcome import adoption

    made = plan.checkpoint if isinstance(plan, Compound) else plan
    if made.differs:
        session.agree("checkpoint", adoption(made))
