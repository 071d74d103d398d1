"""An operation that cannot go on retreats, says that it is unfinished, and says why; defects are no exception."""

from __future__ import annotations

import pytest

from orchestrator.engine.story import problem_of, undone_error
from orchestrator.errors import (
    HypervisorError,
    IntegrityError,
    NotFound,
    OperationUndone,
    Refused,
    SnapctlError,
    Unfinished,
)
from orchestrator.model import OperationState
from tests.crash.faults import Kind
from tests.unit.journal_harness import BEFORE_PIVOT, FROM_PIVOT, PIVOT, JournalHarness

# --------------------------------------------------------------------------- retreat, unfinished


def test_settle_forward_fails_retreats(harness: JournalHarness) -> None:
    harness.outside.retreats = True
    harness.fail("kept.do", *[Kind.ERROR_BEFORE] * 9)

    with pytest.raises(OperationUndone):
        harness.execute()

    harness.assert_undone()
    retreat = harness.outside.events.index("fall_back")
    assert not [event for event in harness.outside.events[:retreat] if event.endswith(".undo")]


def test_settle_neither_way_possible_is_unfinished_until_recovered(harness: JournalHarness) -> None:
    harness.fail("kept.do", Kind.ERROR_BEFORE, Kind.ERROR_BEFORE)

    with pytest.raises(Unfinished) as failed:
        harness.execute()

    assert failed.value.exit_code == 7
    assert str(failed.value) == (
        "not finished: End of file while reading data; nothing is lost; web01 is running; run: snapctl recover"
    )
    assert harness.outside.effects == ["made", "turned"]
    assert harness.member.completed == ("made", "turned")
    assert harness.is_open

    assert harness.recover() is OperationState.DONE
    harness.assert_done()


def test_undo_fails_stays_open_until_recovered(harness: JournalHarness) -> None:
    harness.fail("turned.do", Kind.ERROR_BEFORE)
    harness.fail("made.undo", Kind.ERROR_BEFORE)

    with pytest.raises(Unfinished):
        harness.execute()
    assert harness.is_open

    assert harness.recover() is OperationState.UNDONE
    harness.assert_undone()


def test_settle_story_raises_unfinished_keeps_its_words(harness: JournalHarness) -> None:
    own = Unfinished("web01 was started outside snapctl", effect="nothing more was changed", hint="shut it down")
    harness.fail("kept.do", own, own)

    with pytest.raises(Unfinished) as failed:
        harness.execute()

    assert failed.value is own
    assert harness.is_open


def test_undo_fails_after_retreat_stays_open_until_recovered(harness: JournalHarness) -> None:
    harness.outside.retreats = True
    harness.fail("kept.do", *[Kind.ERROR_BEFORE] * 9)
    harness.fail("turned.undo", Kind.ERROR_BEFORE)

    with pytest.raises(Unfinished):
        harness.execute()

    assert harness.outside.effects == ["made"]
    assert harness.recover() is OperationState.UNDONE
    harness.assert_undone()
    assert harness.outside.count("fall_back") == 1


# --------------------------------------------------------------------------- what is told after an undo


@pytest.mark.parametrize(
    ("cause", "kind", "problem"),
    [
        (NotFound("web01 is gone", hint="look"), NotFound, "web01 is gone"),
        (IntegrityError("it was written to", effect="it was left", hint="look"), IntegrityError, "it was written to"),
        (HypervisorError("End of file", hint="look"), OperationUndone, "End of file"),
    ],
)
def test_undone_names_the_cause(cause: SnapctlError, kind: type[SnapctlError], problem: str) -> None:
    effect = cause.effect

    told = undone_error(cause, "web01")

    assert type(told) is kind
    assert (told.problem, told.effect, told.hint) == (
        problem,
        "undone: the disks of web01 are as before",
        "look",
    )
    assert told is not cause
    assert cause.effect == effect


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (Refused("it is off", hint="start it"), "it is off"),
        (KeyboardInterrupt(), "interrupted"),
        (KeyError("vda"), "KeyError: 'vda'"),
    ],
)
def test_in_words_names_the_cause(cause: BaseException, words: str) -> None:
    assert problem_of(cause) == words


# --------------------------------------------------------------------------- defects


@pytest.mark.parametrize("step", [*BEFORE_PIVOT, PIVOT])
def test_run_defect_before_pivot_is_undone_and_raised(harness: JournalHarness, step: str) -> None:
    defect = TypeError("unsupported operand")
    harness.fail(f"{step}.do", defect)

    with pytest.raises(OperationUndone, match="TypeError: unsupported operand; undone: the disks of web01") as failed:
        harness.execute()

    harness.assert_undone()
    assert failed.value.__cause__ is defect


@pytest.mark.parametrize("step", FROM_PIVOT[1:])
def test_run_defect_after_pivot_is_completed_and_raised(harness: JournalHarness, step: str) -> None:
    harness.fail(f"{step}.do", TypeError("unsupported operand"))

    with pytest.raises(TypeError, match="unsupported operand"):
        harness.execute()

    harness.assert_done()


def test_settle_defect_recurs_retreats(harness: JournalHarness) -> None:
    harness.outside.retreats = True
    harness.fail("kept.do", *[TypeError("unsupported operand")] * 9)

    with pytest.raises(OperationUndone, match="TypeError: unsupported operand; undone: the disks of web01"):
        harness.execute()

    harness.assert_undone()


def test_settle_defect_neither_way_possible_is_unfinished(harness: JournalHarness) -> None:
    defect = TypeError("unsupported operand")
    harness.fail("kept.do", *[defect] * 9)

    with pytest.raises(Unfinished, match="not finished: TypeError: unsupported operand") as failed:
        harness.execute()

    assert failed.value.__cause__ is defect
    assert harness.outside.effects == ["made", "turned"]
    assert harness.is_open
