"""`snapctl undo`."""

from __future__ import annotations

import click

from ..completion import domains
from ..confirm import GENERATED, KEEPING, confirm_loss, require_terminal
from ..options import dry_run_option, examples, global_options
from ..session import Session


@click.command(epilog=examples("snapctl undo web01", "snapctl undo web01 --keep-current"))
@click.argument("domain", shell_complete=domains)
@click.option(
    "--keep-current",
    "keep",
    is_flag=False,
    flag_value=GENERATED,
    metavar="[NAME]",
    help="Keep the present state as a checkpoint, so that this can be undone, too. A word after it is taken as that "
    "checkpoint's name.",
)
@click.option("-y", "--yes", is_flag=True, help="Discard the present state without asking.")
@dry_run_option
@global_options(hidden=True)
@click.pass_obj
def undo(session: Session, domain: str, keep: str | None, yes: bool, dry_run: bool) -> None:
    """Undo the last rollback of DOMAIN, memory and disks.

    This is possible if that rollback was run with --keep-current. The present state is discarded, so this
    asks for confirmation first; without a terminal, --yes or --keep-current is required.
    """
    from ..report import report, report_plans

    asks = not (yes or dry_run or keep is not None)
    with session.coordinator() as snapctl:
        if asks:
            require_terminal(session, snapctl, domain, "undo", otherwise=KEEPING)
        guest = domain if dry_run else snapctl.settle(domain)
        plan = snapctl.plan_undo(guest, keep_current=keep is not None, keep_name=keep or None)
        if dry_run:
            report_plans(session, plan)
            return
        if asks:
            confirm_loss(session, snapctl, guest, "undo", plan)
        outcome = snapctl.execute(plan)
    report(session, outcome)
