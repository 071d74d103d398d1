"""What is left to do when a test fails or exceeds its time limit, beside what pytest-timeout does.

pytest-timeout sends SIGALRM (pyproject.toml says why). Here is added: the report of a failed test shows what its
child processes printed; they are killed before the fixtures are torn down; and what a signal that raises an exception
does not end is ended all the same:

- Hypothesis takes pytest's own exception for one more failing example, and goes on; `TimedOut` it lets pass.
- A signal handler runs only between two instructions of Python in the main thread. In a call into libvirt that never
  returns (libvirt resumes its poll after a signal) there is none.
- pytest-timeout cancels its timer at the first failure of a test, so what is torn down after that has no limit.

For the last two a thread can do no more than to say where they are and exit: hence a `GRACE` during which the better
way can work, and no sooner. Should even the thread not get to run, since a C function keeps the interpreter's lock, or
should the interpreter not exit at the end, faulthandler's own timer ends the process.
"""

from __future__ import annotations

import faulthandler
import os
import signal
from collections.abc import Callable, Generator
from functools import partial
from threading import Timer
from types import FrameType
from typing import Any

import pytest

from tests import children

GRACE = 60.0
"""Seconds that a test has, after its time limit, to be torn down."""

LAST = 15.0
"""Seconds after that in which the thread must have ended the process."""

LONG = 1800.0
"""Seconds that a test of `make test-long` has."""

STDERR = pytest.StashKey[int]()
TIMER = pytest.StashKey[Timer]()


class TimedOut(BaseException):
    """A test exceeded its time limit. No `Exception`: nobody is to handle it."""


def pytest_configure(config: pytest.Config) -> None:
    config.stash[STDERR] = os.dup(2)  # the real one: pytest captures what goes to 2 during a test


def pytest_unconfigure(config: pytest.Config) -> None:
    """What may still take long is the exit of the interpreter, which waits for threads and child processes."""
    faulthandler.dump_traceback_later(GRACE, exit=True, file=config.stash[STDERR])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is marked as long is: it gets half an hour, unless it says otherwise itself."""
    for item in items:
        if item.get_closest_marker("long") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(LONG))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        report.sections += children.outputs()
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown() -> None:
    children.end_all()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    try:
        return (yield)
    finally:
        _cancel(item.config)
        children.end_all()
        children.forget_all()


@pytest.hookimpl(wrapper=True, optionalhook=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> Generator[None, object, object]:
    """Called by pytest-timeout for each test that has a time limit."""
    if not item.config.getoption("usepdb"):
        limit = settings.timeout + GRACE
        timer = item.config.stash[TIMER] = Timer(limit, _give_up, (item, settings.timeout))
        timer.daemon = True
        timer.start()
        faulthandler.dump_traceback_later(limit + LAST, exit=True, file=item.config.stash[STDERR])
    done = yield
    if callable(handler := signal.getsignal(signal.SIGALRM)):
        signal.signal(signal.SIGALRM, partial(_time_out, handler))
    return done


def pytest_enter_pdb(config: pytest.Config) -> None:
    """A person has all the time that there is."""
    _cancel(config)


def _time_out(handler: Callable[[int, FrameType | None], Any], number: int, frame: FrameType | None) -> None:
    """Let pytest-timeout say where everybody is, and raise what it says as an exception of our own."""
    __tracebackhide__ = True
    try:
        handler(number, frame)
    except pytest.fail.Exception as failed:
        raise TimedOut(failed.msg) from None


def _cancel(config: pytest.Config) -> None:
    faulthandler.cancel_dump_traceback_later()
    if TIMER in config.stash:
        config.stash[TIMER].cancel()
        del config.stash[TIMER]


def _give_up(item: pytest.Item, timeout: float) -> None:
    stderr = item.config.stash[STDERR]
    said = "".join(f"\n---- {name}\n{text}\n" for name, text in children.outputs())
    headline = f"\n++++ {item.nodeid} is stuck, {timeout:g} + {GRACE:g} s after it began: the run ends here\n"
    os.write(stderr, f"{headline}{said}\n".encode())
    faulthandler.dump_traceback(file=stderr)
    children.end_all()
    os._exit(pytest.ExitCode.TESTS_FAILED)
