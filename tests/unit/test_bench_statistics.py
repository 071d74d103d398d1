"""The bench's arithmetic, turns, verdicts and table. What it measures is not tested: machines differ."""

from __future__ import annotations

import sys
from collections.abc import Callable
from time import sleep

import pytest

from tools.bench.aims import Aim, at_most_more, at_most_times, grows_at_most, peaks_below
from tools.bench.commands import CommandFailed, measured
from tools.bench.rounds import WARM_UP, Competitor, Result, Unavailable, interleave, timed
from tools.bench.statistics import Measurement, Summary
from tools.bench.table import render


def seconds(*times: float) -> list[Measurement]:
    return [Measurement(seconds=each) for each in times]


def summary(median: float, peak_bytes: int | None = None) -> Summary:
    return Summary(median=median, lowest=median, highest=median, peak_bytes=peak_bytes)


class TestSummary:
    def test_median_of_an_odd_number_is_one_of_them(self) -> None:
        assert Summary.of(seconds(9.0, 1.0, 2.0)).median == 2.0

    def test_median_of_an_even_number_is_between_the_middle_ones(self) -> None:
        assert Summary.of(seconds(4.0, 1.0, 2.0, 9.0)).median == 3.0

    def test_spread_is_that_of_all_rounds(self) -> None:
        found = Summary.of(seconds(2.0, 9.0, 1.0))
        assert (found.lowest, found.highest) == (1.0, 9.0)

    def test_peak_is_the_highest_of_all_rounds(self) -> None:
        found = Summary.of([Measurement(seconds=1, peak_bytes=size) for size in (5, 7, 6)])
        assert found.peak_bytes == 7

    def test_stopped_is_the_median(self) -> None:
        found = Summary.of([Measurement(seconds=1, stopped=time) for time in (0.5, 0.9, 0.1)])
        assert found.stopped == 0.5

    def test_summary_value_missing_in_one_round_is_none(self) -> None:
        found = Summary.of([*seconds(1), Measurement(seconds=1, stopped=1, peak_bytes=1)])
        assert (found.stopped, found.peak_bytes) == (None, None)

    def test_summary_of_no_measurement_is_refused(self) -> None:
        with pytest.raises(ValueError, match="nothing was measured"):
            Summary.of([])

    def test_ratio_is_that_of_the_medians(self) -> None:
        assert Summary.of(seconds(3, 6, 9)).ratio_to(Summary.of(seconds(1, 4, 99))) == 1.5


class TestRounds:
    def test_competitors_take_turns_and_the_warm_up_does_not_count(self) -> None:
        turns: list[str] = []
        results = interleave([recorded("a", turns), recorded("b", turns)], rounds=2)
        assert turns == ["a", "b"] * (WARM_UP + 2)
        assert [(result.name, len(result.measurements)) for result in results] == [("a", 2), ("b", 2)]

    def test_only_the_work_is_between_ready_and_check(self) -> None:
        turns: list[str] = []
        competitor = Competitor("a", work(turns, "run"), ready=note(turns, "ready"), check=note(turns, "check"))
        interleave([competitor], rounds=1)
        assert turns == ["ready", "run", "check"] * (WARM_UP + 1)

    def test_interleave_unavailable_competitor_is_asked_once(self) -> None:
        turns: list[str] = []

        def cannot() -> Measurement:
            turns.append("a")
            raise Unavailable("too old")

        a, b = interleave([Competitor("a", cannot), recorded("b", turns)], rounds=2)
        assert turns == ["a", "b", "b", "b"]
        assert (a.unavailable, a.summary()) == ("too old", None)
        assert b.summary() is not None

    def test_work_that_was_not_done_ends_it_all(self) -> None:
        def check() -> None:
            raise AssertionError("the guest is not back")

        with pytest.raises(AssertionError, match="not back"):
            interleave([Competitor("a", lambda: Measurement(seconds=1), check=check)], rounds=1)

    def test_timed_measures_the_call_and_passes_its_value_on(self) -> None:
        assert timed(lambda: sleep(0.02)).seconds >= 0.02
        assert timed(lambda: 0.5).stopped == 0.5


