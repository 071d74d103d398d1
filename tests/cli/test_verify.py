"""verify: what is wrong file by file, for people and for programs, and the exit code."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.model import Finding

from .conftest import Run
from .standin import StandIn

LAYER = Finding(
    path="/store/old/vda.qcow2",
    problem="the layer /store/old/vda.qcow2 was changed: its length is 6, not 5",
    lost=("web01/patched", "web01/before-test"),
)
MEMORY = Finding(
    path="/store/x/memory.save", problem="the memory image /store/x/memory.save is missing", lost=("db/empty",)
)

SOUND = """\
web01  base          sound
web01  experiment    sound
web01  experiment-2  sound
web01  patched       sound
web01  before-test   sound
5 of 5 checkpoints sound, looked at in 4.00 s
"""

DAMAGED = """\
web01  base          sound
web01  experiment    sound
web01  experiment-2  sound
web01  patched       damaged
web01  before-test   damaged
the layer /store/old/vda.qcow2 was changed: its length is 6, not 5
  lost by it: web01/patched, web01/before-test
3 of 5 checkpoints sound, looked at in 4.00 s
"""


@pytest.fixture
def damage(world: StandIn) -> None:
    world.findings = {"patched": (LAYER,), "before-test": (LAYER,)}


def test_sound_checkpoints(run: Run) -> None:
    result = run("verify", "web01")

    assert (result.code, result.out, result.err) == (0, SOUND, "")
    assert run("verify", "web01", "-q").out == ""


@pytest.mark.usefixtures("damage")
def test_damage_is_named_once_a_file_and_ends_with_five(run: Run) -> None:
    result = run("verify", "web01")

    assert (result.code, result.out) == (5, DAMAGED)
    assert result.err == (
        "2 of 5 checkpoints damaged: web01/patched, web01/before-test; "
        "marked, and refused by rollback; mend the files and verify again, or: snapctl delete\n"
    )
    assert run("verify", "web01", "-q").out == DAMAGED


@pytest.mark.usefixtures("damage")
def test_damage_for_programs(run: Run) -> None:
    result = run("verify", "web01", "patched", "-o", "json")

    assert (result.code, result.error["exit_code"]) == (5, 5)
    finding = {"path": LAYER.path, "problem": LAYER.problem, "lost": list(LAYER.lost)}
    assert result.json == {
        "checkpoints": [
            {"domain": "web01", "name": "patched", "id": "id-patched", "findings": [finding], "sound": False}
        ],
        "read_bytes": 0,
        "seconds": 4.0,
    }


def test_one_checkpoint_all_of_a_domain_or_all_there_are(run: Run, world: StandIn) -> None:
    assert run("verify", "web01", "base").out.startswith("web01  base  sound\n1 of 1 checkpoint sound")
    assert run("verify", "db").code == run("verify").code == 0
    assert [name for name, _ in world.verified[:2]] == ["base", "empty"]
    assert len(world.verified) == 8


def test_a_deep_one_says_how_much_it_read(run: Run, world: StandIn) -> None:
    last = run("verify", "db", "--deep").out.splitlines()[-1]

    assert last == "1 of 1 checkpoint sound, looked at in 4.00 s, 2.0 GiB read (512.0 MiB/s)"
    assert world.verified == [("empty", True)]


def test_what_does_not_exist(run: Run) -> None:
    assert run("verify", "web01", "nope").code == 6
    assert run("verify", "nobody").code == 6


def test_a_hostile_value_is_shown_escaped(run: Run, world: StandIn) -> None:
    world.findings = {"empty": (replace(MEMORY, problem="its emulator is \x1b[2J"),)}

    assert "its emulator is \\x1b[2J" in run("verify", "db").out


def test_rollback_verifies_first_if_asked(run: Run, world: StandIn) -> None:
    assert run("rollback", "web01", "base", "-y").code == 0
    assert world.verified == []
    assert run("rollback", "web01", "base", "-y", "--verify").code == 0
    assert world.verified == [("base", True)]


def test_a_dry_run_does_not_read_whole_files(run: Run, world: StandIn) -> None:
    result = run("rollback", "web01", "base", "--dry-run", "--verify")

    assert (result.code, result.out, world.verified) == (2, "", [])
    assert "--dry-run does not read whole files" in result.err


def test_show_tells_what_is_wrong(run: Run, world: StandIn) -> None:
    world.damage = "the layer /x is missing"

    assert "  state        damaged\n  damage       the layer /x is missing\n" in run("show", "web01", "patched").out
    shown = run("show", "web01", "patched", "-o", "json").json
    assert (shown["state"], shown["damage"]) == ("damaged", "the layer /x is missing")
