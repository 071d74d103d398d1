"""`snapctl prune`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from ...errors import UsageError
from ...model import PruneReport
from ...timespan import parse
from ..completion import domains
from ..confirm import require_terminal
from ..options import examples, global_options
from ..session import Session

if TYPE_CHECKING:
    from ...operations.prune.policy import Policy
    from ...settings import PruneDefaults

NUMBER = click.IntRange(min=0, max=2**31 - 1)


@click.command(
    epilog=examples(
        "snapctl prune web01 --keep-last 5 --keep-daily 7 --dry-run",
        "snapctl prune --all --keep-within 2w --keep-tag base -y",
        "snapctl prune --all --expired -y",
    )
)
@click.argument("domain", required=False, shell_complete=domains)
@click.option(
    "--all", "all_", is_flag=True, help="Prune every domain that has checkpoints; the rules apply to each separately."
)
@click.option("--keep-last", type=NUMBER, metavar="N", help="Keep the newest N checkpoints.")
@click.option(
    "--keep-hourly",
    type=NUMBER,
    metavar="N",
    help="Keep the newest checkpoint of each hour, for the last N hours that have one.",
)
@click.option(
    "--keep-daily",
    type=NUMBER,
    metavar="N",
    help="Keep the newest checkpoint of each day, for the last N days that have one.",
)
@click.option(
    "--keep-weekly",
    type=NUMBER,
    metavar="N",
    help="Keep the newest checkpoint of each week, for the last N weeks that have one.",
)
@click.option(
    "--keep-monthly",
    type=NUMBER,
    metavar="N",
    help="Keep the newest checkpoint of each month, for the last N months that have one.",
)
@click.option(
    "--keep-tag",
    "keep_tags",
    multiple=True,
    metavar="TAG",
    help="Keep checkpoints with this tag; can be given several times.",
)
@click.option("--keep-within", metavar="TIME", help="Keep checkpoints not older than this: 90m, 12h, 3d, 2w.")
@click.option(
    "--expired/--no-expired", default=None, help="Remove expired checkpoints, even if another rule keeps them."
)
@click.option("--no-collapse", is_flag=True, help="Do not collapse layers that only one other layer needs.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--dry-run", is_flag=True, help="Only show what would be kept and removed, and why.")
@global_options(hidden=True)
@click.pass_obj
def prune(
    session: Session,
    domain: str | None,
    all_: bool,
    keep_last: int | None,
    keep_hourly: int | None,
    keep_daily: int | None,
    keep_weekly: int | None,
    keep_monthly: int | None,
    keep_tags: tuple[str, ...],
    keep_within: str | None,
    expired: bool | None,
    no_collapse: bool,
    yes: bool,
    dry_run: bool,
) -> None:
    """Remove the checkpoints of DOMAIN that no rule keeps.

    The current checkpoint of DOMAIN and protected checkpoints are never removed. With --expired alone,
    every checkpoint that has not expired is kept, too. An option overrides the key of the same name in
    the table [prune] of the configuration, and no other.
    """
    from ...operations.prune.policy import check_policy
    from ..render import prune as render

    if (domain is None) is not all_:
        problem = "no domain was given" if domain is None else f"both {domain} and --all were given"
        raise UsageError(problem, hint="name one domain, or give --all")
    given = {
        "keep_last": keep_last,
        "keep_hourly": keep_hourly,
        "keep_daily": keep_daily,
        "keep_weekly": keep_weekly,
        "keep_monthly": keep_monthly,
        "keep_tags": keep_tags or None,
        "keep_within": keep_within,
        "expired": expired,
    }
    policy = _policy(session.settings.prune, given)
    check_policy(policy)
    asks = not (yes or dry_run)
    with session.coordinator() as snapctl:
        if asks:
            otherwise = "add -y, or --dry-run to see what it would remove"
            require_terminal(session, snapctl, domain, "prune", otherwise=otherwise)
        domains = domain if dry_run else snapctl.settle_all(domain)
        plan = snapctl.plan_prune(domains, policy, now=session.now, collapse=not no_collapse)
        if dry_run:
            decided = PruneReport(decisions=plan.decisions)
            session.data(decided, lambda: render.decisions(plan.decisions, session.now, with_domain=all_))
            session.note("this was a dry run: nothing was changed")
            return
        if asks and plan.removed:
            session.agree("prune", render.question(plan.removed))
        report = snapctl.execute(plan)
    for line in render.settled(report):
        session.note(line)
    session.summary(report, lambda: render.report(report, with_steps=session.verbose > 0))
    if not report.outcomes:
        session.note("no checkpoint was to be removed")


def _policy(defaults: PruneDefaults, given: Mapping[str, object]) -> Policy:
    """The configured policy with what was given in place of its single rules. Raises `UsageError`."""
    import msgspec

    from ...operations.prune.policy import Policy

    rules: dict[str, Any] = msgspec.structs.asdict(defaults) | {
        key: value for key, value in given.items() if value is not None
    }
    within = rules.pop("keep_within")
    return Policy(**rules, keep_within=parse(within, "--keep-within") if within else None)
