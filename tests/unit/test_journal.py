"""An operation goes forward, is undone, retreats, or says that it is unfinished."""

from __future__ import annotations

import pytest

from orchestrator.engine.story import Step
from orchestrator.errors import OperationUndone, Refused
from orchestrator.model import OperationState
from tests.crash.faults import Kind
from tests.unit.builders import DOMAIN
from tests.unit.journal_harness import (
    BEFORE_PIVOT,
    FROM_PIVOT,
    PIVOT,
    POINTS,
    STEPS,
    FourSteps,
    JournalHarness,
)

# --------------------------------------------------------------------------- forward


def test_run_without_fault_does_and_records_steps_in_order(harness: JournalHarness) -> None:
    harness.execute()

    harness.assert_done()
    assert harness.member.results == harness.results == dict.fromkeys(STEPS, "seen")
    assert [event for event in harness.outside.events if event in POINTS] == POINTS


def test_run_premises_fail_has_no_effect(harness: JournalHarness) -> None:
    harness.fail("check_preconditions", Refused("another process was faster", hint="try again"))

    with pytest.raises(Refused, match="another process was faster; undone"):
        harness.execute()

    harness.assert_undone()
    assert not [event for event in harness.outside.events if event.endswith(".do")]


def test_run_measures_each_step(harness: JournalHarness) -> None:
    run = harness.run()
    assert run.ran().seconds == 0
    run.execute()
    harness.lease.release()

    ran = run.ran()
    assert [time.name for time in ran.steps] == list(STEPS)
    assert all(time.seconds >= 0 for time in ran.steps)
    whole = ran.between("made", "told")
    assert whole is not None
    assert sum(time.seconds for time in ran.steps) <= whole <= ran.seconds
    assert ran.between("made", "unheard of") is None


def test_run_records_step_before_it_begins(harness: JournalHarness) -> None:
    """A step's intent is in the row before its effect: the plan is the intent of the first one."""
    seen = harness.watch()

    harness.execute()

    for number, step in enumerate(STEPS):
        row = seen[f"{step}.do"].member(DOMAIN)
        assert (row.completed, row.step) == (STEPS[:number], step if number else "")
        assert row.results == dict.fromkeys(STEPS[:number], "seen")


def test_run_step_is_observed_only_after_its_effect(harness: JournalHarness) -> None:
    harness.execute()

    for step in STEPS:
        assert [event for event in harness.outside.events if event.startswith(f"{step}.")] == [
            f"{step}.{moment}" for moment in ("before", "do", "done", "after", "observe")
        ]


# --------------------------------------------------------------------------- an error means unknown


@pytest.mark.parametrize("step", STEPS)
def test_run_error_after_effect_is_observed_as_done(harness: JournalHarness, step: str) -> None:
    harness.fail(f"{step}.done", Kind.ERROR_AFTER)

    harness.execute()

    harness.assert_done()
    assert harness.outside.count(f"{step}.do") == 1


@pytest.mark.parametrize("step", [*BEFORE_PIVOT, PIVOT])
def test_run_error_before_pivot_is_undone_in_reverse_order(harness: JournalHarness, step: str) -> None:
    harness.fail(f"{step}.do", Kind.ERROR_BEFORE)

    with pytest.raises(OperationUndone) as failed:
        harness.execute()

    harness.assert_undone()
    begun = STEPS[: STEPS.index(step) + 1]
    assert [event for event in harness.outside.events if event.endswith(".undo")] == [
        f"{name}.undo" for name in reversed(begun)
    ]
    assert failed.value.exit_code == 1
    assert str(failed.value) == (
        "End of file while reading data; undone: the disks of web01 are as before; web01 is running; "
        "look at the daemon's log"
    )
    assert harness.lease.record.error is not None
    assert "End of file" in harness.lease.record.error


@pytest.mark.parametrize("step", FROM_PIVOT[1:])
def test_run_error_after_pivot_is_completed(harness: JournalHarness, step: str) -> None:
    harness.fail(f"{step}.do", Kind.ERROR_BEFORE)

    harness.execute()

    harness.assert_done()
    assert harness.outside.count(f"{step}.do") == 2
    assert not [event for event in harness.outside.events if event.endswith(".undo")]


def test_settle_observes_each_step_before_doing_it(harness: JournalHarness) -> None:
    """Somebody did the last one, and undid nothing, while we failed."""
    harness.fail("kept.do", Kind.ERROR_BEFORE)
    harness.outside.effects.append("told")

    harness.execute()

    assert sorted(harness.outside.effects) == sorted(STEPS)
    assert harness.lease.record.state is OperationState.DONE
    assert harness.member.completed == STEPS
    assert harness.outside.count("kept.do") == 2
    assert harness.outside.count("told.do") == 0


def test_run_step_without_effect_fails(harness: JournalHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    idle = Step("made", do=lambda: None, observe=lambda: None)
    monkeypatch.setattr(FourSteps, "steps", property(lambda _: (idle,)))

    with pytest.raises(OperationUndone, match="step made had no effect"):
        harness.execute()

    harness.assert_undone()


def test_run_refused_midway_keeps_class_and_exit_code(harness: JournalHarness) -> None:
    harness.fail("turned.do", Refused("web01 was changed outside snapctl", hint="try again"))

    with pytest.raises(Refused) as refused:
        harness.execute()

    harness.assert_undone()
    assert refused.value.exit_code == 6
    assert refused.value.effect == "undone: the disks of web01 are as before; web01 is running"
