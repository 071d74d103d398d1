"""prune: which rules hold, what it shows, and when it asks."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from tests.workstation import Workstation

from .conftest import Run, names


def test_prune_dry_run_shows_what_becomes_of_each_and_why(run: Run, station: Workstation) -> None:
    before = station.seen()
    result = run("prune", "web01", "--keep-last", "2", "--keep-tag", "base", "--dry-run")
    assert (result.code, station.seen()) == (0, before)
    assert result.err == "this was a dry run: nothing was changed\n"
    assert result.out.splitlines() == [
        "        NAME          CREATED         SIZE  WHY",
        "keep    before-test   3 min ago  352.0 KiB  current, last 1 of 2",
        "keep    patched       2 h ago    352.0 KiB  last 2 of 2",
        "remove  experiment-2  4 h ago    352.0 KiB  no rule keeps it",
        "remove  experiment    5 h ago      1.6 MiB  no rule keeps it",
        "keep    base          3 d ago     96.0 KiB  tag base",
        "2 of 5 checkpoints to be removed (1.9 MiB)",
    ]


def test_prune_dry_run_json_has_the_decisions(run: Run) -> None:
    document = run("prune", "web01", "--keep-last", "1", "--dry-run", "-o", "json").json
    first = document["decisions"][0]
    assert (first["checkpoint"]["name"], first["kept"]) == ("before-test", True)
    assert first["reasons"] == ["current", "last 1 of 1"]
    assert document["outcomes"] == []


def test_prune_removes_what_no_rule_keeps(run: Run) -> None:
    result = run("prune", "web01", "--keep-last", "2", "-y")
    assert result.timeless.splitlines()[0] == "web01: checkpoint experiment-2 deleted in N s, 352.0 KiB freed"
    assert (result.code, names(run), names(run, "db")) == (0, ["patched", "before-test"], ["empty"])
    again = run("prune", "web01", "--keep-last", "2", "-y")
    assert (again.code, again.out, again.err) == (0, "", "no checkpoint was to be removed\n")


def test_prune_all_decides_for_each_domain_by_itself(run: Run) -> None:
    assert run("prune", "--all", "--keep-last", "1", "-y").code == 0
    assert names(run) + names(run, "db") == ["before-test", "empty"]


@pytest.fixture
def scattered(run: Run, station: Workstation) -> None:
    """Each in a month of its own, with a tag; one has expired."""
    assert run("edit", "web01", "patched", "--tag", "x", "--expires", "1m").code == 0
    assert run("checkpoint", "web01", "new").code == 0
    now = datetime.now(UTC)
    for number, name in enumerate(["new", "before-test", "experiment-2", "experiment", "base", "patched"]):
        created = now - timedelta(days=40 * number)
        station.sql(
            "UPDATE checkpoint SET created = ? WHERE name = ?", created.isoformat(timespec="microseconds"), name
        )
    expired = (now - timedelta(hours=5)).isoformat(timespec="microseconds")
    station.sql("UPDATE checkpoint SET expires = ? WHERE name = 'patched'", expired)
    assert run("edit", "web01", "experiment-2", "--tag", "x").code == 0


def reasons(run: Run, *options: str) -> dict[str, list[str]]:
    """By checkpoint: why it stays or goes."""
    decided = run("prune", "web01", *options, "--dry-run", "-o", "json").json["decisions"]
    return {each["checkpoint"]["name"]: each["reasons"] for each in decided}


@pytest.mark.usefixtures("scattered")
def test_prune_every_rule_keeps_as_many_as_its_option_says(run: Run) -> None:
    options = "--keep-last 5 --keep-hourly 1 --keep-daily 2 --keep-weekly 3 --keep-monthly 4 --keep-within 2w --expired"
    found = reasons(run, *options.split(), "--keep-tag", "base", "--keep-tag", "x")
    told = [reason for own in found.values() for reason in own]
    dated = Counter(reason.split()[0] for reason in told)
    assert [dated[rule] for rule in ("last", "hourly", "daily", "weekly", "monthly")] == [5, 1, 2, 3, 4]
    assert [name for name, own in found.items() if "within 2w" in own] == ["new"]
    assert "tag x" in found["experiment-2"] and "tag base" in found["base"]
    assert found["patched"] == ["expired 5 hours ago"]


@pytest.mark.usefixtures("scattered")
def test_prune_option_overrides_the_configured_rule_of_its_name_only(run: Run, station: Workstation) -> None:
    rules = '[prune]\nkeep_last = 3\nkeep_tags = ["base"]\nkeep_within = "3d"\nexpired = true\n'
    station.configure(f'catalog = "sqlite:///{station.catalog}"\n[store]\npath = "/store"\n{rules}')
    here = "current"
    assert reasons(run) == {
        "new": [here, "last 1 of 3", "within 3d"],
        "before-test": ["last 2 of 3"],
        "experiment-2": ["last 3 of 3"],
        "experiment": ["no rule keeps it"],
        "base": ["tag base"],
        "patched": ["expired 5 hours ago"],
    }
    assert reasons(run, "--keep-last", "0", "--keep-tag", "x", "--no-expired") == {
        "new": [here, "within 3d"],
        "before-test": ["no rule keeps it"],
        "experiment-2": ["tag x"],
        "experiment": ["no rule keeps it"],
        "base": ["no rule keeps it"],
        "patched": ["tag x"],
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--keep-last", "1", "-y"], "no domain was given"),
        (["web01", "--all", "--keep-last", "1", "-y"], "both web01 and --all were given"),
        (
            ["web01", "-y"],
            "no rule says what to prune; nothing was changed; add one, such as --keep-last 5",
        ),
        (["web01", "--keep-last", "-1", "-y"], "--keep-last"),
        (["web01", "--keep-within", "3 days", "-y"], "--keep-within: '3 days' is not a length of time"),
    ],
)
def test_prune_usage_error_is_found_before_it_connects_exit_2(
    run: Run, station: Workstation, arguments: list[str], said: str
) -> None:
    result = run("prune", *arguments)
    assert (result.code, result.out) == (2, "")
    assert said in result.err
    assert not station.settings
