"""`snapctl rollback`."""

from __future__ import annotations

import click

from ...errors import UsageError
from ...model import After
from ..completion import checkpoints, domains
from ..confirm import GENERATED, KEEPING, confirm_loss
from ..options import dry_run_option, examples, force_option, global_options
from ..session import Session


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
    help="State of the guest afterwards. Default: as it was when the checkpoint was created.",
)
@click.option(
    "--keep-current",
    "keep",
    is_flag=False,
    flag_value=GENERATED,
    metavar="[NAME]",
    help="Keep the present state as a checkpoint. A word after it is taken as that checkpoint's name: put it last.",
)
@click.option("--verify", is_flag=True, help="First verify the checkpoint, reading its files completely.")
@click.option(
    "--without-media", is_flag=True, help="Leave CD-ROM and floppy drives empty whose media are missing or others."
)
@click.option("-y", "--yes", is_flag=True, help="Discard the present state without asking.")
@force_option
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
    without_media: bool,
    yes: bool,
    force: bool,
    dry_run: bool,
) -> None:
    """Roll DOMAIN back to a checkpoint, disks and memory.

    Without NAME, to its current checkpoint. The present state is discarded, so this asks for
    confirmation first; without a terminal, --yes or --keep-current is required.
    """
    if verify and dry_run:
        raise UsageError("--dry-run does not verify files", hint="see: snapctl verify --help")
    from ..report import report, report_plans

    asks = not (yes or dry_run or keep is not None)
    if asks:
        session.require_terminal("rollback", otherwise=KEEPING)
    with session.coordinator() as snapctl:
        guest = domain if dry_run else snapctl.settle(domain)
        plan = snapctl.plan_rollback(
            guest,
            name,
            after=After(after),
            keep_current=keep is not None,
            keep_name=keep or None,
            force=force,
            verify=verify and not asks,
            without_media=without_media,
        )
        if dry_run:
            report_plans(session, plan)
            return
        if asks:
            confirm_loss(session, snapctl, guest, "rollback", plan)
            if verify:  # after the question: it may take hours to be answered
                snapctl.verify_whole(plan)
        outcome = snapctl.execute(plan)
    report(session, outcome)
