"""edit, protect, push, pop, undo: what they pass on, what they say, and when they ask; and what list shows of it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from msgspec import UNSET

from orchestrator.operations.edit.plan import Edits

from .conftest import Run
from .standin import StandIn

SLACK = timedelta(minutes=1)


def test_edit_passes_everything_on(run: Run, world: StandIn) -> None:
    options = ["--name", "new", "-d", "a text", "--tag", "a", "-t", "b", "--untag", "base", "--expires", "never"]
    result = run("edit", "web01", "base", *options)
    assert (result.code, result.out) == (0, "web01: checkpoint new edited\n")
    edits = Edits(name="new", description="a text", tags=("a", "b"), untags=("base",), expires=None)
    assert world.edits == [("base", edits)]


def test_what_is_not_given_stays(run: Run, world: StandIn) -> None:
    run("edit", "web01", "base", "--description", "")
    assert world.edits == [("base", Edits(description="", expires=UNSET))]


@pytest.mark.parametrize("verb", [["edit", "web01", "base"], ["checkpoint", "web01", "new"]])
def test_an_expiry_is_reckoned_from_now(run: Run, world: StandIn, verb: list[str]) -> None:
    assert run(*verb, "--expires", "3d").code == 0
    expires = world.edits[0][1].expires if world.edits else world.checkpoints[-1].expires
    assert isinstance(expires, datetime)
    assert abs(expires - datetime.now(UTC) - timedelta(days=3)) < SLACK


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["edit", "web01", "base"], "nothing is to be changed"),
        (["edit", "web01", "base", "--expires", "soon"], "--expires: 'soon' is no length of time"),
        (["checkpoint", "web01", "--expires", "0d"], "--expires: '0d' is no length of time"),
        (["protect", "web01"], "NAME"),
        (["pop", "web01"], "no terminal to ask on"),
        (["undo", "web01"], "no terminal to ask on"),
    ],
)
def test_usage(run: Run, world: StandIn, arguments: list[str], said: str) -> None:
    result = run(*arguments)
    assert (result.code, result.out, world.settings) == (2, "", [])
    assert said in result.err


def test_protect_and_unprotect(run: Run, world: StandIn) -> None:
    assert run("protect", "web01", "base", "patched").out.splitlines() == [
        "web01: checkpoint base is protected",
        "web01: checkpoint patched is protected",
    ]
    assert run("unprotect", "web01", "base").out == "web01: checkpoint base is not protected any more\n"
    assert world.edits == [
        ("base", Edits(protected=True)),
        ("patched", Edits(protected=True)),
        ("base", Edits(protected=False)),
    ]


def test_push_and_pop(run: Run, world: StandIn) -> None:
    assert run("push", "web01", "-d", "first").out.startswith("web01: checkpoint push-6 made")
    run("push", "web01")
    run("checkpoint", "web01", "other")
    assert run("pop", "web01", "--keep", "-y").out.splitlines() == [
        "web01: rolled back to push-7 in 0.84 s (guest stopped for 0.61 s)"
    ]


def test_nothing_pushed(run: Run) -> None:
    result = run("pop", "web01", "-y")
    assert (result.code, result.out) == (6, "")
    assert "nothing was pushed of web01" in result.err and "run: snapctl push web01" in result.err


def test_undo(run: Run, world: StandIn) -> None:
    assert "only a rollback with --keep-current can be undone" in run("undo", "web01", "-y").err
    world.kept = "experiment"
    document = run("undo", "web01", "--keep-current=mine", "-o", "json").json
    assert (document["checkpoint"], document["kept"]) == ("experiment", "mine")


# --------------------------------------------------------------------------- what they would do


def test_a_dry_run_of_edit(run: Run, world: StandIn) -> None:
    result = run("edit", "web01", "base", "--name", "new", "--tag", "a", "--tag", "b", "--dry-run")
    assert result.out.splitlines() == [
        "record of checkpoint base: its name is new",
        "record of checkpoint base: its tags are a, b",
        "write /store/id-base/manifest.json",
    ]
    assert (result.code, result.err, world.edits) == (0, "this was a dry run: nothing was changed\n", [])
    document = run("edit", "web01", "base", "--name", "new", "--dry-run", "-o", "json").json
    assert (document["previous"]["name"], document["labels"]["name"]) == ("base", "new")


def test_a_dry_run_of_edit_needs_something_to_be_changed(run: Run, world: StandIn) -> None:
    result = run("edit", "web01", "base", "--dry-run")
    assert (result.code, world.settings) == (2, [])
    assert "nothing is to be changed" in result.err


def test_a_dry_run_of_undo(run: Run, world: StandIn) -> None:
    assert run("undo", "web01", "--dry-run").code == 6
    world.kept = "experiment"
    before = world.list()
    result = run("undo", "web01", "--keep-current=mine", "--dry-run")
    assert result.out == run("rollback", "web01", "experiment", "--dry-run").out
    assert (result.code, result.err) == (0, "this was a dry run: nothing was changed\n")
    assert run("undo", "web01", "--dry-run", "-o", "json").json["checkpoint_name"] == "experiment"
    assert world.list() == before


def test_a_dry_run_of_pop(run: Run, world: StandIn) -> None:
    assert run("pop", "web01", "--dry-run").code == 6
    run("push", "web01")
    before = world.list()
    result = run("pop", "web01", "--dry-run")
    assert result.out == run("rollback", "web01", "push-6", "--dry-run").out
    assert result.err.splitlines() == [
        "this was a dry run: nothing was changed",
        "after that the checkpoint would be deleted; --keep leaves it",
    ]
    assert run("pop", "web01", "--keep", "--dry-run").err == "this was a dry run: nothing was changed\n"
    assert run("pop", "web01", "--dry-run", "-o", "json").json["checkpoint_name"] == "push-6"
    assert world.list() == before


# --------------------------------------------------------------------------- what is shown of it


@pytest.fixture
def marked(world: StandIn) -> StandIn:
    now = datetime.now(UTC)
    world.add("safe", "base", protected=True, expires=now + timedelta(days=2, minutes=1))
    world.add("over", "safe", expires=now - timedelta(hours=5, minutes=1), state="damaged")
    return world


def test_list_and_tree_mark_protection_and_expiry(run: Run, marked: StandIn) -> None:
    for verb in ("list", "tree"):
        shown = run(verb, "web01").out
        assert "protected, expires in 2 days" in shown
        assert "damaged, expired 5 hours ago" in shown


def test_show_tells_both(run: Run, marked: StandIn) -> None:
    shown = run("show", "web01", "safe").out
    assert re.search(r"^  protected +yes$", shown, re.MULTILINE)
    assert " UTC (expires in 2 days)\n" in shown
    assert "protected" not in run("show", "web01", "base").out


def test_both_are_fields_of_every_document(run: Run, marked: StandIn) -> None:
    listed = {each["name"]: each for each in run("list", "web01", "-o", "json").json}
    assert (listed["safe"]["protected"], listed["base"]["protected"], listed["base"]["expires"]) == (True, False, None)
    assert run("show", "web01", "safe", "-o", "json").json["expires"] == listed["safe"]["expires"]
