"""`snapctl push`."""

from __future__ import annotations

import click

from ..completion import domains
from ..options import examples, global_options
from ..session import Session


@click.command(epilog=examples('snapctl push web01 -d "before the upgrade"'))
@click.argument("domain", shell_complete=domains)
@click.option("-d", "--description", default="", metavar="TEXT", help="What it is for.")
@global_options(hidden=True)
@click.pass_obj
def push(session: Session, domain: str, description: str) -> None:
    """Checkpoint DOMAIN for pop to go back to.

    What is pushed last is popped first. A pushed checkpoint is one like any other, with a name of
    its own making; renamed with edit, it is not on the stack any more.
    """
    from ..report import report

    with session.coordinator() as coordinator:
        outcome = coordinator.push(domain, description=description)
    report(session, outcome)
