"""`snapctl verify`."""

from __future__ import annotations

import click

from ...errors import Refused, UsageError
from ...model import VerifyReport, some
from ..completion import checkpoints, domains
from ..options import dry_run_option, examples, global_options
from ..session import Session


@click.command(
    epilog=examples("snapctl verify", "snapctl verify web01 clean --deep", "snapctl verify web01 clean --accept")
)
@click.argument("domain", required=False, shell_complete=domains)
@click.argument("name", required=False, shell_complete=checkpoints)
@click.option("--deep", is_flag=True, help="Read every file completely and compare its SHA-256.")
@click.option("--accept", is_flag=True, help="Record files that differ as they are now, unless their SHA-256 is known.")
@click.option("-y", "--yes", is_flag=True, help="Accept without asking, unless checkpoints not named are concerned.")
@dry_run_option
@global_options(hidden=True)
@click.pass_obj
def verify(
    session: Session, domain: str | None, name: str | None, deep: bool, accept: bool, yes: bool, dry_run: bool
) -> None:
    """Compare the files of checkpoints with the catalog.

    Those of the checkpoint NAME, or of all checkpoints of DOMAIN, or of all domains. A damaged
    checkpoint is marked; rollback refuses it until a later verify finds it sound. --deep records the
    SHA-256 of a disk layer when it first reads it, and compares it from then on.

    A file with another time of last change is sound if its SHA-256 is known and matches. If none is known, only
    you can say whether its content is right, such as after a restore from a backup: --accept shows what differs,
    asks, and records the files of DOMAIN as they are now. A layer is accepted for all checkpoints that rely on it,
    which are named: accept it only if it is what it was when each of them was made.
    """
    if not accept and (yes or dry_run):
        raise UsageError("-y and --dry-run need --accept", hint="see: snapctl verify --help")
    if accept:
        _accept(session, domain, name, deep=deep, yes=yes, dry_run=dry_run)
        return
    with session.coordinator() as coordinator:
        report = coordinator.verify(domain, name, deep=deep)
    _show(session, report)


def _accept(session: Session, domain: str | None, name: str | None, *, deep: bool, yes: bool, dry_run: bool) -> None:
    from ..render import verification as render

    if domain is None or deep:
        raise UsageError("--accept needs a domain, and reads what it accepts completely", hint="leave out --deep")
    if not (yes or dry_run):
        session.require_terminal("verify --accept", otherwise="add -y, or --dry-run to see what differs")
    with session.coordinator() as coordinator:
        plan = coordinator.plan_acceptance(domain, name)
        if dry_run:
            session.data(plan, lambda: render.acceptance(plan))
            return
        if yes and plan.unnamed:
            raise Refused(
                f"the files to be accepted are also those of {some(plan.unnamed)}",
                hint="accept them for each: leave out -y, and answer the question; see: --dry-run",
            )
        if plan.files and not yes:
            session.agree("verify --accept", render.question(plan))
        report = coordinator.accept(domain, name, plan)
    _show(session, report)


def _show(session: Session, report: VerifyReport) -> None:
    from ..render import verification as render

    show = session.data if report.damaged else session.summary
    show(render.document(report), lambda: render.report(report))
    if report.damaged:
        raise render.failure(report)
