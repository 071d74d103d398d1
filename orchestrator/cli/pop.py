"""`snapctl pop`."""

from __future__ import annotations

import click

from .completion import domains
from .options import examples, global_options
from .rollback import standing
from .session import Session


@click.command(epilog=examples("snapctl pop web01", "snapctl pop web01 --keep -y"))
@click.argument("domain", shell_complete=domains)
@click.option("--keep", is_flag=True, help="Do not delete the checkpoint: the next pop goes back to it again.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask before the present state is lost.")
@global_options(hidden=True)
@click.pass_obj
def pop(session: Session, domain: str, keep: bool, yes: bool) -> None:
    """Put DOMAIN back to what was pushed last.

    That checkpoint is deleted then, unless --keep leaves it for the next pop. DOMAIN's present state is
    lost, so this asks first; where there is no terminal to ask on, it needs --yes.
    """
    from .render.outcome import loss
    from .report import report

    if not yes:
        session.require_terminal("pop", otherwise="add -y")
    with session.coordinator() as coordinator:
        if not yes:
            plan = coordinator.plan_pop(domain)
            goes = "" if keep else " The checkpoint is deleted, too."
            session.agree("pop", loss(plan, standing(coordinator, domain), session.now) + goes)
        outcomes = coordinator.pop(domain, keep=keep)
    report(session, outcomes)