class TestAims:
    ROWS = {"by hand": summary(1.0), "library": summary(1.04), "command": summary(1.5, peak_bytes=76_400_000)}  # noqa: RUF012

    @pytest.mark.parametrize(
        ("aim", "verdict"),
        [
            (at_most_times("library", "by hand", 1.05), "library / by hand ≤ 1.05: 1.04, met"),
            (at_most_times("command", "by hand", 1.05), "command / by hand ≤ 1.05: 1.50, MISSED"),
            (at_most_more("command", "library", 0.5), "command − library ≤ 0.50 s: 0.46 s, met"),
            (at_most_more("command", "library", 0.3), "command − library ≤ 0.30 s: 0.46 s, MISSED"),
            (peaks_below("command", 100_000_000), "peak memory of command ≤ 100 MB: 76 MB, met"),
            (peaks_below("command", 50_000_000), "peak memory of command ≤ 50 MB: 76 MB, MISSED"),
        ],
    )
    def test_verdict(self, aim: Aim, verdict: str) -> None:
        assert aim.verdict(self.ROWS) == verdict

    @pytest.mark.parametrize(
        ("deep_by_hand", "verdict"),
        [(1.0, "1.60, MISSED"), (1.5, "1.10, met"), (0.5, "1.60, MISSED")],  # what gets faster by itself is no excuse
    )
    def test_grows_at_most_subtracts_growth_of_libvirt_itself(self, deep_by_hand: float, verdict: str) -> None:
        rows = {
            "few by hand": summary(1.0),
            "many by hand": summary(deep_by_hand),
            "few": summary(1.0),
            "many": summary(1.6),
        }
        aim = grows_at_most("many", "few", 1.2, beside=("few by hand", "many by hand"))
        assert aim.verdict(rows) == f"(many − what libvirt adds) / few ≤ 1.20: {verdict}"

    def test_limit_itself_meets_the_aim(self) -> None:
        rows = {"a": summary(2.0), "b": summary(1.0)}
        assert at_most_times("a", "b", 2.0).verdict(rows).endswith("met")

    def test_a_row_that_was_not_measured_is_named(self) -> None:
        assert (
            at_most_times("library", "virsh", 1.05).verdict(self.ROWS) == "library / virsh ≤ 1.05: not measured (virsh)"
        )

    def test_no_peak_is_not_a_low_one(self) -> None:
        assert "not measured" in peaks_below("library", 100_000_000).verdict(self.ROWS)


class TestTable:
    def test_a_group(self) -> None:
        results = [
            Result("by hand", seconds(0.5, 0.25, 1.0)),
            Result("library", [Measurement(seconds=0.75, stopped=0.5)]),
            Result("command", [Measurement(seconds=1.0, peak_bytes=76_400_000)]),
            Result("external", unavailable="too old"),
        ]
        assert list(render("rollback", results, "by hand", [at_most_times("library", "by hand", 1.05)])) == [
            "rollback                                     median   lowest  highest  ratio  stopped  memory",
            "  by hand                                   0.500 s  0.250 s  1.000 s   1.00",
            "  library                                   0.750 s  0.750 s  0.750 s   1.50  0.500 s",
            "  command                                   1.000 s  1.000 s  1.000 s   2.00            76 MB",
            "  external                                  n/a: too old",
            "  aim: library / by hand ≤ 1.05: 1.50, MISSED",
        ]

    def test_each_row_may_have_a_reference_of_its_own(self) -> None:
        results = [
            Result(name, seconds(time)) for name, time in (("a 1", 1.0), ("b 1", 2.0), ("a 9", 3.0), ("b 9", 5.0))
        ]
        lines = list(render("growth", results, lambda row: f"{row[0]} 1", []))
        assert [line.split()[-1] for line in lines[1:]] == ["1.00", "1.00", "3.00", "2.50"]

    def test_without_the_reference_there_are_no_ratios(self) -> None:
        results = [Result("by hand", unavailable="gone"), Result("library", seconds(0.5))]
        *_, line = render("rollback", results, "by hand", [])
        assert line.split() == ["library", *["0.500", "s"] * 3]


class TestCommands:
    def test_time_and_peak_memory_are_those_of_the_command(self) -> None:
        """Its memory, not that of the process that measures, which may well be bigger."""
        ballast = b"x" * 200_000_000
        small = measured(sys.executable, "-c", "pass")
        big = measured(sys.executable, "-c", "import time; time.sleep(0.1); b = b'x' * 100_000_000")
        assert ballast and small.peak_bytes and big.peak_bytes
        assert small.peak_bytes < 50_000_000 < 100_000_000 < big.peak_bytes < 150_000_000
        assert big.seconds >= 0.1

    def test_measured_failing_command_reports_its_last_line(self) -> None:
        script = "import sys; sys.exit('error: first\\nerror: too old')"
        with pytest.raises(CommandFailed, match="python") as failure:
            measured(sys.executable, "-c", script)
        assert failure.value.said == "too old"

    def test_a_silent_failure_has_its_status(self) -> None:
        with pytest.raises(CommandFailed) as failure:
            measured(sys.executable, "-c", "raise SystemExit(3)")
        assert failure.value.said == "exit status 3"


def recorded(name: str, turns: list[str]) -> Competitor:
    return Competitor(name, work(turns, name))


def work(turns: list[str], name: str) -> Callable[[], Measurement]:
    def run() -> Measurement:
        turns.append(name)
        return Measurement(seconds=1.0)

    return run


def note(turns: list[str], name: str) -> Callable[[], None]:
    return lambda: turns.append(name)
