"""`snapctl list`."""

from __future__ import annotations

import click

from .. import streams
from ..completion import domains
from ..options import examples, global_options
from ..session import Session


@click.command("list", epilog=examples("snapctl list web01", "snapctl list -o json | jq -r '.[].name'"))
@click.argument("domain", required=False, shell_complete=domains)
@global_options(hidden=True)
@click.pass_obj
def list_(session: Session, domain: str | None) -> None:
    """List checkpoints, oldest first.

    Those of DOMAIN, or of all domains. A * marks the current checkpoint of a domain.
    """
    from ..render.table import table
    from ..report import report_unsettled

    with session.coordinator() as coordinator:
        checkpoints = coordinator.list(domain)
        operations = coordinator.unsettled(domain)
        notes = coordinator.notes()
    session.data(
        checkpoints,
        lambda: table(checkpoints, session.now, terminal=streams.output_width(), with_domain=domain is None),
    )
    if not checkpoints:
        session.note("no checkpoints yet; create one: snapctl checkpoint DOMAIN NAME")
    for line in notes:
        session.note(line)
    report_unsettled(session, operations)
