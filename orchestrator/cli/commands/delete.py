"""`snapctl delete`."""

from __future__ import annotations

import click

from ..completion import checkpoints, domains
from ..options import dry_run_option, examples, global_options
from ..session import Session


@click.command(epilog=examples("snapctl delete web01 experiment-2 experiment"))
@click.argument("domain", shell_complete=domains)
@click.argument("names", metavar="NAME...", nargs=-1, required=True, shell_complete=checkpoints)
@click.option("-r", "--recursive", is_flag=True, help="Delete all their descendants, too.")
@click.option("--no-collapse", is_flag=True, help="Do not collapse layers that only one other layer needs.")
@click.option("--force", is_flag=True, help="Also the only copy of the memory of a guest that is shut off.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
@dry_run_option
@global_options(hidden=True)
@click.pass_obj
def delete(
    session: Session,
    domain: str,
    names: tuple[str, ...],
    recursive: bool,
    no_collapse: bool,
    force: bool,
    yes: bool,
    dry_run: bool,
) -> None:
    """Delete checkpoints of DOMAIN, wherever they are in its tree.

    Their memory images are removed at once, their layers when nothing needs them. Other checkpoints and
    the guest are not affected: descendants of a deleted checkpoint become descendants of its parent.
    """
    from ..render.outcome import removal
    from ..report import report, report_plans

    asks = not (yes or dry_run)
    if asks:
        session.require_terminal("delete", otherwise="add -y")
    with session.coordinator() as snapctl:
        guest = domain if dry_run else snapctl.settle(domain)
        plan = snapctl.plan_delete(
            guest, names, recursive=recursive, collapse=not no_collapse, with_reasons=dry_run, force=force
        )
        if dry_run:
            report_plans(session, plan.plans)
            return
        if asks:
            session.agree("delete", removal(domain, plan.plans))
        outcomes = snapctl.execute(plan)
    report(session, outcomes)
