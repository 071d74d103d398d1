"""`snapctl collapse` and `snapctl flatten`: shorter chains."""

from __future__ import annotations

import click

from ..completion import domains
from ..options import dry_run_option, examples, global_options
from ..session import Session


@click.command(epilog=examples("snapctl collapse", "snapctl collapse web01 --dry-run"))
@click.argument("domain", required=False, shell_complete=domains)
@dry_run_option
@global_options(hidden=True)
@click.pass_obj
def collapse(session: Session, domain: str | None, dry_run: bool) -> None:
    """Pull layers that nothing else needs into the one above them.

    What every checkpoint and the guest see stays the same; the chains get shorter. `delete` does this
    by itself. What a running guest has below its disks waits until it is off or elsewhere.
    """
    from ..render.outcome import postponed
    from ..report import report, report_plans

    with session.coordinator() as snapctl:
        outcomes = [] if dry_run else snapctl.collapse(domain)
        left = snapctl.plan_collapse(domain)
    if dry_run:
        report_plans(session, left.plans)
    else:
        report(session, outcomes)
    for line in postponed(left.postponed):
        session.note(line)
    if not (outcomes or left.plans or left.postponed or left.failure):
        session.note(f"{domain or 'no domain'} has {'no' if domain else 'a'} layer that could go")
    if left.failure is not None:
        raise left.failure


@click.command(epilog=examples("snapctl flatten web01"))
@click.argument("domain", shell_complete=domains)
@dry_run_option
@global_options(hidden=True)
@click.pass_obj
def flatten(session: Session, domain: str, dry_run: bool) -> None:
    """Make the disks of DOMAIN stand on nothing.

    All that is below them is copied into their active overlays, while the guest runs. Its chains are
    one layer long then, whatever becomes of older checkpoints. It takes as much space as the guest
    has data.
    """
    from ..report import report, report_plans

    with session.coordinator() as snapctl:
        plan = snapctl.plan_flatten(domain if dry_run else snapctl.settle(domain))
        outcomes = [] if dry_run else snapctl.execute(plan)
    if dry_run:
        report_plans(session, plan.plans)
    else:
        report(session, outcomes)
    if not plan.plans:
        session.note(f"the disks of {domain} stand on nothing already")
