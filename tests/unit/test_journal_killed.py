"""A kill anywhere, and in recovery anywhere: what it left is settled, and what was being undone stays so."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from orchestrator.errors import Busy, OperationUndone
from orchestrator.model import Direction, OperationState
from tests.crash.faults import Killed, Kind
from tests.unit.builders import DOMAIN
from tests.unit.journal_harness import FROM_PIVOT, PIVOT, POINTS, STEPS, UNDO_POINTS, JournalHarness

# --------------------------------------------------------------------------- kills and recovery


@pytest.mark.parametrize("event", [*POINTS, *(f"{step}.{moment}" for step in STEPS for moment in ("do", "done"))])
def test_recover_killed_at_any_event_is_settled(harness: JournalHarness, event: str) -> None:
    harness.kill(event)

    assert harness.outside.events[-1] == event
    assert harness.is_open
    decided = PIVOT in harness.outside.effects
    done_before = [step for step in STEPS if harness.outside.count(f"{step}.done")]

    assert harness.recover() is (OperationState.DONE if decided else OperationState.UNDONE)
    harness.assert_whole()
    if decided:
        assert all(harness.outside.count(f"{step}.do") == 1 for step in done_before)


RECOVERY_POINTS = [*UNDO_POINTS, *(f"{step}.{moment}" for step in FROM_PIVOT for moment in ("observe", "do", "done"))]


@pytest.mark.parametrize("killed_at", [f"{step}.done" for step in STEPS])
@pytest.mark.parametrize("again_at", RECOVERY_POINTS)
def test_recover_killed_in_recovery_is_settled(harness: JournalHarness, killed_at: str, again_at: str) -> None:
    harness.kill(killed_at)
    decided = PIVOT in harness.outside.effects
    harness.fail(again_at, Kind.KILLED)
    try:
        state = harness.recover()
    except Killed:
        state = harness.recover()

    assert state is (OperationState.DONE if decided else OperationState.UNDONE)
    harness.assert_whole()


@pytest.mark.parametrize("recorded", range(len(STEPS) + 1))
def test_recover_from_each_recorded_step_is_settled(harness: JournalHarness, recorded: int) -> None:
    """The journal has the first steps, the world their effects, and nobody is at it."""
    _record(harness, STEPS[:recorded])

    state = harness.recover()

    assert state is (OperationState.DONE if PIVOT in STEPS[:recorded] else OperationState.UNDONE)
    harness.assert_whole()
    assert not [step for step in STEPS[:recorded] if harness.outside.count(f"{step}.do")]


def test_recover_forward_needs_only_recorded_facts(harness: JournalHarness) -> None:
    _record(harness, ("made", "turned"))
    harness.recover()

    assert harness.member.results == {"made": "recorded", "turned": "recorded", "kept": "seen", "told": "seen"}


def _record(harness: JournalHarness, steps: Sequence[str]) -> None:
    for step in steps:
        harness.outside.effects.append(step)
        harness.lease.complete(DOMAIN, step, {step: "recorded"})
    harness.lease.release()


# --------------------------------------------------------------------------- what is being undone stays so


def test_undo_is_recorded_before_the_first_undo(harness: JournalHarness) -> None:
    seen = harness.watch()
    harness.fail("turned.do", Kind.ERROR_BEFORE)

    with pytest.raises(OperationUndone):
        harness.execute()

    assert seen["turned.do"].member(DOMAIN).step == "turned"
    assert seen["turned.do"].decision is None
    undoing = [event for event in seen if ".undo" in event]
    assert undoing[0] == "turned.undo.before"
    assert {seen[event].decision for event in undoing} == {Direction.UNDO}


@pytest.mark.parametrize("killed_at", UNDO_POINTS)
def test_recover_killed_in_undo_pivot_appears_done_is_undone(harness: JournalHarness, killed_at: str) -> None:
    """Its owner did what makes the world look as if we had turned: shut the guest down, say."""
    harness.fail("turned.do", Kind.ERROR_BEFORE)
    harness.kill(killed_at)
    harness.outside.effects.append(PIVOT)
    done_before = harness.outside.count("kept.do")

    assert harness.recover() is OperationState.UNDONE

    harness.assert_undone()
    assert harness.outside.count("kept.do") == done_before == 0
    assert "fall_back" not in harness.outside.events


@pytest.mark.parametrize("killed_at", ["fall_back.before", "fall_back", "fall_back.after"])
def test_recover_killed_around_retreat_is_undone(harness: JournalHarness, killed_at: str) -> None:
    harness.outside.retreats = True
    harness.fail("kept.do", *[Kind.ERROR_BEFORE] * 9)
    harness.kill(killed_at)

    assert harness.recover() is OperationState.UNDONE

    harness.assert_undone()


def test_recover_killed_in_undo_undoes_again(harness: JournalHarness) -> None:
    harness.fail("turned.do", Kind.ERROR_BEFORE)
    harness.kill("made.undo.after")
    undone_before = harness.outside.count("turned.undo")

    harness.recover()

    assert (undone_before, harness.outside.count("turned.undo")) == (1, 2)


def test_recover_settled_operation_is_not_repeated(harness: JournalHarness) -> None:
    harness.execute()

    assert harness.catalog.unsettled(DOMAIN) == []
    with pytest.raises(Busy):
        harness.catalog.take_over(harness.lease.record)
