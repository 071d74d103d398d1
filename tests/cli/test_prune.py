"""prune: which policy it passes on, what it shows, and when it asks."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from orchestrator.operations.prune.policy import Policy

from .conftest import Run
from .standin import StandIn


def names(world: StandIn, domain: str = "web01") -> list[str]:
    return [each.name for each in world.list(domain)]


def test_a_dry_run_shows_what_becomes_of_each_and_why(run: Run, world: StandIn) -> None:
    before = world.list()
    result = run("prune", "web01", "--keep-last", "2", "--keep-tag", "base", "--dry-run")
    assert (result.code, world.list()) == (0, before)
    assert result.err == "this was a dry run: nothing was changed\n"
    assert result.out.splitlines() == [
        "        NAME          CREATED        SIZE  WHY",
        "keep    before-test   3 min ago  96.5 MiB  you are here, last 1 of 2",
        "keep    patched       2 h ago    96.5 MiB  last 2 of 2",
        "remove  experiment-2  4 h ago    96.5 MiB  no rule keeps it",
        "remove  experiment    5 h ago    96.5 MiB  no rule keeps it",
        "keep    base          3 d ago    96.5 MiB  tag base",
        "2 of 5 checkpoints to be removed (193.0 MiB)",
    ]


def test_a_dry_run_as_json(run: Run) -> None:
    document = run("prune", "web01", "--keep-last", "1", "--dry-run", "-o", "json").json
    first = document["decisions"][0]
    assert (first["checkpoint"]["name"], first["kept"], first["reasons"]) == (
        "before-test",
        True,
        ["you are here", "last 1 of 1"],
    )
    assert document["outcomes"] == []


def test_it_removes_what_no_rule_keeps(run: Run, world: StandIn) -> None:
    result = run("prune", "web01", "--keep-last", "2", "-y")
    assert result.out.splitlines()[0] == "web01: checkpoint experiment-2 deleted in 0.84 s"
    assert (result.code, names(world), names(world, "db")) == (0, ["patched", "before-test"], ["empty"])
    again = run("prune", "web01", "--keep-last", "2", "-y")
    assert (again.code, again.out, again.err) == (0, "", "nothing was to be pruned\n")


def test_of_all_domains_each_by_itself(run: Run, world: StandIn) -> None:
    assert run("prune", "--all", "--keep-last", "1", "-y").code == 0
    assert [each.name for each in world.list()] == ["before-test", "empty"]


def test_every_option_is_passed_on(run: Run, world: StandIn) -> None:
    options = "--keep-last 1 --keep-hourly 2 --keep-daily 3 --keep-weekly 4 --keep-monthly 5 --keep-within 2w --expired"
    run("prune", "web01", *options.split(), "--keep-tag", "a", "--keep-tag", "b", "--dry-run")
    assert world.policies == [
        Policy(
            keep_last=1,
            keep_hourly=2,
            keep_daily=3,
            keep_weekly=4,
            keep_monthly=5,
            keep_tags=("a", "b"),
            keep_within=timedelta(days=14),
            expired=True,
        )
    ]


def test_an_option_overrides_the_configured_rule_of_its_name_only(run: Run, world: StandIn, elsewhere: Path) -> None:
    elsewhere.parent.mkdir(parents=True)
    elsewhere.write_text('[prune]\nkeep_last = 3\nkeep_tags = ["base"]\nkeep_within = "3d"\nexpired = true\n')
    run("prune", "web01", "--dry-run")
    run("prune", "web01", "--keep-last", "0", "--keep-tag", "x", "--no-expired", "--dry-run")
    configured = Policy(keep_last=3, keep_tags=("base",), keep_within=timedelta(days=3), expired=True)
    assert world.policies == [configured, replace(configured, keep_last=0, keep_tags=("x",), expired=False)]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--keep-last", "1", "-y"], "prune of which domain?"),
        (["web01", "--all", "--keep-last", "1", "-y"], "either web01 or --all"),
        (["web01", "-y"], "no rule says what to prune; nothing was changed; add one, such as --keep-last 5"),
        (["web01", "--keep-last", "-1", "-y"], "--keep-last"),
        (["web01", "--keep-within", "3 days", "-y"], "--keep-within: '3 days' is no length of time"),
        (["web01", "--keep-last", "1"], "no terminal to ask on"),
    ],
)
def test_what_nobody_means_is_refused_before_it_connects(
    run: Run, world: StandIn, arguments: list[str], said: str
) -> None:
    result = run("prune", *arguments)
    assert (result.code, result.out) == (2, "")
    assert said in result.err
    assert not world.settings
