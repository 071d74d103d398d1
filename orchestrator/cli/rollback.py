"""`snapctl rollback`."""

from __future__ import annotations

import click

from ..errors import UsageError
from ..model import After
from .completion import checkpoints, domains
from .goback import GENERATED, KEEPING, go_back
from .options import dry_run_option, examples, global_options
from .session import Session


@click.command(
    epilog=examples(
        "snapctl rollback web01 clean",
        "snapctl rollback web01 -y",
        "snapctl rollback web01 clean --keep-current=before-test",
    )
)
@click.argument("domain", shell_complete=domains)
@click.argument("name", required=False, shell_complete=checkpoints)
@click.option(
    "--after",
    type=click.Choice([After.AS_SAVED.value, After.RESUME.value, After.PAUSE.value]),
    default=After.AS_SAVED.value,
    help="What becomes of the guest; as it was when the checkpoint was made, unless told.",
)
@click.option(
    "--keep-current",
    "keep",
    is_flag=False,
    flag_value=GENERATED,
    metavar="[NAME]",
    help="Checkpoint the present state first. A word right after it is that checkpoint's name, so put it last.",
)
@click.option("--verify", is_flag=True, help="Read the checkpoint's files whole before anything is done.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask before the present state is lost.")
@dry_run_option
@global_options(hidden=True)
@click.pass_obj
def rollback(
    session: Session,
    domain: str,
    name: str | None,
    after: str,
    keep: str | None,
    verify: bool,
    yes: bool,
    dry_run: bool,
) -> None:
    """Put DOMAIN back to a checkpoint.

    Its disks first, then its memory; without NAME, to the checkpoint it stands on. Its present state
    is lost, so this asks first; where there is no terminal to ask on, it needs --yes or --keep-current.
    """
    if verify and dry_run:
        raise UsageError("--dry-run does not read whole files", hint="see: snapctl verify --help")
    state = After(after)
    go_back(
        session,
        "rollback",
        domain,
        plan=lambda coordinator: coordinator.plan_rollback(domain, name, after=state),
        act=lambda coordinator: coordinator.rollback(
            domain, name, after=state, keep_current=keep is not None, keep_name=keep or None, verify=verify
        ),
        dry_run=dry_run,
        agreed=yes or keep is not None,
        otherwise=KEEPING,
    )
