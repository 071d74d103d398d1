"""checkpoint, rollback, delete, recover: what they pass on, and what they say."""

from __future__ import annotations

import pytest

from orchestrator.model import After, OperationKind, OperationState, Recovered

from .conftest import Run
from .standin import StandIn

MADE = "web01: checkpoint clean made in 0.84 s (guest stopped for 0.61 s)\n"


def current(world: StandIn) -> str:
    return next(each.name for each in world.list("web01") if each.current)


def test_checkpoint_says_what_it_did_on_stdout(run: Run) -> None:
    result = run("checkpoint", "web01", "clean")
    assert (result.code, result.out, result.err) == (0, MADE, "")


def test_checkpoint_passes_everything_on(run: Run, world: StandIn) -> None:
    assert run("checkpoint", "web01", "clean", "-d", "a text", "-t", "one", "-t", "two", "--after", "stop").code == 0
    made = world.checkpoints[-1]
    assert (made.name, made.description, made.tags, made.current) == ("clean", "a text", ("one", "two"), True)
    assert world.afters == [After.STOP]


def test_checkpoint_without_a_name_prints_the_one_it_got(run: Run) -> None:
    assert run("checkpoint", "web01").out.startswith("web01: checkpoint generated-7 made")


def test_verbose_adds_the_time_of_each_step(run: Run) -> None:
    assert run("checkpoint", "web01", "clean", "-v").out == MADE + "  prepared  0.050 s\n  saved     0.350 s\n"


def test_quiet_leaves_only_the_effect(run: Run, world: StandIn) -> None:
    result = run("checkpoint", "web01", "clean", "-q")
    assert (result.code, result.out, result.err) == (0, "", "")
    assert current(world) == "clean"


def test_an_outcome_as_json(run: Run) -> None:
    document = run("-q", "checkpoint", "web01", "clean", "-o", "json").json
    assert (document["operation"], document["domain"], document["checkpoint"]) == ("checkpoint", "web01", "clean")
    assert (document["duration_s"], document["downtime_s"]) == (0.84, 0.61)
    assert document["steps"][0] == {"name": "prepared", "seconds": 0.05}


def test_what_had_to_be_settled_first_is_a_note(run: Run, world: StandIn) -> None:
    left = Recovered(
        operation=OperationKind.ROLLBACK, domain="web01", id="x", state=OperationState.DONE, detail="it had stopped"
    )
    world.left.append(left)
    result = run("checkpoint", "web01", "clean")
    assert result.out == MADE
    assert result.err == "web01: unfinished rollback done: it had stopped\n"


@pytest.mark.parametrize("verb", [["checkpoint", "web01", "x"], ["rollback", "web01"], ["delete", "web01", "patched"]])
def test_a_dry_run_changes_nothing(run: Run, world: StandIn, verb: list[str]) -> None:
    if verb[0] == "delete":
        verb = ["delete", "web01", "before-test"]
    before = world.list()
    result = run(*verb, "--dry-run")
    assert (result.code, world.list()) == (0, before)
    assert "/memory.save" in result.out
    assert result.err == "this was a dry run: nothing was changed\n"


def test_a_plan_as_json(run: Run) -> None:
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
        (["patched", "--keep-current"], "patched", "generated-7"),
        (["patched", "--keep-current", "mine"], "patched", "mine"),
        (["patched", "--keep-current=mine"], "patched", "mine"),
        (["--keep-current", "mine"], "before-test", "mine"),
        (["--keep-current", "-v", "patched"], "patched", "generated-7"),
    ],
)
def test_rollback_and_what_it_keeps(
    run: Run, world: StandIn, arguments: list[str], target: str, kept: str | None
) -> None:
    document = run("rollback", "web01", *arguments, "-o", "json").json
    assert (document["checkpoint"], document["kept"], current(world)) == (target, kept, target)


def test_a_target_mistaken_for_the_kept_one_s_name_is_refused(run: Run, world: StandIn) -> None:
    result = run("rollback", "web01", "--keep-current", "patched")
    assert (result.code, current(world)) == (6, "before-test")
    assert "already has a checkpoint patched" in result.err


def test_rollback_says_what_it_kept(run: Run) -> None:
    said = "web01: rolled back to patched in 0.84 s (guest stopped for 0.61 s); the state before is kept as mine\n"
    assert run("rollback", "web01", "patched", "--keep-current=mine").out == said


@pytest.mark.parametrize("after", ["as-saved", "resume", "pause"])
def test_after_a_rollback(run: Run, world: StandIn, after: str) -> None:
    run("rollback", "web01", "-y", "--after", after)
    assert world.afters == [After(after)]


def test_delete(run: Run, world: StandIn) -> None:
    result = run("delete", "web01", "experiment-2", "experiment", "-y")
    assert result.out.splitlines() == [
        "web01: checkpoint experiment-2 deleted in 0.84 s, 95.0 MiB freed",
        "web01: checkpoint experiment deleted in 0.84 s, 95.0 MiB freed",
    ]
    assert [each.name for each in world.list("web01")] == ["base", "patched", "before-test"]


def test_delete_with_all_that_descends(run: Run, world: StandIn) -> None:
    assert run("delete", "web01", "experiment", "-r", "-y").code == 0
    assert world.recursive


def test_collapse_tells_what_was_done_and_what_waits(run: Run) -> None:
    result = run("collapse", "web01")
    assert result.out == "web01: layers pulled into /store/op/vda.qcow2 in 0.84 s\n"
    assert result.err == "waits: /store/op2/vda.qcow2 is in use; later\n"


def test_flatten(run: Run) -> None:
    assert run("flatten", "web01").out == "web01: /store/op/vda.qcow2 made to stand on nothing in 0.84 s\n"


@pytest.mark.parametrize("options", [(), ("--dry-run",)])
def test_a_flatten_with_nothing_to_do_says_so(
    run: Run, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    for method in ("flatten", "plan_flatten"):
        monkeypatch.setattr(StandIn, method, lambda *_: [])
    result = run("flatten", "web01", *options)
    assert (result.code, result.out) == (0, "")
    assert result.err.endswith("the disks of web01 stand on nothing already\n")


@pytest.mark.parametrize("verb", ["collapse", "flatten"])
def test_a_dry_run_of_either_shows_the_steps(run: Run, verb: str) -> None:
    result = run(verb, "web01", "--dry-run")
    assert result.out.splitlines()[0] == "pull up to 4 MiB into /store/op/vda.qcow2, and let it stand on nothing"
    assert "dry run" in result.err


@pytest.mark.parametrize("verb", [["rollback", "web01"], ["delete", "web01", "before-test"]])
def test_nothing_is_lost_without_a_yes(run: Run, world: StandIn, verb: list[str]) -> None:
    before = world.list()
    result = run(*verb)
    assert (result.code, result.out, world.list()) == (2, "", before)
    assert "no terminal to ask on" in result.err and "-y" in result.err
    assert not world.settings, "it must refuse before it connects"


def test_recover(run: Run, world: StandIn) -> None:
    left = Recovered(
        operation=OperationKind.CHECKPOINT, domain="web01", id="x", state=OperationState.UNDONE, detail="as asked"
    )
    world.left.append(left)
    assert run("recover").out == "web01: unfinished checkpoint undone: as asked\n"
    again = run("recover")
    assert (again.code, again.out, again.err) == (0, "", "nothing was left unfinished\n")
    assert run("recover", "-o", "json").json == []
