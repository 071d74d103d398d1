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
    """Show what checkpoints take on disk.

    Those of DOMAIN, or of all domains, as the hypervisor tells it now. FREES is what to delete that
    checkpoint alone would free, SHARED what it has of layers that something else needs, too.
    """
    from ..render import usage as render

    with session.coordinator() as coordinator:
        found = coordinator.usage(domain)
    session.data(
        render.document(found),
        lambda: render.usage(found, terminal=streams.output_width(), with_domain=domain is None),
    )
