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
    """Settle what was left unfinished.

    On DOMAIN, or on all domains: each operation ends done or undone. It may be run at any time, and
    again. Every changing verb does it first for the domain it touches.
    """
    from ..render.outcome import settled

    with session.coordinator() as coordinator:
        recovered = coordinator.recover(domain)
    session.summary(recovered, lambda: settled(recovered))
    if not recovered:
        session.note("nothing was left unfinished")
