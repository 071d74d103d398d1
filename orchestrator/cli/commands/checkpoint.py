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
@click.option("-d", "--description", default="", metavar="TEXT", help="Description of the checkpoint.")
@click.option(
    "-t", "--tag", "tags", multiple=True, metavar="TAG", help="Tag of the checkpoint; can be given several times."
)
@click.option(
    "--after",
    type=click.Choice([each.value for each in After]),
    help="State of the guest afterwards. Default: checkpoint.after in the configuration, else as before.",
)
@click.option("--flatten", is_flag=True, help="First flatten the disks: copy all backing data into the active layers.")
@click.option("--expires", metavar="TIME", help="Time until it expires (90m, 12h, 3d, 2w): see prune --expired.")
@click.option("--adopt", is_flag=True, help="Continue with the disks that the guest has now, and not in the catalog.")
@click.option("-y", "--yes", is_flag=True, help="With --adopt: do not ask.")
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
    adopt: bool,
    yes: bool,
    force: bool,
    dry_run: bool,
) -> None:
    """Save DOMAIN's memory and freeze its disks.

    Both are of one instant and are kept together as the checkpoint NAME. Without NAME, a unique name is
    generated. The guest is stopped while its memory is written and read.

    If its disks were changed outside snapctl (detached, moved, merged), --adopt records those that it has now. This
    says what differs, and asks for confirmation first.
    """
    from ..confirm import confirm_adoption
    from ..report import report, report_plans

    asks = adopt and not (yes or dry_run)
    if asks:
        session.require_terminal("checkpoint --adopt", otherwise="add -y")
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
            adopt=adopt,
            flatten=flatten,
        )
        if dry_run:
            report_plans(session, plan)
            return
        if asks:
            confirm_adoption(session, plan)
        outcome = snapctl.execute(plan)
    report(session, outcome)
