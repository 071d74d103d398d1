"""edit, protect, push, pop, undo: what they do, what they say, and when they ask; and what list shows of it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.workstation import Workstation

from .conftest import Run, current

SLACK = timedelta(minutes=1)
DRY = "this was a dry run: nothing was changed\n"
PUSHED = r"push-\d{8}-\d{6}-[0-9a-f]{8}"
LABELS = ("name", "description", "tags", "expires", "protected")


def labels(run: Run, name: str) -> dict[str, Any]:
    shown = run("show", "web01", name, "-o", "json").json
    return {key: shown[key] for key in LABELS}


def expires_in(run: Run, name: str) -> timedelta:
    return datetime.fromisoformat(labels(run, name)["expires"]) - datetime.now(UTC)


# --------------------------------------------------------------------------- edit, protect


def test_edit_all_options_are_passed_on(run: Run) -> None:
    assert run("edit", "web01", "base", "--expires", "3d").code == 0
    options = ["--name", "new", "-d", "a text", "--tag", "a", "-t", "b", "--untag", "base", "--expires", "never"]
    result = run("edit", "web01", "base", *options)
    assert (result.code, result.out) == (0, "web01: checkpoint new edited\n")
    assert labels(run, "new") == {
        "name": "new",
        "description": "a text",
        "tags": ["debian", "a", "b"],
        "expires": None,
        "protected": False,
    }


def test_edit_changes_only_what_is_given(run: Run) -> None:
    assert run("edit", "web01", "base", "--expires", "3d").code == 0
    assert run("protect", "web01", "base").code == 0
    before = labels(run, "base")
    assert run("edit", "web01", "base", "--description", "").code == 0
    assert labels(run, "base") == before | {"description": ""}
    assert before["description"] and before["expires"] and before["tags"]


@pytest.mark.parametrize("verb", [["edit", "web01", "base"], ["checkpoint", "web01", "new"]])
def test_expires_is_reckoned_from_now(run: Run, verb: list[str]) -> None:
    assert run(*verb, "--expires", "3d").code == 0
    assert abs(expires_in(run, verb[-1]) - timedelta(days=3)) < SLACK


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["edit", "web01", "base"], "no change was given"),
        (["edit", "web01", "base", "--dry-run"], "no change was given"),
        (["edit", "web01", "base", "--expires", "soon"], "--expires: 'soon' is not a length of time"),
        (["checkpoint", "web01", "--expires", "0d"], "--expires: '0d' is not a length of time"),
        (["protect", "web01"], "NAME"),
    ],
)
def test_usage_error_is_found_before_it_connects_exit_2(
    run: Run, station: Workstation, arguments: list[str], said: str
) -> None:
    result = run(*arguments)
    assert (result.code, result.out, station.settings) == (2, "", [])
    assert said in result.err


@pytest.mark.parametrize("verb", [["pop"], ["undo"], ["prune", "--keep-last", "1"]], ids=lambda verb: verb[0])
def test_unknown_domain_is_named_before_a_terminal_is_missed(run: Run, station: Workstation, verb: list[str]) -> None:
    before = station.seen()
    unknown, known = run(*verb, "nobody"), run(*verb, "web01")
    assert (unknown.code, known.code, station.seen()) == (6, 2, before)
    assert "there is no domain nobody on twin" in unknown.err
    assert "no terminal to ask on" in known.err and "-y" in known.err


def test_protect_and_unprotect_print_the_new_state(run: Run) -> None:
    assert run("protect", "web01", "base", "patched").out.splitlines() == [
        "web01: checkpoint base is protected",
        "web01: checkpoint patched is protected",
    ]
    assert labels(run, "base")["protected"] and labels(run, "patched")["protected"]
    assert run("unprotect", "web01", "base").out == "web01: checkpoint base is no longer protected\n"
    assert [labels(run, name)["protected"] for name in ("base", "patched")] == [False, True]


def test_edit_dry_run_shows_the_changes(run: Run, station: Workstation) -> None:
    before = station.seen()
    result = run("edit", "web01", "base", "--name", "new", "--tag", "a", "--tag", "b", "--dry-run")
    assert result.out.splitlines() == [
        "record for checkpoint base: its name is new",
        "record for checkpoint base: its tags are base, debian, a, b",
        f"write {station.memory('base').replace('memory.save', 'manifest.json')}",
    ]
    assert (result.code, result.err, station.seen()) == (0, DRY, before)
    document = run("edit", "web01", "base", "--name", "new", "--dry-run", "-o", "json").json
    assert (document["previous"]["name"], document["labels"]["name"]) == ("base", "new")


# --------------------------------------------------------------------------- push, pop, undo


def pushed(run: Run, *options: str) -> str:
    made = re.match(f"web01: checkpoint ({PUSHED}) created", run("push", "web01", *options).out)
    assert made
    return made[1]


def test_pop_keep_restores_what_was_pushed_last(run: Run) -> None:
    first = pushed(run, "-d", "first")
    assert labels(run, first)["description"] == "first"
    last = pushed(run)
    run("checkpoint", "web01", "other")
    popped = run("pop", "web01", "--keep", "-y")
    assert popped.timeless == f"web01: rolled back to {last} in N s (guest stopped for N s)\n"
    assert current(run) == last


@pytest.mark.parametrize("options", [("-y",), ("--dry-run",)])
def test_pop_nothing_pushed_exit_6(run: Run, options: tuple[str, ...]) -> None:
    result = run("pop", "web01", *options)
    assert (result.code, result.out) == (6, "")
    assert "web01 has no pushed checkpoint" in result.err and "run: snapctl push web01" in result.err


@pytest.mark.parametrize("options", [("-y",), ("--dry-run",)])
def test_undo_nothing_kept_exit_6(run: Run, options: tuple[str, ...]) -> None:
    result = run("undo", "web01", *options)
    assert (result.code, result.out) == (6, "")
    assert "only a rollback with --keep-current can be undone" in result.err


@pytest.fixture
def kept(run: Run) -> str:
    """What a rollback of web01 kept of the state before."""
    assert run("rollback", "web01", "patched", "--keep-current=before").code == 0
    return "before"


def test_undo_keeping_restores_and_keeps(run: Run, kept: str) -> None:
    document = run("undo", "web01", "--keep-current=mine", "-o", "json").json
    assert (document["checkpoint"], document["kept"]) == (kept, "mine")


def as_template(text: str) -> str:
    """Without the ids of operations that were only planned."""
    return re.sub(r"create directory .*\n|(?<=overlay )[^\s,]+", "", text)


def test_undo_dry_run_is_that_of_the_rollback(run: Run, station: Workstation, kept: str) -> None:
    before = station.seen()
    result = run("undo", "web01", "--dry-run")
    assert as_template(result.out) == as_template(run("rollback", "web01", kept, "--dry-run").out)
    assert f"set {kept} as the current checkpoint of web01" in result.out
    assert (result.code, result.err) == (0, DRY)
    both = run("undo", "web01", "--keep-current=mine", "--dry-run")
    assert (both.code, both.err) == (0, DRY)
    assert "record checkpoint mine" in both.out and f"set {kept} as the current checkpoint of web01" in both.out
    assert run("undo", "web01", "--dry-run", "-o", "json").json["checkpoint_name"] == kept
    assert station.seen() == before


def test_pop_dry_run_is_that_of_the_rollback(run: Run, station: Workstation) -> None:
    name = pushed(run)
    before = station.seen()
    result = run("pop", "web01", "--dry-run")
    assert as_template(result.out) == as_template(run("rollback", "web01", name, "--dry-run").out)
    assert f"set {name} as the current checkpoint of web01" in result.out
    assert result.err == DRY + "the checkpoint would then be deleted, unless --keep is given\n"
    assert run("pop", "web01", "--keep", "--dry-run").err == DRY
    assert run("pop", "web01", "--dry-run", "-o", "json").json["checkpoint_name"] == name
    assert station.seen() == before


# --------------------------------------------------------------------------- what is shown of it


@pytest.fixture
def marked(run: Run, station: Workstation) -> None:
    """`base` is protected and expires, `experiment-2` has expired and is damaged."""
    assert run("protect", "web01", "base").code == run("edit", "web01", "base", "--expires", "49h").code == 0
    assert run("edit", "web01", "experiment-2", "--expires", "1m").code == 0
    over = datetime.now(UTC) - timedelta(hours=5, minutes=1)
    station.sql(
        "UPDATE checkpoint SET expires = ? WHERE name = 'experiment-2'", over.isoformat(timespec="microseconds")
    )
    station.world.files.remove(station.memory("experiment-2"))
    assert run("verify", "web01").code == 5


@pytest.mark.usefixtures("marked")
def test_list_and_tree_mark_protection_and_expiry(run: Run) -> None:
    for verb in ("list", "tree"):
        shown = run(verb, "web01").out
        assert "protected, expires in 2 days" in shown
        assert "damaged, expired 5 hours ago" in shown


@pytest.mark.usefixtures("marked")
def test_show_prints_protection_and_expiry(run: Run) -> None:
    shown = run("show", "web01", "base").out
    assert re.search(r"^  protected +yes$", shown, re.MULTILINE)
    assert " UTC (expires in 2 days)\n" in shown
    assert "protected" not in run("show", "web01", "patched").out


@pytest.mark.usefixtures("marked")
def test_documents_have_protection_and_expiry(run: Run) -> None:
    listed = {each["name"]: each for each in run("list", "web01", "-o", "json").json}
    assert (listed["base"]["protected"], listed["patched"]["protected"]) == (True, False)
    assert listed["patched"]["expires"] is None
    assert run("show", "web01", "base", "-o", "json").json["expires"] == listed["base"]["expires"] is not None
