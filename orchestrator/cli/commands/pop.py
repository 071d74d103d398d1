"""`snapctl pop`."""

from __future__ import annotations

import click

from ..completion import domains
from ..confirm import confirm_loss, require_terminal
from ..options import dry_run_option, examples, global_options
from ..session import Session


@click.command(epilog=examples("snapctl pop web01", "snapctl pop web01 --keep -y"))
@click.argument("domain", shell_complete=domains)
@click.option("--keep", is_flag=True, help="Keep the checkpoint: the next pop rolls back to it again.")
@click.option("-y", "--yes", is_flag=True, help="Discard the present state without asking.")
@dry_run_option
@global_options(hidden=True)
@click.pass_obj
def pop(session: Session, domain: str, keep: bool, yes: bool, dry_run: bool) -> None:
    """Roll DOMAIN back to the checkpoint that was pushed last.

    The checkpoint is deleted afterwards, unless --keep is given. DOMAIN's present state is discarded, so
    this asks for confirmation first; without a terminal, --yes is required.
    """
    from ..report import report, report_plans

    asks = not (yes or dry_run)
    with session.coordinator() as snapctl:
        if asks:
            require_terminal(session, snapctl, domain, "pop", otherwise="add -y")
        guest = domain if dry_run else snapctl.settle(domain)
        plan = snapctl.plan_pop(guest, keep=keep)
        if dry_run:
            report_plans(session, plan)
            if not keep:
                session.note("the checkpoint would then be deleted, unless --keep is given")
            return
        if asks:
            confirm_loss(session, snapctl, guest, "pop", plan, "" if keep else " The checkpoint will be deleted, too.")
        outcomes = snapctl.execute(plan)
    report(session, outcomes)
