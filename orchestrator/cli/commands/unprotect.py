"""`snapctl unprotect`."""

from __future__ import annotations

import click

from ..completion import checkpoints, domains
from ..options import examples, global_options
from ..session import Session


@click.command(epilog=examples("snapctl unprotect web01 clean"))
@click.argument("domain", shell_complete=domains)
@click.argument("names", metavar="NAME...", nargs=-1, required=True, shell_complete=checkpoints)
@global_options(hidden=True)
@click.pass_obj
def unprotect(session: Session, domain: str, names: tuple[str, ...]) -> None:
    """Allow prune to remove checkpoints of DOMAIN again."""
    from ..report import report_edits

    with session.coordinator() as coordinator:
        outcomes = coordinator.protect(domain, names, protected=False)
    report_edits(session, outcomes, "no longer protected")
