"""An operation that cannot go on retreats, says that it is unfinished, and says why; defects are no exception."""

from __future__ import annotations

import pytest

from orchestrator.engine.story import in_words, undone
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


def test_when_forward_is_impossible_it_retreats(harness: JournalHarness) -> None:
    harness.outside.retreats = True
    harness.fail("kept.do", *[Kind.ERROR_BEFORE] * 9)

    with pytest.raises(OperationUndone):
        harness.carry_out()

    harness.assert_undone()
    retreat = harness.outside.events.index("retreat")
    assert not [event for event in harness.outside.events[:retreat] if event.endswith(".undo")]


def test_when_neither_way_is_possible_it_is_unfinished_and_recovered_later(harness: JournalHarness) -> None:
    harness.fail("kept.do", Kind.ERROR_BEFORE, Kind.ERROR_BEFORE)

    with pytest.raises(Unfinished) as failed:
        harness.carry_out()

    assert failed.value.exit_code == 7
    assert str(failed.value) == ("not finished: End of file while reading data; nothing is lost; run: snapctl recover")
    assert harness.outside.effects == ["made", "turned"]
    assert harness.member.completed == ("made", "turned")
    assert harness.is_open

    assert harness.recover() is OperationState.DONE
    harness.assert_done()


def test_an_undo_that_fails_leaves_the_row_open_and_is_undone_later(harness: JournalHarness) -> None:
    harness.fail("turned.do", Kind.ERROR_BEFORE)
    harness.fail("made.undo", Kind.ERROR_BEFORE)

    with pytest.raises(Unfinished):
        harness.carry_out()
    assert harness.is_open

    assert harness.recover() is OperationState.UNDONE
    harness.assert_undone()


def test_what_a_story_itself_calls_unfinished_is_told_in_its_words(harness: JournalHarness) -> None:
    own = Unfinished("web01 was started by somebody", effect="nothing more was changed", hint="shut it down")
    harness.fail("kept.do", own, own)

    with pytest.raises(Unfinished) as failed:
        harness.carry_out()

    assert failed.value is own
    assert harness.is_open


def test_the_way_back_after_a_retreat_may_fail_and_is_gone_later(harness: JournalHarness) -> None:
    harness.outside.retreats = True
    harness.fail("kept.do", *[Kind.ERROR_BEFORE] * 9)
    harness.fail("turned.undo", Kind.ERROR_BEFORE)

    with pytest.raises(Unfinished):
        harness.carry_out()

    assert harness.outside.effects == ["made"]
    assert harness.recover() is OperationState.UNDONE
    harness.assert_undone()
    assert harness.outside.count("retreat") == 1


# --------------------------------------------------------------------------- what is told after an undo


@pytest.mark.parametrize(
    ("cause", "kind", "problem"),
    [
        (NotFound("web01 is gone", hint="look"), NotFound, "web01 is gone"),
        (IntegrityError("it was written to", effect="it was left", hint="look"), IntegrityError, "it was written to"),
        (HypervisorError("End of file", hint="look"), OperationUndone, "End of file"),
    ],
)
def test_what_failed_is_told_in_a_new_error(cause: SnapctlError, kind: type[SnapctlError], problem: str) -> None:
    effect = cause.effect

    told = undone(cause, "web01")

    assert type(told) is kind
    assert (told.problem, told.effect, told.hint) == (problem, "undone: web01 and its disks are as before", "look")
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
def test_a_cause_in_words(cause: BaseException, words: str) -> None:
    assert in_words(cause) == words


# --------------------------------------------------------------------------- defects


@pytest.mark.parametrize("step", [*BEFORE_PIVOT, PIVOT])
def test_a_defect_before_the_pivot_is_undone_and_not_hidden(harness: JournalHarness, step: str) -> None:
    defect = TypeError("unsupported operand")
    harness.fail(f"{step}.do", defect)

    with pytest.raises(OperationUndone, match="TypeError: unsupported operand; undone: web01") as failed:
        harness.carry_out()

    harness.assert_undone()
    assert failed.value.__cause__ is defect


@pytest.mark.parametrize("step", FROM_PIVOT[1:])
def test_a_defect_after_the_pivot_leaves_as_it_is_once_all_is_done(harness: JournalHarness, step: str) -> None:
    harness.fail(f"{step}.do", TypeError("unsupported operand"))

    with pytest.raises(TypeError, match="unsupported operand"):
        harness.carry_out()

    harness.assert_done()


def test_a_defect_that_recurs_does_not_keep_it_from_retreating(harness: JournalHarness) -> None:
    harness.outside.retreats = True
    harness.fail("kept.do", *[TypeError("unsupported operand")] * 9)

    with pytest.raises(OperationUndone, match="TypeError: unsupported operand; undone: web01"):
        harness.carry_out()

    harness.assert_undone()


def test_a_defect_from_which_there_is_no_way_is_unfinished(harness: JournalHarness) -> None:
    defect = TypeError("unsupported operand")
    harness.fail("kept.do", *[defect] * 9)

    with pytest.raises(Unfinished, match="not finished: TypeError: unsupported operand") as failed:
        harness.carry_out()

    assert failed.value.__cause__ is defect
    assert harness.outside.effects == ["made", "turned"]
    assert harness.is_open
