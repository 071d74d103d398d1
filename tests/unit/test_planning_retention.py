"""What a prune keeps: rule by rule, and what holds whatever the rules are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import UsageError
from orchestrator.model import CheckpointSummary
from orchestrator.operations.prune.policy import Policy, decide

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)  # a Wednesday
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


def made(name: str, age: timedelta, **facts: Any) -> CheckpointSummary:
    known = CheckpointSummary(
        domain="web01",
        domain_uuid="web01",
        name=name,
        id=f"id-{name}",
        parent=None,
        parent_id=None,
        created=NOW - age,
        mode="save",
        tags=(),
        description="",
        current=False,
        memory_bytes=1000,
        disk_bytes=100,
        state="ready",
    )
    return replace(known, **facts)


def kept(checkpoints: Sequence[CheckpointSummary], **rules: Any) -> dict[str, tuple[str, ...]]:
    return {each.checkpoint.name: each.reasons for each in decide(checkpoints, Policy(**rules), NOW, UTC) if each.kept}


def removed(checkpoints: Sequence[CheckpointSummary], **rules: Any) -> dict[str, tuple[str, ...]]:
    decisions = decide(checkpoints, Policy(**rules), NOW, UTC)
    return {each.checkpoint.name: each.reasons for each in decisions if not each.kept}


DAILY = [made(f"day-{age}", age * DAY) for age in range(70)]


# --------------------------------------------------------------------------- rule by rule


def test_decide_keep_last_keeps_the_newest() -> None:
    assert kept(DAILY, keep_last=3) == {
        "day-0": ("last 1 of 3",),
        "day-1": ("last 2 of 3",),
        "day-2": ("last 3 of 3",),
    }
    assert removed(DAILY[:4], keep_last=3) == {"day-3": ("no rule keeps it",)}


def test_decide_keep_hourly_keeps_the_newest_of_each_hour() -> None:
    some = [made("a", timedelta(minutes=10)), made("b", timedelta(minutes=20)), made("c", 5 * HOUR)]
    assert kept(some, keep_hourly=2) == {"a": ("hourly 2026-11-25 11:00",), "c": ("hourly 2026-11-25 07:00",)}


def test_decide_keep_daily_skips_days_without_a_checkpoint() -> None:
    some = [made("a", HOUR), made("b", 2 * HOUR), made("c", 3 * DAY), made("d", 9 * DAY)]
    assert kept(some, keep_daily=2) == {"a": ("daily 2026-11-25",), "c": ("daily 2026-11-22",)}


def test_decide_keep_weekly_and_monthly_keep_the_newest() -> None:
    assert kept(DAILY, keep_weekly=2, keep_monthly=3) == {
        "day-0": ("weekly 2026-W48", "monthly 2026-11"),
        "day-3": ("weekly 2026-W47",),  # the Sunday before
        "day-25": ("monthly 2026-10",),
        "day-56": ("monthly 2026-09",),
    }


def test_a_week_belongs_to_the_year_of_its_thursday() -> None:
    some = [made("a", NOW - datetime(2025, 12, 29, tzinfo=UTC)), made("b", NOW - datetime(2025, 12, 28, tzinfo=UTC))]
    assert list(kept(some, keep_weekly=9).values()) == [("weekly 2026-W01",), ("weekly 2025-W52",)]


def test_days_are_those_of_the_zone() -> None:
    late = made("late", NOW - datetime(2026, 11, 24, 23, 30, tzinfo=UTC))
    (decision,) = decide([late], Policy(keep_daily=1), NOW, ZoneInfo("Europe/Berlin"))
    assert decision.reasons == ("daily 2026-11-25",)


def test_decide_keep_hourly_repeated_hour_counts_once() -> None:
    """At the end of summer time."""
    some = [made(name, NOW - datetime(2026, 10, 25, hour, 30, tzinfo=UTC)) for name, hour in (("a", 0), ("b", 1))]
    decisions = decide(some, Policy(keep_hourly=2), NOW, ZoneInfo("Europe/Berlin"))
    assert [(each.checkpoint.name, each.kept) for each in decisions] == [("b", True), ("a", False)]


def test_tags_and_a_time() -> None:
    some = [*DAILY[:5], made("base", 300 * DAY, tags=("base", "debian"))]
    assert kept(some, keep_tags=("base", "other"), keep_within=2 * DAY) == {
        "day-0": ("within 2d",),
        "day-1": ("within 2d",),
        "day-2": ("within 2d",),
        "base": ("tag base",),
    }


def test_decide_names_every_reason() -> None:
    some = [made("a", HOUR, tags=("t",), current=True, protected=True)]
    assert kept(some, keep_last=1, keep_daily=1, keep_tags=("t",), keep_within=DAY) == {
        "a": ("current", "protected", "last 1 of 1", "daily 2026-11-25", "tag t", "within 1d")
    }


def test_decide_current_and_protected_checkpoints_are_kept() -> None:
    gone = NOW - DAY
    some = [
        made("new", HOUR),
        made("head", DAY, current=True, expires=gone),
        made("safe", 2 * DAY, protected=True, expires=gone),
        made("old", 3 * DAY),
    ]
    assert kept(some, keep_last=1, expired=True) == {
        "new": ("last 1 of 1",),
        "head": ("current",),
        "safe": ("protected",),
    }


# --------------------------------------------------------------------------- expiry


def test_decide_expired_alone_removes_only_expired() -> None:
    some = [
        made("over", DAY, expires=NOW - 2 * DAY),
        made("now", DAY, expires=NOW),
        made("later", DAY, expires=NOW + 2 * DAY),
        made("never", DAY),
    ]
    assert removed(some, expired=True) == {"over": ("expired 2 days ago",), "now": ("expired less than a minute ago",)}
    assert kept(some, expired=True) == {"later": ("expires in 2 days",), "never": ("does not expire",)}


def test_decide_expired_is_removed_despite_rules_and_takes_no_slot() -> None:
    some = [made("over", HOUR, expires=NOW - HOUR, tags=("t",)), made("a", DAY), made("b", 2 * DAY)]
    assert removed(some, keep_last=1, keep_tags=("t",), expired=True) == {
        "over": ("expired 1 hour ago",),
        "b": ("no rule keeps it",),
    }


def test_unless_it_is_asked_for_expiry_means_nothing() -> None:
    assert kept([made("over", HOUR, expires=NOW - HOUR)], keep_last=1) == {"over": ("last 1 of 1",)}


# --------------------------------------------------------------------------- damage


def test_decide_damaged_checkpoint_takes_no_slot() -> None:
    some = [made("bad", HOUR, state="damaged"), made("good", 2 * HOUR), made("older", 3 * HOUR)]
    assert kept(some, keep_last=1, keep_daily=1) == {
        "bad": ("last 1 of 1", "daily 2026-11-25", "damaged, does not count for a rule"),
        "good": ("last 1 of 1", "daily 2026-11-25"),
    }
    assert list(kept([*some[1:], made("worse", 4 * HOUR, state="damaged")], keep_last=1)) == ["good"]


# --------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (
            {},
            "no rule says what to prune; nothing was changed; add one, such as --keep-last 5 or --expired",
        ),
        ({"keep_last": -1, "expired": True}, "below 0"),
        ({"keep_within": timedelta()}, "not above 0"),
        ({"keep_tags": ("a b",)}, "'a b' is not a valid tag name"),
    ],
)
def test_decide_senseless_policy_is_refused(rules: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        kept(DAILY, **rules)


# --------------------------------------------------------------------------- whatever the rules are


@st.composite
def histories(draw: st.DrawFn) -> list[CheckpointSummary]:
    """Checkpoints of one domain in any order, crowded around some days; it stands on at most one of them."""
    ages = draw(st.lists(st.integers(0, 90 * 24 * 60), max_size=30))
    head = draw(st.integers(0, 40))
    return [
        made(
            str(number),
            timedelta(minutes=age // draw(st.sampled_from([1, 1, 60]))),
            current=number == head,
            protected=draw(st.integers(0, 9)) == 0,
            expires=NOW + draw(st.integers(-3, 3)) * DAY if draw(st.booleans()) else None,
            state=draw(st.sampled_from(["ready", "ready", "unhashed", "damaged"])),
            tags=tuple(draw(st.sets(st.sampled_from("tuv"), max_size=2))),
        )
        for number, age in enumerate(ages)
    ]


few = st.integers(0, 5)
policies = st.builds(
    Policy,
    keep_last=few,
    keep_hourly=few,
    keep_daily=few,
    keep_weekly=few,
    keep_monthly=few,
    keep_tags=st.sampled_from([(), ("t",), ("t", "u")]),
    keep_within=st.sampled_from([None, HOUR, 5 * DAY]),
    expired=st.booleans(),
).filter(lambda policy: policy.keeps or policy.expired)
zones = st.sampled_from([UTC, ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Kathmandu")])


def ids(some: Sequence[CheckpointSummary], policy: Policy, zone: Any = UTC, *, kept: bool = True) -> set[str]:
    return {each.checkpoint.id for each in decide(some, policy, NOW, zone) if each.kept is kept}


@given(histories(), policies, zones)
def test_decide_gives_each_checkpoint_one_decision_with_reasons(
    some: list[CheckpointSummary], policy: Policy, zone: Any
) -> None:
    decisions = decide(some, policy, NOW, zone)
    assert sorted(each.checkpoint.id for each in decisions) == sorted(each.id for each in some)
    assert all(each.reasons and all(each.reasons) for each in decisions)
    assert [each.checkpoint.created for each in decisions] == sorted((each.created for each in some), reverse=True)


@given(histories(), policies)
def test_neither_the_head_s_nor_a_protected_one_is_ever_removed(some: list[CheckpointSummary], policy: Policy) -> None:
    assert {each.id for each in some if each.current or each.protected} <= ids(some, policy)


@given(histories(), policies)
def test_decide_expired_without_a_rule_removes_nothing_else(some: list[CheckpointSummary], policy: Policy) -> None:
    over = {each.id for each in some if each.expires and each.expires <= NOW and not (each.current or each.protected)}
    assert not policy.expired or over <= ids(some, policy, kept=False)
    assert ids(some, Policy(expired=True), kept=False) == over


@given(histories(), policies, zones)
def test_pruning_twice_removes_nothing_more(some: list[CheckpointSummary], policy: Policy, zone: Any) -> None:
    left = [each for each in some if each.id in ids(some, policy, zone)]
    assert ids(left, policy, zone, kept=False) == set()


@given(histories(), policies, st.randoms())
def test_decide_ignores_the_order_of_checkpoints(some: list[CheckpointSummary], policy: Policy, random: Any) -> None:
    shuffled = random.sample(some, len(some))
    assert decide(shuffled, policy, NOW, UTC) == decide(some, policy, NOW, UTC)


COUNTS = ["keep_last", "keep_hourly", "keep_daily", "keep_weekly", "keep_monthly"]


@given(histories(), policies, st.sampled_from(COUNTS), st.integers(1, 3))
def test_decide_larger_rule_keeps_all_that_was_kept(
    some: list[CheckpointSummary], policy: Policy, rule: str, more: int
) -> None:
    if policy.keeps:  # the first rule of all turns "keep all else" into "remove all else"
        larger = replace(policy, **{rule: getattr(policy, rule) + more})
        assert ids(some, policy) <= ids(some, larger)


FORMS = {"keep_hourly": "%F %H", "keep_daily": "%F", "keep_weekly": "%G %V", "keep_monthly": "%Y-%m"}


@given(histories(), st.sampled_from(list(FORMS)), st.integers(1, 5))
def test_the_newest_of_each_of_the_newest_periods_is_kept_and_no_other(
    some: list[CheckpointSummary], rule: str, most: int
) -> None:
    sound = [replace(each, state="ready", current=False, protected=False) for each in some]
    newest: dict[str, CheckpointSummary] = {}
    for each in sorted(sound, key=lambda each: (each.created, each.id)):
        newest[each.created.strftime(FORMS[rule])] = each
    rules: dict[str, Any] = {rule: most}
    wanted = [newest[period].id for period in sorted(newest, reverse=True)[:most]]
    assert ids(sound, Policy(**rules)) == set(wanted)


@given(histories(), policies)
def test_damage_never_costs_a_sound_one(some: list[CheckpointSummary], policy: Policy) -> None:
    """Those that are kept are at least those that would be if there were no damaged ones."""
    sound = [each for each in some if each.state != "damaged"]
    assert ids(sound, policy) <= ids(some, policy)
