"""checkpoint, rollback, delete, collapse, flatten, recover: what they do, and what they say."""

from __future__ import annotations

import re

import pytest

from tests.twin.world import IMAGES
from tests.workstation import Workstation

from .conftest import Run, current, names

MADE = "web01: checkpoint clean created in N s (guest stopped for N s)\n"
GENERATED = r"\d{8}-\d{6}-[0-9a-f]{8}"
STEPS = ["prepared", "saved", "repointed", "restored", "committed", "resumed", "hashed", "described"]
DRY = "this was a dry run: nothing was changed\n"


def test_checkpoint_created_is_printed_on_stdout(run: Run, station: Workstation) -> None:
    station.world.pace = 0.005  # a save and a hash take 50 ms each; the guest stands still for the first
    result = run("checkpoint", "web01", "clean")
    assert (result.code, result.timeless, result.err) == (0, MADE, "")
    took, stopped = map(float, re.findall(r"(\d\.\d\d) s", result.out))
    assert took - 0.04 > stopped >= 0.05


def test_checkpoint_all_options_are_passed_on(run: Run, station: Workstation) -> None:
    assert run("checkpoint", "web01", "clean", "-d", "a text", "-t", "one", "-t", "two", "--after", "stop").code == 0
    made = run("show", "web01", "clean", "-o", "json").json
    assert (made["name"], made["description"], made["tags"]) == ("clean", "a text", ["one", "two"])
    assert (made["current"], station.machine().active) == (True, False)


def test_checkpoint_without_a_name_prints_the_generated_one(run: Run) -> None:
    name = re.match(f"web01: checkpoint ({GENERATED}) created", run("checkpoint", "web01").out)
    assert name and name[1] == current(run)


def test_checkpoint_verbose_adds_the_time_of_each_step(run: Run, station: Workstation) -> None:
    station.world.pace = 0.005
    made, *steps = run("checkpoint", "web01", "clean", "-v").out.splitlines()
    assert made.startswith("web01: checkpoint clean created in ")
    told = [re.fullmatch(r"  ([a-z]+) +(\d\.\d{3}) s", line) for line in steps]
    seconds = {each[1]: float(each[2]) for each in told if each}
    assert sorted(seconds) == sorted(STEPS) and len(steps) == len(STEPS)
    assert len({len(line) for line in steps}) == 1
    assert {name for name, took in seconds.items() if took >= 0.05} >= {"saved", "hashed"}


def test_checkpoint_quiet_says_nothing(run: Run) -> None:
    result = run("checkpoint", "web01", "clean", "-q")
    assert (result.code, result.out, result.err) == (0, "", "")
    assert current(run) == "clean"


def test_checkpoint_json_has_the_outcome(run: Run, station: Workstation) -> None:
    station.world.pace = 0.005
    document = run("-q", "checkpoint", "web01", "clean", "-o", "json").json
    assert (document["operation"], document["domain"], document["checkpoint"]) == ("checkpoint", "web01", "clean")
    assert document["duration_s"] - 0.05 > document["downtime_s"] >= 0.05
    assert document["steps"][0].keys() == {"name", "seconds"}
    assert {each["name"]: each["seconds"] for each in document["steps"]}["saved"] >= 0.05


def test_checkpoint_unfinished_operation_is_settled_and_noted(run: Run, station: Workstation) -> None:
    station.killed("repointed.before", "rollback", "web01", "patched", "-y")
    result = run("checkpoint", "web01", "clean")
    assert result.timeless == MADE
    assert result.err == (
        "web01: rollback to patched completed: it was interrupted at step repointed; web01 is running\n"
    )


@pytest.mark.parametrize(
    "verb", [["checkpoint", "web01", "x"], ["rollback", "web01"], ["delete", "web01", "before-test"]]
)
def test_dry_run_changes_nothing(run: Run, station: Workstation, verb: list[str]) -> None:
    before = station.seen()
    result = run(*verb, "--dry-run")
    assert (result.code, station.seen()) == (0, before)
    assert "/memory.save" in result.out
    assert result.err == DRY


