"""`snapctl verify`."""

from __future__ import annotations

import click

from ..completion import checkpoints, domains
from ..options import examples, global_options
from ..session import Session


@click.command(epilog=examples("snapctl verify", "snapctl verify web01 clean --deep"))
@click.argument("domain", required=False, shell_complete=domains)
@click.argument("name", required=False, shell_complete=checkpoints)
@click.option("--deep", is_flag=True, help="Read every file completely and compare its SHA-256.")
@global_options(hidden=True)
@click.pass_obj
def verify(session: Session, domain: str | None, name: str | None, deep: bool) -> None:
    """Compare the files of checkpoints with the catalog.

    Those of the checkpoint NAME, or of all checkpoints of DOMAIN, or of all domains. A damaged
    checkpoint is marked; rollback refuses it until a later verify finds it sound. --deep records the
    SHA-256 of a disk layer when it first reads it, and compares it from then on.
    """
    from ..render import verification as render

    with session.coordinator() as coordinator:
        report = coordinator.verify(domain, name, deep=deep)
    show = session.data if report.damaged else session.summary
    show(render.document(report), lambda: render.report(report))
    if report.damaged:
        raise render.failure(report)
