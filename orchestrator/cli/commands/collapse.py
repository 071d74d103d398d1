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
    """Merge layers that nothing else needs.

    Their data is copied into the layer above them. Backing chains get shorter; the contents of
    checkpoints and of the guest's disks do not change.
    `delete` does this by itself. Layers below the disks of a running guest are deferred until it is shut
    off or no longer uses them.
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
        session.note(f"{domain or 'no domain'} has {'no' if domain else 'a'} layer to collapse")
    if left.failure is not None:
        raise left.failure


@click.command(epilog=examples("snapctl flatten web01"))
@click.argument("domain", shell_complete=domains)
@dry_run_option
@global_options(hidden=True)
@click.pass_obj
def flatten(session: Session, domain: str, dry_run: bool) -> None:
    """Copy all backing data into the active layers.

    The disks of DOMAIN then have no backing file, and depend on no older checkpoint. The guest can keep running.
    This takes as much space as the disks have data.
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
        session.note(f"the disks of {domain} already have no backing file")
