"""`snapctl doctor` and `snapctl catalog rebuild`: what they print, and how they end."""

from __future__ import annotations

import pytest

from orchestrator.model import Advice, Level, Skipped

from .conftest import Run
from .standin import StandIn

OK = Advice(level=Level.OK, about="hypervisor", what="connected to qemu:///system")
NOTE = Advice(level=Level.NOTE, about="store", what="not snapctl's: /store/x", advice="move it elsewhere")
WARNING = Advice(level=Level.WARNING, about="space", what="1 MiB free", advice="delete checkpoints", exit_code=1)
LOST = Advice(level=Level.ERROR, about="files", what="/a is missing", advice="put it back", exit_code=5)
OPEN = Advice(level=Level.ERROR, about="operations", what="a rollback", advice="snapctl recover web01", exit_code=7)


def test_what_was_seen_and_what_to_do(run: Run, world: StandIn) -> None:
    world.advice = [OK, LOST]
    result = run("doctor")
    assert result.out == (
        "ok     hypervisor  connected to qemu:///system\n"
        "error  files       /a is missing\n"
        "                   → put it back\n"
    )  # fmt: skip
    assert "1 error; nothing was changed; follow the advice" in result.err


def test_as_json(run: Run, world: StandIn) -> None:
    world.advice = [OK, WARNING]
    result = run("doctor", "-o", "json")
    assert result.json == [
        {"level": "ok", "about": "hypervisor", "what": OK.what, "advice": "", "exit_code": 0},
        {"level": "warning", "about": "space", "what": WARNING.what, "advice": WARNING.advice, "exit_code": 1},
    ]
    assert (result.code, result.error["exit_code"], result.error["message"]) == (1, 1, "1 warning")


@pytest.mark.parametrize(
    ("advice", "code", "count"),
    [
        ([OK], 0, ""),
        ([OK, NOTE], 0, ""),
        ([NOTE, WARNING, WARNING], 1, "2 warnings"),
        ([WARNING, LOST], 5, "1 error and 1 warning"),
        ([LOST, OPEN, WARNING], 7, "2 errors and 1 warning"),
    ],
)
def test_the_worst_of_it_is_the_exit_code(
    run: Run, world: StandIn, advice: list[Advice], code: int, count: str
) -> None:
    world.advice = advice
    result = run("doctor")
    assert result.code == code
    assert count in result.err
    assert bool(result.err) == bool(code)


def test_nothing_is_cleaned_unasked(run: Run, world: StandIn) -> None:
    world.advice = [OK]
    run("doctor")
    run("doctor", "--clean")
    assert world.cleaned == [False, True]


def test_what_a_file_name_might_do_to_a_terminal_is_shown_escaped(run: Run, world: StandIn) -> None:
    world.advice = [Advice(level=Level.NOTE, about="store", what="/store/\x1b[31m\n", advice="rm \x07")]
    out = run("doctor").out
    assert "\x1b" not in out and "\x07" not in out
    assert len(out.splitlines()) == 2


# --------------------------------------------------------------------------- catalog rebuild


def test_rebuild_says_what_there_is_again(run: Run, world: StandIn) -> None:
    result = run("catalog", "rebuild")
    assert (result.code, result.out) == (0, "catalog rebuilt: 6 checkpoints of db, web01\n")
    assert result.err == "whether their files are whole, tells: snapctl verify\n"


def test_rebuild_says_what_is_left_out(run: Run, world: StandIn) -> None:
    world.skipped = (
        Skipped(directory="/store/1", checkpoint="clean", reason="its memory image is missing"),
        Skipped(directory="/store/2", checkpoint=None, reason="its manifest is missing"),
    )
    world.checkpoints = [each for each in world.checkpoints if each.domain == "db"]
    result = run("catalog", "rebuild")
    assert result.out == "catalog rebuilt: 1 checkpoint of db\n"
    assert result.err.splitlines()[:3] == [
        "left out: /store/1 (clean): its memory image is missing",
        "left out: /store/2: its manifest is missing",
        "web01 stands on none of its checkpoints: roll it back to one",
    ]


def test_an_empty_store(run: Run, world: StandIn) -> None:
    world.checkpoints, world.domains = [], ()
    result = run("catalog", "rebuild")
    assert (result.out, result.err) == ("the store has no checkpoint\n", "")
    assert run("catalog", "rebuild", "-o", "json").json == {"checkpoints": [], "headless": [], "skipped": []}