def test_dry_run_json_has_the_plan(run: Run) -> None:
    plan = run("checkpoint", "web01", "x", "--dry-run", "-o", "json")
    assert (plan.json["name"], plan.json["overlays"][0]["target"], plan.err) == ("x", "vda", "")
    assert plan.json["estimated_bytes"] < plan.json["needed_bytes"] < plan.json["free_bytes"]
    plans = run("delete", "web01", "before-test", "--dry-run", "-o", "json").json
    assert [each["checkpoint_name"] for each in plans] == ["before-test"]


@pytest.mark.parametrize(
    ("arguments", "target", "kept"),
    [
        (["-y"], "before-test", None),
        (["patched", "-y"], "patched", None),
        (["patched", "--keep-current"], "patched", GENERATED),
        (["patched", "--keep-current", "mine"], "patched", "mine"),
        (["patched", "--keep-current=mine"], "patched", "mine"),
        (["--keep-current", "mine"], "before-test", "mine"),
        (["--keep-current", "-v", "patched"], "patched", GENERATED),
    ],
)
def test_rollback_restores_the_target_and_keeps_what_is_asked(
    run: Run, arguments: list[str], target: str, kept: str | None
) -> None:
    document = run("rollback", "web01", *arguments, "-o", "json").json
    assert (document["checkpoint"], current(run)) == (target, target)
    assert (document["kept"] is None) if kept is None else re.fullmatch(kept, document["kept"])
    assert names(run)[5:] == [each for each in [document["kept"]] if each]


def test_rollback_target_taken_for_the_name_to_keep_exit_6(run: Run) -> None:
    result = run("rollback", "web01", "--keep-current", "patched")
    assert (result.code, current(run)) == (6, "before-test")
    assert "to roll back to it: snapctl rollback web01 patched --keep-current" in result.err


def test_rollback_keeping_prints_the_name(run: Run) -> None:
    said = "web01: rolled back to patched in N s (guest stopped for N s); the state before is checkpoint mine\n"
    assert run("rollback", "web01", "patched", "--keep-current=mine").timeless == said


@pytest.mark.parametrize(
    ("saved", "after", "becomes"),
    [
        ("running", "as-saved", "running"),
        ("running", "resume", "running"),
        ("running", "pause", "paused"),
        ("paused", "as-saved", "paused"),
        ("paused", "resume", "running"),
    ],
)
def test_rollback_after_says_what_becomes_of_the_guest(
    run: Run, station: Workstation, saved: str, after: str, becomes: str
) -> None:
    guest = station.guest()
    if saved == "paused":
        guest.suspend()
    assert run("checkpoint", "web01", "x").code == 0
    (guest.resume if saved == "paused" else guest.suspend)()  # its present state is not what counts
    assert run("rollback", "web01", "-y", "--after", after).code == 0
    assert guest.machine.state == becomes


def test_delete_prints_what_each_freed(run: Run) -> None:
    result = run("delete", "web01", "experiment-2", "experiment", "-y")
    assert result.timeless.splitlines() == [
        "web01: checkpoint experiment-2 deleted in N s, 352.0 KiB freed",
        "web01: checkpoint experiment deleted in N s, 1.6 MiB freed",
    ]
    assert names(run) == ["base", "patched", "before-test"]


def test_delete_recursive_takes_all_that_descends(run: Run) -> None:
    assert run("delete", "web01", "experiment", "-r", "-y").code == 0
    assert names(run) == ["base", "patched", "before-test"]


@pytest.mark.parametrize("verb", [["rollback", "web01"], ["delete", "web01", "before-test"]])
def test_destructive_verb_without_terminal_or_yes_exit_2(run: Run, station: Workstation, verb: list[str]) -> None:
    before = station.seen()
    result = run(*verb)
    assert (result.code, result.out, station.seen()) == (2, "", before)
    assert "no terminal to ask on" in result.err and "-y" in result.err
    assert not station.settings, "it must refuse before it connects"


