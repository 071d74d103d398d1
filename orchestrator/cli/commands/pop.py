"""`snapctl pop`."""

from __future__ import annotations

import click

from ..completion import domains
from ..confirm import confirm_loss
from ..options import dry_run_option, examples, global_options
from ..session import Session


@click.command(epilog=examples("snapctl pop web01", "snapctl pop web01 --keep -y"))
@click.argument("domain", shell_complete=domains)
@click.option("--keep", is_flag=True, help="Do not delete the checkpoint: the next pop goes back to it again.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask before the present state is lost.")
@dry_run_option
@global_options(hidden=True)
@click.pass_obj
def pop(session: Session, domain: str, keep: bool, yes: bool, dry_run: bool) -> None:
    """Put DOMAIN back to what was pushed last.

    That checkpoint is deleted then, unless --keep leaves it for the next pop. DOMAIN's present state is
    lost, so this asks first; where there is no terminal to ask on, it needs --yes.
    """
    from ..report import report, report_plans

    asks = not (yes or dry_run)
    if asks:
        session.require_terminal("pop", otherwise="add -y")
    with session.coordinator() as snapctl:
        guest = domain if dry_run else snapctl.settle(domain)
        plan = snapctl.plan_pop(guest, keep=keep)
        if dry_run:
            report_plans(session, plan)
            if not keep:
                session.note("after that the checkpoint would be deleted; --keep leaves it")
            return
        if asks:
            confirm_loss(session, snapctl, guest, "pop", plan, "" if keep else " The checkpoint is deleted, too.")
        outcomes = snapctl.execute(plan)
    report(session, outcomes)
