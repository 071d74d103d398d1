"""A kill anywhere, and in recovery anywhere: what it left is settled, and what was being undone stays so."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from orchestrator.errors import Busy, OperationUndone
from orchestrator.model import Direction, OperationState
from tests.unit.builders import DOMAIN
from tests.unit.journal_bench import FROM_PIVOT, PIVOT, POINTS, STEPS, UNDO_POINTS, Bench, Killed, rpc_error

# --------------------------------------------------------------------------- kills and recovery


@pytest.mark.parametrize("event", [*POINTS, *(f"{step}.{moment}" for step in STEPS for moment in ("do", "done"))])
def test_a_kill_leaves_everything_as_it_is_and_recovery_settles_it(bench: Bench, event: str) -> None:
    bench.kill(event)

    assert bench.world.events[-1] == event
    assert bench.is_open
    decided = PIVOT in bench.world.effects
    done_before = [step for step in STEPS if bench.world.count(f"{step}.done")]

    assert bench.recover() is (OperationState.DONE if decided else OperationState.UNDONE)
    bench.assert_whole()
    if decided:
        assert all(bench.world.count(f"{step}.do") == 1 for step in done_before)


RECOVERY_POINTS = [*UNDO_POINTS, *(f"{step}.{moment}" for step in FROM_PIVOT for moment in ("observe", "do", "done"))]


@pytest.mark.parametrize("killed_at", [f"{step}.done" for step in STEPS])
@pytest.mark.parametrize("again_at", RECOVERY_POINTS)
def test_recovery_may_be_killed_anywhere_and_tried_again(bench: Bench, killed_at: str, again_at: str) -> None:
    bench.kill(killed_at)
    decided = PIVOT in bench.world.effects
    bench.fail(again_at, Killed())
    try:
        state = bench.recover()
    except Killed:
        state = bench.recover()

    assert state is (OperationState.DONE if decided else OperationState.UNDONE)
    bench.assert_whole()


@pytest.mark.parametrize("recorded", range(len(STEPS) + 1))
def test_recovery_goes_on_from_each_recorded_state(bench: Bench, recorded: int) -> None:
    """The journal has the first steps, the world their effects, and nobody is at it."""
    _record(bench, STEPS[:recorded])

    state = bench.recover()

    assert state is (OperationState.DONE if PIVOT in STEPS[:recorded] else OperationState.UNDONE)
    bench.assert_whole()
    assert not [step for step in STEPS[:recorded] if bench.world.count(f"{step}.do")]


def test_a_recovery_that_goes_forward_needs_no_earlier_run_s_memory(bench: Bench) -> None:
    _record(bench, ("made", "turned"))
    bench.recover()

    assert bench.member.results == {"made": "recorded", "turned": "recorded", "kept": "seen", "told": "seen"}


def _record(bench: Bench, steps: Sequence[str]) -> None:
    for step in steps:
        bench.world.effects.append(step)
        bench.lease.complete(DOMAIN, step, {step: "recorded"})
    bench.lease.release()


# --------------------------------------------------------------------------- what is being undone stays so


def test_that_it_is_undone_is_recorded_before_the_first_undo(bench: Bench) -> None:
    seen = bench.watch()
    bench.fail("turned.do", rpc_error())

    with pytest.raises(OperationUndone):
        bench.carry_out()

    assert seen["turned.do"].member(DOMAIN).step == "turned"
    assert seen["turned.do"].decision is None
    undoing = [event for event in seen if ".undo" in event]
    assert undoing[0] == "turned.undo.before"
    assert {seen[event].decision for event in undoing} == {Direction.UNDO}


@pytest.mark.parametrize("killed_at", UNDO_POINTS)
def test_what_was_being_undone_is_undone_though_the_world_now_looks_decided(bench: Bench, killed_at: str) -> None:
    """Its owner did what makes the world look as if we had turned: shut the guest down, say."""
    bench.fail("turned.do", rpc_error())
    bench.kill(killed_at)
    bench.world.effects.append(PIVOT)
    done_before = bench.world.count("kept.do")

    assert bench.recover() is OperationState.UNDONE

    bench.assert_undone()
    assert bench.world.count("kept.do") == done_before == 0
    assert "retreat" not in bench.world.events


@pytest.mark.parametrize("killed_at", ["retreat.before", "retreat", "retreat.after"])
def test_a_kill_around_the_retreat_is_recovered_from(bench: Bench, killed_at: str) -> None:
    bench.world.retreats = True
    bench.fail("kept.do", *[rpc_error()] * 9)
    bench.kill(killed_at)

    assert bench.recover() is OperationState.UNDONE

    bench.assert_undone()


def test_an_undo_that_was_killed_is_begun_anew(bench: Bench) -> None:
    bench.fail("turned.do", rpc_error())
    bench.kill("made.undo.after")
    undone_before = bench.world.count("turned.undo")

    bench.recover()

    assert (undone_before, bench.world.count("turned.undo")) == (1, 2)


def test_what_is_settled_is_not_recovered_again(bench: Bench) -> None:
    bench.carry_out()

    assert bench.catalog.unsettled(DOMAIN) == []
    with pytest.raises(Busy):
        bench.catalog.take_over(bench.lease.record)
