"""`snapctl push`."""

from __future__ import annotations

import click

from ..completion import domains
from ..options import examples, global_options
from ..session import Session


@click.command(epilog=examples('snapctl push web01 -d "before the upgrade"'))
@click.argument("domain", shell_complete=domains)
@click.option("-d", "--description", default="", metavar="TEXT", help="Description of the checkpoint.")
@global_options(hidden=True)
@click.pass_obj
def push(session: Session, domain: str, description: str) -> None:
    """Checkpoint DOMAIN, for pop to roll back to.

    The checkpoint that is pushed last is popped first. It is a checkpoint like any other, with a
    generated name; if edit gives it another name, it is no longer on the stack.
    """
    from ..report import report

    with session.coordinator() as coordinator:
        outcome = coordinator.push(domain, description=description)
    report(session, outcome)
