"""`snapctl undo`."""

from __future__ import annotations

import click

from .completion import domains
from .goback import GENERATED, KEEPING, go_back
from .options import dry_run_option, examples, global_options
from .session import Session


@click.command(epilog=examples("snapctl undo web01", "snapctl undo web01 --keep-current"))
@click.argument("domain", shell_complete=domains)
@click.option(
    "--keep-current",
    "keep",
    is_flag=False,
    flag_value=GENERATED,
    metavar="[NAME]",
    help="Checkpoint the present state first, so that this can be undone, too. A word right after it is that "
    "checkpoint's name.",
)
@click.option("-y", "--yes", is_flag=True, help="Do not ask before the present state is lost.")
@dry_run_option
@global_options(hidden=True)
@click.pass_obj
def undo(session: Session, domain: str, keep: str | None, yes: bool, dry_run: bool) -> None:
    """Take the last rollback of DOMAIN back, memory and disks.

    That is possible if the rollback kept the state before with --keep-current. The present state is
    lost, so this asks first; where there is no terminal to ask on, it needs --yes or --keep-current.
    """
    go_back(
        session,
        "undo",
        domain,
        plan=lambda coordinator: coordinator.plan_undo(domain),
        act=lambda coordinator: coordinator.undo(domain, keep_current=keep is not None, keep_name=keep or None),
        dry_run=dry_run,
        agreed=yes or keep is not None,
        otherwise=KEEPING,
    )
