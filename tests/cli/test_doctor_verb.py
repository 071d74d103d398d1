"""`snapctl doctor`: what it prints, and how it ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TypeAlias

import pytest

from orchestrator.formats import domainxml
from orchestrator.model import Source
from tests.crash.faults import Killed
from tests.twin import Machine
from tests.twin.files import File
from tests.workstation import STORE, Workstation

from .conftest import Run

Provocation: TypeAlias = Callable[[Workstation], object]


def a_stray_file(station: Workstation) -> None:
    """A note."""
    station.world.files.put(f"{STORE}/x", File())


def no_space(station: Workstation) -> None:
    """A warning."""
    station.world.files.free = 1 << 20


def managed_save(station: Workstation) -> None:
    """A warning."""
    station.machine().managed_save = True


def a_lost_file(station: Workstation) -> None:
    """An error, exit code 5."""
    station.world.files.remove(station.memory("empty"))


def unfinished(station: Workstation) -> None:
    """An error, exit code 7."""
    station.killed("stopped.before", "rollback", "web01", "-y")


def a_left_over_layer(station: Workstation) -> str:
    """What a rollback discarded while a linked clone used it; by now the clone is gone."""
    path = station.guest().machine.tops()["vda"]
    clone = station.world.add("clone")
    xml = domainxml.on_disks(clone.machine.persistent_xml or "", {"vda": Source(path=path, format="qcow2")})
    station.world.define(xml)
    assert station.main("-q", "rollback", "web01", "base", "-y") == 0
    del station.world.machines[clone.uuid]
    return path


def test_doctor_prints_findings_and_advice(run: Run, station: Workstation) -> None:
    a_lost_file(station)
    result = run("doctor")
    assert result.out == (
        "ok     hypervisor   connected to qemu:///system: twin, libvirt 9.0.0, QEMU 7.2.0\n"
        f"ok     catalog      sqlite:///{station.catalog}: 6 checkpoints of twin\n"
        "ok     store        /store: not accessible to other users\n"
        f"ok     owner        /store belongs to this catalog ({_made(station)})\n"
        f"ok     space        {station.world.files.free >> 20} MiB free in the store\n"
        "ok     operations   no operation is unfinished\n"
        "ok     domains      2 domains with checkpoints, all on their expected disks\n"
        f"error  files        {station.memory('empty')} is missing: db/empty cannot be restored\n"
        "                    → restore it, or: snapctl delete db empty\n"
        "ok     chains       the longest chain has 5 layers\n"
        "ok     helpers      no helper domain is left over\n"
        "ok     directories  every directory and file in the store is in the catalog\n"
    )
    assert "1 error; nothing was changed; follow the advice" in result.err


def test_doctor_store_that_is_not_mounted_is_one_error(run: Run, station: Workstation) -> None:
    station.unmount()
    result = run("doctor")
    assert result.code == 5
    (line,) = [line for line in result.out.splitlines() if line.startswith("error")]
    assert f"the store {STORE} is not there, or is empty, and the catalog has 6 checkpoints of twin" in line
    assert "delete" not in result.out


def test_doctor_json_is_an_array_of_advice(run: Run, station: Workstation) -> None:
    no_space(station)
    result = run("doctor", "-o", "json")
    connected = "connected to qemu:///system: twin, libvirt 9.0.0, QEMU 7.2.0"
    assert result.json[0] == {"level": "ok", "about": "hypervisor", "what": connected, "advice": "", "exit_code": 0}
    assert [each for each in result.json if each["level"] != "ok"] == [
        {
            "level": "warning",
            "about": "space",
            "what": "1 MiB free in the store: too little even for a rollback",
            "advice": "delete checkpoints or enlarge the store",
            "exit_code": 1,
        }
    ]
    assert (result.code, result.error["exit_code"], result.error["message"]) == (1, 1, "1 warning")


@pytest.mark.parametrize(
    ("amiss", "code", "count"),
    [
        ([], 0, ""),
        ([a_stray_file], 0, ""),
        ([a_stray_file, no_space, managed_save], 1, "2 warnings"),
        ([no_space, a_lost_file], 5, "1 error and 1 warning"),
        ([a_lost_file, unfinished, no_space], 7, "2 errors and 1 warning"),
    ],
)
def test_doctor_exit_code_is_that_of_the_worst(
    run: Run, station: Workstation, amiss: list[Provocation], code: int, count: str
) -> None:
    for provoke in amiss:
        provoke(station)
    result = run("doctor")
    assert result.code == code
    assert count in result.err
    assert bool(result.err) == bool(code)
    assert ("note  " in result.out) == (a_stray_file in amiss)


def test_doctor_without_clean_removes_nothing(run: Run, station: Workstation) -> None:
    """A collapse is killed while it copies, and the catalog put back: nobody needs its helper domain."""
    assert run("delete", "web01", "experiment", "--no-collapse", "-y").code == 0
    known = station.catalog.read_bytes()
    station.world.in_mid_job = die
    with pytest.raises(Killed):
        run("collapse", "web01")
    station.catalog.write_bytes(known)
    (helper,) = [each for each in station.world.machines.values() if each.streams]
    station.world.finish_stream(helper, *helper.streams)
    before = station.seen()
    assert run("doctor").code == 1
    assert station.seen() == before
    assert run("doctor", "--clean", "-y").code == 0
    assert before["machines"].keys() - station.world.machines.keys() == {helper.uuid}


def test_doctor_clean_dry_run_lists_and_removes_nothing(run: Run, station: Workstation) -> None:
    before = station.seen()
    result = run("doctor", "--clean", "--dry-run", "-o", "json")
    assert (result.code, result.json) == (0, {"directories": [], "layers": [], "helpers": []})
    assert station.seen() == before


def test_doctor_clean_dry_run_says_that_nothing_or_what_would_be_removed(run: Run, station: Workstation) -> None:
    assert run("doctor", "--clean", "--dry-run").out == "nothing is to be removed\n"
    path = a_left_over_layer(station)
    result = run("doctor", "--clean", "--dry-run")
    assert (result.code, result.out) == (0, f"remove {path}, which was discarded\n")


def test_doctor_clean_without_terminal_is_refused_if_there_is_something_to_remove(
    run: Run, station: Workstation
) -> None:
    assert run("doctor", "--clean").code == 0
    path = a_left_over_layer(station)
    result = run("doctor", "--clean")
    assert (result.code, result.out) == (2, "")
    assert "add -y, or --dry-run" in result.err
    assert path in station.world.files.files


@pytest.mark.parametrize("option", ["-y", "--dry-run"])
def test_doctor_option_of_clean_alone_is_a_usage_error(run: Run, option: str) -> None:
    assert run("doctor", option).code == 2


def die(machine: Machine) -> None:
    raise Killed


def test_doctor_control_characters_are_shown_escaped(run: Run, station: Workstation) -> None:
    lines = run("doctor").out.splitlines()
    station.world.files.put(f"{STORE}/\x1b[31m\n\x07", File())
    out = run("doctor").out
    assert "\x1b" not in out and "\x07" not in out
    assert r"\x1b[31m \x07" in out
    assert len(out.splitlines()) == len(lines) + 2


def _made(station: Workstation) -> str:
    owner = json.loads(station.content("/store/store.json"))
    return f"{owner['user']}@{owner['client']}, {owner['since']}"
