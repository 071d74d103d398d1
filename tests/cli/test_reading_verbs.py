"""list, tree and show: golden output for people, documents for programs."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import pytest

from tests.twin import World
from tests.workstation import Workstation

from .conftest import Run
from .sample import leave_unfinished, mark_states

LIST = """\
   NAME          PARENT      CREATED      MEMORY      DISKS      FREES  STATE     TAGS         DESCRIPTION
   base                      3 d ago    96.0 KiB        0 B   96.0 KiB            base,debian  fresh install
   experiment    base        5 h ago    96.0 KiB    1.5 MiB   96.0 KiB
   experiment-2  experiment  4 h ago    96.0 KiB  256.0 KiB  352.0 KiB  deleting
   patched       base        2 h ago    96.0 KiB  256.0 KiB   96.0 KiB                         all updates of May
*  before-test   patched     3 min ago  96.0 KiB  256.0 KiB   96.0 KiB  unhashed
"""

TREE = """\
web01
○ base                              96.0 KiB  +       0 B  3 d ago    [base, debian]  fresh install
├─○ experiment                      96.0 KiB  +   1.5 MiB  5 h ago
│ ○ experiment-2 (deleting)         96.0 KiB  + 256.0 KiB  4 h ago
○ patched                           96.0 KiB  + 256.0 KiB  2 h ago                    all updates of May
● before-test (unhashed) (current)  96.0 KiB  + 256.0 KiB  3 min ago
"""

SHOW = """\
web01 patched
  id           {id}
  state        ready
  created      {created:%Y-%m-%d %H:%M:%S} UTC (2 h ago)
  parent       base
  children     before-test
  description  all updates of May
  guest was    running
  memory       96.0 KiB, {memory}
  sha256       {sha256}
  disk vda     qcow2, 256.0 KiB of 1.0 MiB, {layer}
  disk sda     cdrom, read-only, not frozen: empty
  space        deleting only this checkpoint frees 96.0 KiB; 256.0 KiB shared with others
  machine      pc-i440fx-7.2
  host         twin, {host}
  created by   libvirt 9.0.0, QEMU 7.2.0