# --------------------------------------------------------------------------- collapse, flatten


@pytest.fixture
def gaps(run: Run, station: Workstation) -> tuple[str, str]:
    """The layers of two deleted checkpoints: the one into which the first can be pulled, and one that is in use."""
    waits = station.layer("before-test")
    for name in ("experiment", "patched"):
        assert run("delete", "web01", name, "--no-collapse", "-y").code == 0
    return station.layer("experiment-2"), waits


def test_collapse_prints_what_was_done_and_what_is_deferred(run: Run, gaps: tuple[str, str]) -> None:
    into, waits = gaps
    result = run("collapse", "web01")
    assert result.timeless == f"web01: layers collapsed into {into} in N s\n"
    assert re.fullmatch(
        f"deferred: {waits} is in the backing chain of web01, which is running; run snapctl collapse when .*\n",
        result.err,
    )


def test_flatten_prints_what_was_done(run: Run, station: Workstation) -> None:
    (top,) = station.machine().tops().values()
    assert run("flatten", "web01").timeless == f"web01: {top} flattened in N s\n"


@pytest.mark.parametrize("options", [(), ("--dry-run",)])
def test_flatten_nothing_to_do_is_noted(run: Run, options: tuple[str, ...]) -> None:
    assert run("flatten", "web01").code == 0
    result = run("flatten", "web01", *options)
    assert (result.code, result.out) == (0, "")
    assert result.err.endswith("the disks of web01 already have no backing file\n")


def test_collapse_dry_run_shows_the_steps(run: Run, gaps: tuple[str, str]) -> None:
    into, _ = gaps
    result = run("collapse", "web01", "--dry-run")
    assert (
        result.out.splitlines()[0]
        == f"copy up to 1 MiB into {into}, and set its backing file to {IMAGES}/web01-vda.qcow2"
    )
    assert "dry run" in result.err


def test_flatten_dry_run_shows_the_steps(run: Run, station: Workstation) -> None:
    (top,) = station.machine().tops().values()
    result = run("flatten", "web01", "--dry-run")
    assert result.out.splitlines()[0] == f"copy up to 0 MiB into {top}, and remove its backing file"
    assert "dry run" in result.err


# --------------------------------------------------------------------------- recover


def test_recover_prints_what_was_settled(run: Run, station: Workstation) -> None:
    station.killed("saved.before", "checkpoint", "web01", "x")
    assert run("recover").out == "web01: checkpoint x undone: it was interrupted at step saved; web01 is running\n"
    again = run("recover")
    assert (again.code, again.out, again.err) == (0, "", "there was no interrupted operation\n")
    assert run("recover", "-o", "json").json == []


def test_recover_abandon_names_what_is_left_and_closes_it(run: Run, station: Workstation) -> None:
    station.killed("repointed.before", "checkpoint", "web01", "x")
    shown = run("recover", "web01", "--abandon", "--dry-run")
    assert shown.code == 0
    assert shown.out.startswith("close the checkpoint of web01 as it is")
    assert "virsh restore /" in shown.out
    image = next(line for line in shown.out.splitlines() if "virsh restore " in line).rsplit(" ", 1)[1]
    assert image in station.world.files.files

    closed = run("recover", "web01", "--abandon", "-y")

    assert closed.code == 0
    assert "web01: checkpoint closed as it was: it was interrupted at step" in closed.out
    assert image in station.world.files.files
    assert run("recover").err == "there was no interrupted operation\n"
    assert run("recover", "web01", "--abandon", "-y", "-o", "json").json == []


@pytest.mark.parametrize("argv", [("--abandon",), ("web01", "-y"), ("web01", "--abandon")])
def test_recover_abandon_without_domain_or_answer_is_refused(run: Run, argv: tuple[str, ...]) -> None:
    assert run("recover", *argv).code == 2
