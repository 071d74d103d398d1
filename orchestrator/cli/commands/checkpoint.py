"""`snapctl checkpoint`."""

from __future__ import annotations

import click

from ...model import After
from ..completion import domains
from ..options import dry_run_option, examples, expiry, force_option, global_options
from ..session import Session


@click.command(
    epilog=examples(
        'snapctl checkpoint web01 clean -d "fresh install" -t base',
        "snapctl checkpoint web01 --after stop",
        "snapctl checkpoint web01 --expires 3d",
    )
)
@click.argument("domain", shell_complete=domains)
@click.argument("name", required=False)
@click.option("-d", "--description", default="", metavar="TEXT", help="What it is for.")
@click.option("-t", "--tag", "tags", multiple=True, metavar="TAG", help="A label; may be given several times.")
@click.option(
    "--after",
    type=click.Choice([each.value for each in After]),
    help="What becomes of the guest; as it was before, unless configured.",
)
@click.option("--flatten", is_flag=True, help="First make its disks independent of what they stand on.")
@click.option("--expires", metavar="TIME", help="For how long to keep it (90m, 12h, 3d, 2w): see prune --expired.")
@force_option
@dry_run_option
@global_options(hidden=True)
@click.pass_obj
def checkpoint(
    session: Session,
    domain: str,
    name: str | None,
    description: str,
    tags: tuple[str, ...],
    after: str | None,
    flatten: bool,
    expires: str | None,
    force: bool,
    dry_run: bool,
) -> None:
    """Save DOMAIN's memory and freeze its disks.

    Both are of one instant, and stay together as the checkpoint NAME; without NAME it gets one that
    never recurs. The guest stands still for the time that its memory takes to be written and read.
    """
    from ..report import report, report_plans

    until = expiry(expires, session.now) if expires is not None else None
    state = After(after) if after else session.settings.checkpoint.after
    with session.coordinator() as snapctl:
        plan = snapctl.plan_checkpoint(
            domain if dry_run else snapctl.settle(domain),
            name,
            description=description,
            tags=tags,
            after=state,
            expires=until,
            force=force,
            flatten=flatten,
        )
        if dry_run:
            report_plans(session, plan)
            return
        outcome = snapctl.execute(plan)
    report(session, outcome)
