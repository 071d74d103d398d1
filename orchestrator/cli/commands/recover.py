"""`snapctl recover`."""

from __future__ import annotations

import click

from ..completion import domains
from ..options import examples, global_options
from ..session import Session


@click.command(epilog=examples("snapctl recover", "snapctl recover web01"))
@click.argument("domain", required=False, shell_complete=domains)
@global_options(hidden=True)
@click.pass_obj
def recover(session: Session, domain: str | None) -> None:
    """Finish or undo interrupted operations.

    Those on DOMAIN, or on all domains. It can be run at any time, and repeated. Every changing verb does
    this first for its domain.
    """
    from ..render.outcome import settled

    with session.coordinator() as coordinator:
        recovered = coordinator.recover(domain)
    session.summary(recovered, lambda: settled(recovered))
    if not recovered:
        session.note("there was no interrupted operation")
