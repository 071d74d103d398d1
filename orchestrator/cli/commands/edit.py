"""`snapctl edit`."""

from __future__ import annotations

import click

from ...errors import UsageError
from ..completion import checkpoints, domains
from ..options import dry_run_option, examples, expiry, global_options
from ..session import Session


@click.command(
    epilog=examples(
        "snapctl edit web01 20261124-101500-1b9d6bcd --name clean",
        "snapctl edit web01 clean --tag base --untag draft --expires never",
    )
)
@click.argument("domain", shell_complete=domains)
@click.argument("name", shell_complete=checkpoints)
@click.option("--name", "new_name", metavar="NEW", help="New name.")
@click.option("-d", "--description", metavar="TEXT", help="New description.")
@click.option("-t", "--tag", "tags", multiple=True, metavar="TAG", help="Tag to add; can be given several times.")
@click.option("--untag", "untags", multiple=True, metavar="TAG", help="Tag to remove; can be given several times.")
@click.option("--expires", metavar="TIME", help="Time from now until it expires (90m, 12h, 3d, 2w), or never.")
@dry_run_option
@global_options(hidden=True)
@click.pass_obj
def edit(
    session: Session,
    domain: str,
    name: str,
    new_name: str | None,
    description: str | None,
    tags: tuple[str, ...],
    untags: tuple[str, ...],
    expires: str | None,
    dry_run: bool,
) -> None:
    """Change name, description, tags or expiry.

    Of the checkpoint NAME of DOMAIN. Its memory and disks are not affected.
    """
    from msgspec import UNSET

    from ...operations.edit.plan import Edits
    from ..report import report, report_plans

    if new_name is None and description is None and not tags and not untags and expires is None:
        raise UsageError("no change was given", hint="add --name, --description, --tag, --untag or --expires")
    edits = Edits(
        name=new_name,
        description=description,
        tags=tags,
        untags=untags,
        expires=UNSET if expires is None else expiry(expires, session.now),
    )
    with session.coordinator() as snapctl:
        plan = snapctl.plan_edit(domain if dry_run else snapctl.without_open(domain), name, edits)
        if dry_run:
            report_plans(session, plan)
            return
        outcome = snapctl.execute(plan)
    report(session, outcome)
