"""verify: what is wrong file by file, for people and for programs, and the exit code."""

from __future__ import annotations

import re

import pytest

from orchestrator.integrity.times import dates
from tests.workstation import Workstation

from .conftest import Run

SOUND = """\
web01  base          sound
web01  experiment    sound
web01  experiment-2  sound
web01  patched       sound
web01  before-test   sound
5 of 5 checkpoints sound, checked in N s
"""

DAMAGED = """\
web01  base          sound
web01  experiment    sound
web01  experiment-2  sound
web01  patched       damaged
web01  before-test   damaged
{problem}
  unusable because of it: web01/patched, web01/before-test
3 of 5 checkpoints sound, checked in N s"""


@pytest.fixture
def problem(station: Workstation) -> str:
    """What is wrong with a layer that two checkpoints need: somebody wrote to it."""
    path, files = station.layer("patched"), station.world.files
    before = files[path].stat(path)
    files.write(path, "more", 1)
    after = files[path].stat(path)
    is_now, was = dates(after.mtime, before.mtime)
    return (
        f"the layer {path} was changed: its length is {after.physical}, not {before.physical}; "
        f"its time of last change is {is_now}, not {was}"
    )


def verified(run: Run, *arguments: str) -> list[str]:
    return [each["name"] for each in run("verify", *arguments, "-o", "json").json["checkpoints"]]


def hashed(run: Run) -> bool:
    """Whether the layer of `patched` was ever read whole."""
    vda, _ = run("show", "web01", "patched", "-o", "json").json["disks"]
    return vda["layer"]["sha256"] is not None


def test_verify_sound_exit_0(run: Run) -> None:
    result = run("verify", "web01")
    assert (result.code, result.timeless, result.err) == (0, SOUND, "")
    assert run("verify", "web01", "-q").out == ""


def test_verify_damaged_names_each_file_once_exit_5(run: Run, problem: str) -> None:
    result = run("verify", "web01")
    assert (result.code, result.timeless) == (5, DAMAGED.format(problem=problem) + "\n")
    assert result.err == (
        "2 of 5 checkpoints damaged: web01/patched, web01/before-test; "
        "each is marked as damaged, and rollback refuses it; "
        "repair the files and verify again, or: snapctl delete web01 patched before-test\n"
    )
    assert run("verify", "web01", "-q").timeless.startswith(DAMAGED.format(problem=problem))


def test_verify_json_damaged_has_the_findings_exit_5(run: Run, station: Workstation, problem: str) -> None:
    result = run("verify", "web01", "patched", "-o", "json")
    assert (result.code, result.error["exit_code"]) == (5, 5)
    (patched,) = [each for each in run("list", "web01", "-o", "json").json if each["name"] == "patched"]
    finding = {
        "path": station.layer("patched"),
        "problem": problem,
        "lost": ["web01/patched", "web01/before-test"],
        "acceptable": False,
    }
    seconds = result.json["seconds"]
    assert result.json == {
        "checkpoints": [
            {"domain": "web01", "name": "patched", "id": patched["id"], "findings": [finding], "sound": False}
        ],
        "read_bytes": 0,
        "seconds": seconds,
    }
    assert seconds > 0


def test_verify_one_checkpoint_all_of_a_domain_or_all_there_are(run: Run) -> None:
    assert run("verify", "web01", "base").out.startswith("web01  base  sound\n1 of 1 checkpoint sound")
    assert run("verify", "db").code == run("verify").code == 0
    assert verified(run, "web01", "base") == ["base"]
    assert verified(run, "db") == ["empty"]
    assert len(verified(run)) == 6


def test_verify_deep_prints_how_much_it_read(run: Run) -> None:
    assert not hashed(run)
    last = run("verify", "web01", "patched", "--deep").timeless.splitlines()[-1]
    assert re.fullmatch(r"1 of 1 checkpoint sound, checked in N s, 800\.0 KiB read \(\d+\.\d MiB/s\)", last)
    assert hashed(run)


@pytest.mark.parametrize("arguments", [["web01", "nope"], ["nobody"]])
def test_verify_unknown_checkpoint_or_domain_exit_6(run: Run, arguments: list[str]) -> None:
    assert run("verify", *arguments).code == 6


def test_verify_control_characters_are_shown_escaped(run: Run, station: Workstation) -> None:
    image = station.memory("empty")
    emulator, hostile = b"/usr/bin/qemu-system-x86_64", "/usr/bin/qemu-\u202esystem-x86".encode()
    assert len(emulator) == len(hostile)
    station.forge(image, station.content(image).replace(emulator, hostile))
    out = run("verify", "db").out
    assert "\u202e" not in out
    assert r"/usr/bin/qemu-\u202esystem-x86" in out