"""


def test_list_one_domain(run: Run, station: Workstation) -> None:
    mark_states(station)
    result = run("list", "web01")
    assert (result.code, result.out, result.err) == (0, LIST, "")


def test_list_all_domains_names_them(run: Run) -> None:
    lines = run("list").out.splitlines()
    assert lines[0].split()[:2] == ["DOMAIN", "NAME"]
    assert [line.split()[:3] for line in lines if line.startswith("*")] == [
        ["*", "web01", "before-test"],
        ["*", "db", "empty"],
    ]


def test_list_empty_notes_so_in_table_output_only(run: Run, station: Workstation) -> None:
    station.catalog.unlink()
    result = run("list")
    assert (result.code, result.out) == (0, "")
    assert "no checkpoints yet" in result.err
    assert run("list", "-q").err == ""
    assert run("list", "-o", "json").json == []


def test_list_json_is_an_array_with_what_was_promised(run: Run) -> None:
    result = run("list", "web01", "-o", "json")
    first = result.json[0]
    promised = (
        "domain name id parent created mode tags description current memory_bytes disk_bytes exclusive_bytes state"
    )
    assert set(promised.split()) <= set(first)
    assert first["tags"] == ["base", "debian"]
    assert first["created"].endswith("Z")
    assert datetime.fromisoformat(first["created"]).tzinfo == UTC
    assert [each["name"] for each in result.json if each["current"]] == ["before-test"]
    assert result.err == ""


def test_tree_one_domain(run: Run, station: Workstation) -> None:
    mark_states(station)
    assert run("tree", "web01").out == TREE


def test_tree_json_has_the_order_and_depth_of_the_drawing(run: Run, station: Workstation) -> None:
    leave_unfinished(station)
    document = run("tree", "-o", "json").json
    assert [each["domain"] for each in document] == ["web01", "db"]
    assert [(each["name"], each["depth"]) for each in document[0]["checkpoints"]] == [
        ("base", 0),
        ("experiment", 1),
        ("experiment-2", 2),
        ("patched", 1),
        ("before-test", 2),
    ]
    assert document[0]["unfinished"][0]["step"] == "stopped"
    assert document[1]["unfinished"] == []


@pytest.mark.parametrize("verb", [["list"], ["tree"], ["show", "web01", "base"]])
def test_reading_verb_unfinished_operation_is_noted_with_next_step(
    run: Run, station: Workstation, verb: list[str]
) -> None:
    leave_unfinished(station)
    result = run(*verb)
    assert result.err == (
        "web01: unfinished rollback (at step stopped, begun 2 min ago by ann@desk, pid 4711); "
        "web01 is running; to finish or undo it: snapctl recover web01\n"
    )
    assert "pid" not in result.out
    assert result.out.startswith("web01 (unfinished rollback: stopped)\n") == (verb == ["tree"])


def test_list_unfinished_operation_that_was_taken_over_says_by_whom(run: Run, station: Workstation) -> None:
    leave_unfinished(station)
    station.sql("UPDATE operation SET token = 2 WHERE state = 'open'")
    assert "(at step stopped, begun 2 min ago, last taken over by ann@desk, pid 4711)" in run("list").err


def test_list_unfinished_checkpoint_of_a_guest_that_is_off_warns_of_its_start(run: Run, station: Workstation) -> None:
    station.killed("repointed.before", "checkpoint", "web01", "x")
    said = run("list").err
    assert "web01 is shut off; do not start web01: its memory is in the image that was saved; to finish" in said
    assert "web01 is shut off" in run("doctor").out


def test_list_operation_of_a_living_process_is_in_progress(run: Run, station: Workstation) -> None:
    station.killed("stopped.before", "rollback", "web01", "patched", "-y")
    station.sql("UPDATE operation SET owner_host = 'elsewhere', lease_until = '2999-01-01T00:00:00.000000+00:00'")
    said = run("list").err
    assert said.startswith("web01: in progress: rollback (at step stopped, begun just now by ")
    assert "snapctl recover" not in said


def test_tree_domain_with_only_an_unfinished_operation_is_drawn(run: Run, station: Workstation) -> None:
    station.world = World()
    station.catalog.unlink()
    station.world.add("db").start()
    station.killed("saved.before", "checkpoint", "db", "x")
    assert run("tree").out == "db (unfinished checkpoint: saved)\n"


def test_show_all_there_is(run: Run, station: Workstation) -> None:
    shown = run("show", "web01", "patched", "-o", "json").json
    assert run("show", "web01", "patched").out == SHOW.format(
        id=shown["id"],
        created=datetime.fromisoformat(shown["created"]),
        memory=station.memory("patched"),
        layer=station.layer("patched"),
        sha256=shown["memory"]["sha256"],
        host=station.world.host.uuid,
    )


def test_show_json_is_the_object_of_list_and_more(run: Run, station: Workstation) -> None:
    listed = next(each for each in run("list", "-o", "json").json if each["name"] == "patched")
    shown = run("show", "web01", "patched", "-o", "json").json
    assert {key: shown[key] for key in listed} == listed
    assert shown["memory"]["path"] == station.memory("patched")
    assert shown["memory"]["sha256"] == hashlib.sha256(station.content(station.memory("patched"))).hexdigest()
    assert [(disk["target"], disk["format"], bool(disk["layer"])) for disk in shown["disks"]] == [
        ("vda", "qcow2", True),
        ("sda", None, False),
    ]
    assert shown["host"]["name"] == "twin"


@pytest.mark.parametrize("verb", [["list"], ["tree"], ["show", "web01", "base"]])
def test_reading_verb_control_characters_are_shown_escaped(run: Run, station: Workstation, verb: list[str]) -> None:
    odd = "red \x1b[31m and \u202e back\nsecond line"
    station.sql("UPDATE checkpoint SET description = ? WHERE name = 'base'", odd)
    out = run(*verb).out
    assert "\x1b" not in out and "\u202e" not in out
    assert r"red \x1b[31m and \u202e back second line" in out
