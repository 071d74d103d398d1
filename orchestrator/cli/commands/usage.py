"""`snapctl usage`."""

from __future__ import annotations

import click

from .. import streams
from ..completion import domains
from ..options import examples, global_options
from ..session import Session


@click.command(epilog=examples("snapctl usage", "snapctl usage web01 -o json | jq '.checkpoints[].exclusive_bytes'"))
@click.argument("domain", required=False, shell_complete=domains)
@global_options(hidden=True)
@click.pass_obj
def usage(session: Session, domain: str | None) -> None:
    """Show the disk space that checkpoints take now.

    Those of DOMAIN, or of all domains. FREES is the space that deleting only this checkpoint would free,
    SHARED the space of its layers that something else needs, too.
    """
    from ..render import usage as render

    with session.coordinator() as coordinator:
        found = coordinator.usage(domain)
    session.data(
        render.document(found),
        lambda: render.usage(found, terminal=streams.output_width(), with_domain=domain is None),
    )
