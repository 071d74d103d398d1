"""`snapctl show`."""

from __future__ import annotations

import click

from ..completion import checkpoints, domains
from ..options import examples, global_options
from ..session import Session


@click.command(epilog=examples("snapctl show web01 clean", "snapctl show web01 clean -o json | jq .memory.path"))
@click.argument("domain", shell_complete=domains)
@click.argument("name", shell_complete=checkpoints)
@global_options(hidden=True)
@click.pass_obj
def show(session: Session, domain: str, name: str) -> None:
    """Show everything about the checkpoint NAME of DOMAIN."""
    from ..render import documents
    from ..render.details import details
    from ..report import report_unsettled

    with session.coordinator() as coordinator:
        found = coordinator.show(domain, name)
        operations = coordinator.unsettled(domain)
    session.data(documents.details(found), lambda: details(found, session.now))
    report_unsettled(session, operations)
