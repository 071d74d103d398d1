"""Which checkpoints of a domain `prune` keeps, and why.

A rule keeps the newest checkpoint of each hour, day, ... for so many hours, days, ... as have one.
Two kinds are kept whatever the rules say: the current checkpoint of the domain, and
those that are protected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from ...errors import UsageError
from ...model import CheckpointSummary, Decision, check_name
from ...timespan import brief, rough

HERE = "current"
PROTECTED = "protected"
DAMAGED = "damaged, does not count for a rule"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What to keep. A count of 0, an empty tuple, None and False each switch their rule off.

    With any of the rules `keep_…`, all that none of them keeps is removed. `expired` removes what has
    outlived its time, even if a rule would keep it; with no other rule all else is kept.
    """

    keep_last: int = 0
    keep_hourly: int = 0
    keep_daily: int = 0
    keep_weekly: int = 0
    keep_monthly: int = 0
    keep_tags: tuple[str, ...] = ()  # with any of these tags
    keep_within: timedelta | None = None  # not older than that
    expired: bool = False

    @property
    def counts(self) -> tuple[int, ...]:
        return self.keep_last, self.keep_hourly, self.keep_daily, self.keep_weekly, self.keep_monthly

    @property
    def keeps(self) -> bool:
        """Whether there is a rule that keeps anything."""
        return any(self.counts) or bool(self.keep_tags) or self.keep_within is not None


def check_policy(policy: Policy) -> None:
    """Raise `UsageError` for a policy without a rule, or with a senseless one: to remove everything is never meant."""
    if min(policy.counts) < 0:
        raise UsageError("a number of checkpoints to keep is below 0", hint="0 switches a rule off")
    if policy.keep_within is not None and policy.keep_within <= timedelta():
        raise UsageError("the time within which to keep checkpoints is not above 0", hint="leave it out")
    for tag in policy.keep_tags:
        check_name(tag, "tag")
    if not (policy.keeps or policy.expired):
        raise UsageError("no rule says what to prune", hint="add one, such as --keep-last 5 or --expired")


def decide(
    checkpoints: Iterable[CheckpointSummary], policy: Policy, now: datetime, zone: tzinfo | None
) -> list[Decision]:
    """A decision for each checkpoint of *one* domain, newest first.

    Hours, days, weeks and months are those of `zone`, of this computer's local time if it is None. A
    damaged checkpoint is kept where a sound one would be, but does not count: it cannot be rolled back to.
    Raises `UsageError` as `check_policy` does.
    """
    check_policy(policy)
    newest_first = sorted(checkpoints, key=lambda each: (each.created, each.id), reverse=True)
    going = {each.id for each in newest_first if policy.expired and _has_expired(each, now) and not _never(each)}
    staying = [each for each in newest_first if each.id not in going]  # what goes anyhow takes no other's place
    reasons = _reasons(staying, policy, now, zone)
    return [
        Decision(checkpoint=each, kept=False, reasons=(f"expired {_ago(each, now)}",))
        if each.id in going
        else _decision(each, reasons[each.id], policy, now)
        for each in newest_first
    ]


def _decision(checkpoint: CheckpointSummary, rules: Sequence[str], policy: Policy, now: datetime) -> Decision:
    reasons = (*_never(checkpoint), *rules)
    if rules and checkpoint.state == "damaged":
        reasons = (*reasons, DAMAGED)
    if not reasons and policy.keeps:
        return Decision(checkpoint=checkpoint, kept=False, reasons=("no rule keeps it",))
    return Decision(checkpoint=checkpoint, kept=True, reasons=reasons or (_not_yet(checkpoint, now),))


def _never(checkpoint: CheckpointSummary) -> tuple[str, ...]:
    """Why it is never removed, if so."""
    return ((HERE,) if checkpoint.current else ()) + ((PROTECTED,) if checkpoint.protected else ())


def _has_expired(checkpoint: CheckpointSummary, now: datetime) -> bool:
    return checkpoint.expires is not None and checkpoint.expires <= now


def _ago(checkpoint: CheckpointSummary, now: datetime) -> str:
    return f"{rough(now - (checkpoint.expires or now))} ago"


def _not_yet(checkpoint: CheckpointSummary, now: datetime) -> str:
    return f"expires in {rough(checkpoint.expires - now)}" if checkpoint.expires else "does not expire"


# --------------------------------------------------------------------------- rules


def _reasons(
    newest_first: Sequence[CheckpointSummary], policy: Policy, now: datetime, zone: tzinfo | None
) -> dict[str, list[str]]:
    """By which rules each checkpoint is kept, by its id."""
    reasons: dict[str, list[str]] = {each.id: [] for each in newest_first}
    for rule in _rules(policy, zone):
        for identifier, reason in rule.keeps(newest_first):
            reasons[identifier].append(reason)
    for each in newest_first:
        reasons[each.id] += [f"tag {tag}" for tag in each.tags if tag in policy.keep_tags]
        if policy.keep_within is not None and each.created >= now - policy.keep_within:
            reasons[each.id].append(f"within {brief(policy.keep_within)}")
    return reasons


@dataclass(frozen=True, slots=True)
class _Rule:
    """The newest checkpoint of each of the `most` newest periods that have one."""

    most: int
    period: Callable[[CheckpointSummary], str]
    reason: Callable[[int, str], str]  # from the number of the period, counted from 1, and the period

    def keeps(self, newest_first: Iterable[CheckpointSummary]) -> list[tuple[str, str]]:
        """Ids with the reason; of a damaged checkpoint, too, as long as no sound one has taken its place."""
        kept = []
        taken: set[str] = set()
        for each in newest_first:
            period = self.period(each)
            if len(taken) < self.most and period not in taken:
                kept.append((each.id, self.reason(len(taken) + 1, period)))
                if each.state != "damaged":
                    taken.add(period)
        return kept


def _rules(policy: Policy, zone: tzinfo | None) -> tuple[_Rule, ...]:
    def dated(most: int, name: str, form: str) -> _Rule:
        def period(checkpoint: CheckpointSummary) -> str:
            return checkpoint.created.astimezone(zone).strftime(form)

        return _Rule(most, period, lambda _, period: f"{name} {period}")

    return (
        _Rule(policy.keep_last, lambda each: each.id, lambda number, _: f"last {number} of {policy.keep_last}"),
        dated(policy.keep_hourly, "hourly", "%Y-%m-%d %H:00"),
        dated(policy.keep_daily, "daily", "%Y-%m-%d"),
        dated(policy.keep_weekly, "weekly", "%G-W%V"),
        dated(policy.keep_monthly, "monthly", "%Y-%m"),
    )
