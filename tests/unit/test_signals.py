"""SIGTERM and SIGHUP as Ctrl-C: what raises, what is ignored, and the exit code."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator

import pytest

from orchestrator.cli.signals import Ending, handled

ASKING = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


@pytest.fixture(autouse=True)
def as_a_shell_starts_it() -> Iterator[None]:
    """Whatever this test run inherited."""
    before = {number: signal.getsignal(number) for number in ASKING}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", ASKING, ids=lambda number: number.name)
def test_signal_interrupts_and_gives_its_exit_code(number: signal.Signals) -> None:
    with handled() as ending:
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
        assert ending.exit_code == 128 + number


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_second_signal_does_not_disturb_what_the_first_began(second: signal.Signals) -> None:
    with handled() as ending:
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), second)
        assert ending.exit_code == 128 + signal.SIGHUP


def test_ctrl_c_interrupts_again() -> None:
    with handled() as ending:
        for number in (signal.SIGTERM, signal.SIGINT):
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), number)
        assert ending.exit_code == 128 + signal.SIGTERM


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_signal_after_one_lost_in_a_finalizer_interrupts(second: signal.Signals) -> None:
    class Finalized:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)

    with handled() as ending:
        thing = Finalized()
        del thing
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), second)
        assert ending.exit_code == 128 + second
        os.kill(os.getpid(), second)  # ignored, as ever


def test_signal_that_the_caller_ignores_stays_ignored() -> None:
    """nohup."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with handled():
        os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_handlers_are_as_before_afterwards() -> None:
    hook = sys.unraisablehook
    with handled():
        assert signal.getsignal(signal.SIGTERM) != signal.SIG_DFL
    assert [signal.getsignal(each) for each in ASKING] == [signal.SIG_DFL, signal.SIG_DFL, signal.default_int_handler]
    assert sys.unraisablehook is hook


def test_another_thread_sets_no_handlers() -> None:
    seen: list[Ending] = []

    def work() -> None:
        with handled() as ending:
            seen.append(ending)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(10)
    assert [ending.exit_code for ending in seen] == [130]
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
