"""`snapctl recover`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ..completion import domains
from ..options import dry_run_option, examples, global_options
from ..session import Session

if TYPE_CHECKING:
    from ...coordinator import Coordinator

NOTHING = "there was no interrupted operation"


@click.command(epilog=examples("snapctl recover", "snapctl recover web01", "snapctl recover web01 --abandon --dry-run"))
@click.argument("domain", required=False, shell_complete=domains)
@click.option(
    "--abandon",
    is_flag=True,
    help="Close the interrupted operations of DOMAIN as they are, for when they can be neither finished nor undone. "
    "All files are kept and named; nothing is changed on the hypervisor.",
)
@click.option("-y", "--yes", is_flag=True, help="Abandon without asking.")
@dry_run_option
@global_options(hidden=True)
@click.pass_obj
def recover(session: Session, domain: str | None, abandon: bool, yes: bool, dry_run: bool) -> None:
    """Finish or undo interrupted operations.

    Those on DOMAIN, or on all domains. It can be run at any time, and repeated. Every changing verb does
    this first for its domain.
    """
    from ..render.outcome import settled

    if not abandon and (yes or dry_run):
        raise click.UsageError("--yes and --dry-run are for --abandon")
    if abandon and domain is None:
        raise click.UsageError("--abandon needs a DOMAIN")
    if abandon and not (yes or dry_run):
        session.require_terminal("recover --abandon", otherwise="add -y")
    with session.coordinator() as coordinator:
        if abandon:
            assert domain is not None  # noqa: S101 - required above
            _abandon(session, coordinator, domain, asks=not yes, dry_run=dry_run)
            return
        recovered = coordinator.recover(domain)
    session.summary(recovered, lambda: settled(recovered))
    if not recovered:
        session.note(NOTHING)


def _abandon(session: Session, coordinator: Coordinator, domain: str, *, asks: bool, dry_run: bool) -> None:
    from ..render.outcome import left_behind, settled

    planned = coordinator.plan_abandon(domain)
    if not planned:
        session.note(NOTHING)
    if dry_run or not planned:
        session.data(planned, lambda: left_behind(planned))
        return
    if asks:
        for line in left_behind(planned):
            session.note(line)
        session.agree("recover --abandon", f"Close the unfinished operations of {domain} as they are?")
    closed = coordinator.abandon(planned)
    session.summary(closed, lambda: (*(() if asks else left_behind(planned)), *settled(closed)))