def test_rollback_verify_reads_the_checkpoint_whole_first(run: Run) -> None:
    assert run("rollback", "web01", "patched", "-y").code == 0
    assert not hashed(run)
    assert run("rollback", "web01", "patched", "-y", "--verify").code == 0
    assert hashed(run)


def test_rollback_verify_dry_run_exit_2(run: Run) -> None:
    result = run("rollback", "web01", "patched", "--dry-run", "--verify")
    assert (result.code, result.out, hashed(run)) == (2, "", False)
    assert "--dry-run does not verify files" in result.err


def test_show_damaged_prints_what_is_wrong(run: Run, problem: str) -> None:
    run("verify")
    assert f"  state        damaged\n  damage       {problem}\n" in run("show", "web01", "patched").out
    shown = run("show", "web01", "patched", "-o", "json").json
    assert (shown["state"], shown["damage"]) == ("damaged", problem)


# --------------------------------------------------------------------------- --accept


def test_verify_accept_shows_what_differs_and_records_it(run: Run, station: Workstation) -> None:
    path = station.layer("patched")
    station.world.files.touch(path)
    shown = run("verify", "web01", "patched", "--accept", "--dry-run")
    line, relying = shown.out.splitlines()
    assert (shown.code, line.startswith(f"accept {path} for web01/patched: last changed at ")) == (0, True)
    assert relying == (
        f"web01/patched, web01/before-test rely on {path}: accept it only if it is what it was when each was made"
    )
    assert run("verify", "web01", "patched").code == 5

    assert run("verify", "web01", "--accept", "-y").code == 0
    assert run("verify", "web01").code == 0
    assert run("verify", "web01", "patched", "--accept", "--dry-run").out == "nothing differs\n"


def test_verify_accept_yes_is_not_said_for_checkpoints_not_named(run: Run, station: Workstation) -> None:
    station.world.files.touch(station.layer("patched"))
    result = run("verify", "web01", "patched", "--accept", "-y")
    assert (result.code, "the files to be accepted are also those of web01/before-test" in result.err) == (6, True)
    assert [run("verify", "web01", name).code for name in ("patched", "before-test")] == [5, 5]


def test_verify_and_rollback_name_accept_where_only_a_time_differs(run: Run, station: Workstation) -> None:
    station.world.files.touch(station.layer("patched"))
    result = run("verify", "web01", "patched")
    accept = "snapctl verify web01 patched --accept"
    assert (result.code, accept in result.err, "delete" in result.err) == (5, True, False)
    assert re.search(r"its time of last change is \d{4}-\d\d-\d\d \d\d:\d\d:\d\d[.\d]* UTC, not \d{4}-", result.out)
    refused = run("rollback", "web01", "patched", "-y")
    assert (refused.code, refused.err.endswith(f"if its files are right: {accept}\n")) == (5, True)


def test_rollback_does_not_name_accept_where_the_mark_says_more(run: Run, station: Workstation) -> None:
    image = station.memory("patched")
    station.forge(image, station.content(image)[:-1] + b"?")
    station.world.files.touch(station.layer("patched"))
    assert "its SHA-256 is" in run("verify", "web01", "patched", "--deep").out
    assert run("rollback", "web01", "patched", "-y").err.endswith("repair it, then: snapctl verify web01 patched\n")


def test_verify_names_a_way_for_what_can_be_accepted_and_for_what_cannot(run: Run, station: Workstation) -> None:
    station.world.files.touch(station.layer("patched"))
    station.world.files.remove(station.memory("empty"))
    err = run("verify").err
    assert "if the files are right: snapctl verify web01 patched --accept; " in err
    assert err.endswith("repair the files and verify again, or: snapctl delete db empty\n")


def test_verify_accept_asks(run: Run, station: Workstation) -> None:
    station.world.files.touch(station.layer("patched"))
    result = run("verify", "web01", "patched", "--accept")
    assert (result.code, "there is no terminal to ask on" in result.err) == (2, True)


@pytest.mark.parametrize("arguments", [["--accept", "-y"], ["web01", "--accept", "--deep", "-y"], ["web01", "-y"]])
def test_verify_accept_usage_exit_2(run: Run, arguments: list[str]) -> None:
    assert run("verify", *arguments).code == 2


def test_verify_accept_json_has_the_files(run: Run, station: Workstation) -> None:
    path = station.layer("patched")
    station.world.files.touch(path)
    (file,) = run("verify", "web01", "patched", "--accept", "--dry-run", "-o", "json").json["files"]
    assert (file["domain"], file["checkpoint"], file["path"]) == ("web01", "patched", path)
    assert file["relying"] == ["web01/patched", "web01/before-test"]


def test_verify_accept_other_length_exit_5(run: Run, problem: str) -> None:
    result = run("verify", "web01", "patched", "--accept", "-y")
    assert (result.code, "cannot accept the files of web01/patched" in result.err) == (5, True)
