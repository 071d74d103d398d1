"""An operation goes forward, is undone, retreats, or says that it is unfinished."""

from __future__ import annotations

import pytest

from orchestrator.engine.story import Step
from orchestrator.errors import OperationUndone, Refused
from orchestrator.model import OperationState
from tests.unit.builders import DOMAIN
from tests.unit.journal_bench import BEFORE_PIVOT, FROM_PIVOT, PIVOT, POINTS, STEPS, Bench, Story, rpc_error

# --------------------------------------------------------------------------- forward


def test_all_steps_are_done_in_order_and_recorded(bench: Bench) -> None:
    bench.carry_out()

    bench.assert_done()
    assert bench.member.results == bench.facts == dict.fromkeys(STEPS, "seen")
    assert [event for event in bench.world.events if event in POINTS] == POINTS


def test_the_premises_are_asked_before_the_first_effect(bench: Bench) -> None:
    bench.fail("premises", Refused("somebody was faster", hint="try again"))

    with pytest.raises(Refused, match="somebody was faster; undone"):
        bench.carry_out()

    bench.assert_undone()
    assert not [event for event in bench.world.events if event.endswith(".do")]


def test_each_step_s_time_is_taken(bench: Bench) -> None:
    run = bench.run()
    assert run.seconds() == 0
    run.carry_out()
    bench.lease.release()

    assert [time.name for time in run.times] == list(STEPS)
    assert all(time.seconds >= 0 for time in run.times)
    whole = run.seconds_between("made", "told")
    assert whole is not None
    assert sum(time.seconds for time in run.times) <= whole <= run.seconds()
    assert run.seconds_between("made", "unheard of") is None


def test_the_journal_says_which_step_may_have_begun(bench: Bench) -> None:
    """A step's intent is in the row before its effect: the plan is the intent of the first one."""
    seen = bench.watch()

    bench.carry_out()

    for number, step in enumerate(STEPS):
        row = seen[f"{step}.do"].member(DOMAIN)
        assert (row.completed, row.step) == (STEPS[:number], step if number else "")
        assert row.results == dict.fromkeys(STEPS[:number], "seen")


def test_a_step_is_looked_at_after_its_effect_and_not_before(bench: Bench) -> None:
    bench.carry_out()

    for step in STEPS:
        assert [event for event in bench.world.events if event.startswith(f"{step}.")] == [
            f"{step}.{moment}" for moment in ("before", "do", "done", "after", "observe")
        ]


# --------------------------------------------------------------------------- an error means unknown


@pytest.mark.parametrize("step", STEPS)
def test_an_error_after_the_effect_is_observed_to_be_done(bench: Bench, step: str) -> None:
    bench.fail(f"{step}.done", rpc_error())

    bench.carry_out()

    bench.assert_done()
    assert bench.world.count(f"{step}.do") == 1


@pytest.mark.parametrize("step", [*BEFORE_PIVOT, PIVOT])
def test_an_error_before_the_pivot_is_undone_in_reverse_order(bench: Bench, step: str) -> None:
    bench.fail(f"{step}.do", rpc_error())

    with pytest.raises(OperationUndone) as failed:
        bench.carry_out()

    bench.assert_undone()
    begun = STEPS[: STEPS.index(step) + 1]
    assert [event for event in bench.world.events if event.endswith(".undo")] == [
        f"{name}.undo" for name in reversed(begun)
    ]
    assert failed.value.exit_code == 1
    assert str(failed.value) == (
        "End of file while reading data; undone: web01 and its disks are as before; look at the daemon's log"
    )
    assert bench.lease.record.error is not None
    assert "End of file" in bench.lease.record.error


@pytest.mark.parametrize("step", FROM_PIVOT[1:])
def test_an_error_after_the_pivot_is_gone_through(bench: Bench, step: str) -> None:
    bench.fail(f"{step}.do", rpc_error())

    bench.carry_out()

    bench.assert_done()
    assert bench.world.count(f"{step}.do") == 2
    assert not [event for event in bench.world.events if event.endswith(".undo")]


def test_when_settling_each_step_is_looked_at_before_it_is_done(bench: Bench) -> None:
    """Somebody did the last one, and undid nothing, while we failed."""
    bench.fail("kept.do", rpc_error())
    bench.world.effects.append("told")

    bench.carry_out()

    assert sorted(bench.world.effects) == sorted(STEPS)
    assert bench.lease.record.state is OperationState.DONE
    assert bench.member.completed == STEPS
    assert bench.world.count("kept.do") == 2
    assert bench.world.count("told.do") == 0


def test_a_step_without_effect_is_a_failure(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    idle = Step("made", do=lambda: None, observe=lambda: None)
    monkeypatch.setattr(Story, "steps", property(lambda _: (idle,)))

    with pytest.raises(OperationUndone, match="step made had no effect"):
        bench.carry_out()

    bench.assert_undone()


def test_the_class_and_exit_code_of_a_refusal_on_the_way_are_kept(bench: Bench) -> None:
    bench.fail("turned.do", Refused("web01 was changed by somebody", hint="try again"))

    with pytest.raises(Refused) as refused:
        bench.carry_out()

    bench.assert_undone()
    assert refused.value.exit_code == 6
    assert refused.value.effect == "undone: web01 and its disks are as before"
