"""`snapctl rollback`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ..errors import UsageError
from ..model import After, CheckpointSummary
from .completion import checkpoints, domains
from .options import examples, global_options
from .session import Session

if TYPE_CHECKING:
    from ..coordinator import Coordinator

GENERATED = ""
"""What --keep-current without a name gives."""


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
@click.option("--dry-run", is_flag=True, help="Only show what would be done.")
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
    from .render.outcome import loss
    from .report import report, report_plans

    if verify and dry_run:
        raise UsageError("--dry-run does not read whole files", hint="see: snapctl verify --help")
    state = After(after)
    asks = not (yes or dry_run or keep is not None)
    if asks:
        session.require_terminal(
            "rollback", otherwise="add -y, or --keep-current to checkpoint the present state first"
        )
    with session.coordinator() as coordinator:
        if dry_run:
            report_plans(session, coordinator.plan_rollback(domain, name, after=state))
            return
        if asks:
            plan = coordinator.plan_rollback(domain, name, after=state)
            session.agree("rollback", loss(plan, standing(coordinator, domain), session.now))
        outcome = coordinator.rollback(
            domain, name, after=state, keep_current=keep is not None, keep_name=keep or None, verify=verify
        )
    report(session, outcome)


def standing(coordinator: Coordinator, domain: str) -> CheckpointSummary | None:
    """The checkpoint that the domain stands on."""
    return next((each for each in coordinator.list(domain) if each.current), None)
