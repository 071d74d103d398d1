"""No wait is for ever: not for a process that has ended, not for what does not come, not in a call that never returns.

Tests that time out are run by a pytest of their own.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

import pytest

from tests import children
from tests.children import Child
from tests.waiting import PATIENCE, EndedTooSoon, join, wait_until

ROOT = Path(__file__).parents[2]
AT_ONCE = 10.0
"""Seconds: far less than any wait's deadline. It takes a fraction of one, on a machine that has nothing else to do."""


@pytest.fixture(autouse=True)
def began() -> Iterator[None]:
    """Each of these tests takes no longer than that."""
    before = time.monotonic()
    yield
    assert time.monotonic() - before < AT_ONCE


def python(code: str, *, listens: bool = False) -> Child:
    return Child([sys.executable, "-c", code], listens=listens)


def never() -> bool:
    return False


# --------------------------------------------------------------------------- wait_until


def test_wait_until_condition_true_returns_it() -> None:
    answers = iter(["", "", "there"])
    assert wait_until(lambda: next(answers), poll=0) == "there"


def test_wait_until_deadline_raises() -> None:
    with pytest.raises(TimeoutError, match=r"^the step did not happen within 0\.1 s$"):
        wait_until(never, 0.1, what="the step")


def test_wait_until_deadline_shows_the_output_of_the_process() -> None:
    with python("print('at work', flush=True); input()", listens=True) as child:
        wait_until(lambda: child.stdout)
        with pytest.raises(TimeoutError, match="still running") as failed:
            wait_until(never, 0.1, process=child)
    assert "[stdout]\nat work\n" in str(failed.value)


def test_wait_until_process_ended_fails_at_once_with_its_output() -> None:
    child = python("import sys; print('so far'); sys.exit('no such domain')")
    with pytest.raises(EndedTooSoon, match="the step did not happen, and will not") as failed:
        wait_until(never, what="the step", process=child)
    for said in ("exit status 1", "[stdout]\nso far\n", "[stderr]\nno such domain\n"):
        assert said in str(failed.value)


def test_wait_until_process_killed_fails_at_once() -> None:
    with python("input()", listens=True) as child:
        child.kill()
        with pytest.raises(EndedTooSoon, match="exit status -9"):
            wait_until(never, process=child)


def test_wait_until_last_act_of_the_process_counts(tmp_path: Path) -> None:
    """It ends between the look at what is waited for and the look at the process."""
    with python(f"open({str(tmp_path / 'made')!r}, 'w')") as child:
        child.finish()
        assert wait_until((tmp_path / "made").exists, process=child)


# --------------------------------------------------------------------------- threads


def test_join_thread_ended_returns() -> None:
    thread = Thread(target=never, daemon=True)
    thread.start()
    join(thread)


def test_join_deadline_shows_the_stack_of_the_thread() -> None:
    told = Event()

    def wait_to_be_told() -> None:
        told.wait(PATIENCE)

    thread = Thread(target=wait_to_be_told, daemon=True)
    thread.start()
    try:
        with pytest.raises(TimeoutError, match="in wait_to_be_told"):
            join(thread, 0.1)
    finally:
        told.set()


# --------------------------------------------------------------------------- children


def test_child_hears_and_says_lines() -> None:
    with python("print('ready', flush=True); print(input()[::-1], flush=True)", listens=True) as child:
        assert child.hear() == "ready"
        child.say("abc")
        assert child.hear() == "cba"
        assert child.finish().returncode == 0


def test_hear_child_ended_fails_at_once_with_its_output() -> None:
    child = python("import sys; sys.exit('cannot open the catalog')")
    with pytest.raises(EndedTooSoon, match="cannot open the catalog"):
        child.hear()


def test_say_child_ended_fails_at_once_with_its_output() -> None:
    with python("import sys; sys.exit('cannot open the catalog')", listens=True) as child:
        wait_until(lambda: child.has_ended)
        with pytest.raises(EndedTooSoon, match="cannot open the catalog"):
            child.say("go")


def test_finish_child_that_does_not_end_is_killed_and_shown() -> None:
    with python("print('at work', flush=True); input()", listens=True) as child:
        wait_until(lambda: child.stdout)
        with pytest.raises(TimeoutError, match="at work"):
            child.finish(0.1)
        assert child.has_ended


def test_finish_does_not_wait_for_a_grandchild_that_holds_its_output_open() -> None:
    with Child(["sh", "-c", "sleep 60 & echo $!"]) as child:
        done = child.finish()
    os.kill(int(done.stdout), signal.SIGKILL)


def test_run_check_failure_shows_the_output() -> None:
    with pytest.raises(AssertionError, match="no such file"):
        children.run("sh", "-c", "echo no such file; exit 3", check=True)


def test_end_kills_what_the_child_started() -> None:
    with Child(["sh", "-c", "sleep 60 & echo $!; wait"]) as child:
        grandchild = Path("/proc", child.hear())
    wait_until(lambda: not grandchild.exists() or ") Z " in (grandchild / "stat").read_text())


# --------------------------------------------------------------------------- tests that time out


def run_pytest(tmp_path: Path, source: str, *options: str) -> subprocess.CompletedProcess[str]:
    """A run of these tests with our plugin."""
    (tmp_path / "test_it.py").write_text(source)
    command = [sys.executable, "-m", "pytest", "-p", "tests.timeouts", "-p", "no:cacheprovider", "-o", "addopts="]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return children.run(*command, "--rootdir", tmp_path, *options, tmp_path, cwd=tmp_path, env=environment)


WAITS_FOR_A_CHILD = """
from tests.children import Child
def test_first():
    Child(["sh", "-c", "echo stuck at the second step; echo $$ >pid; sleep 60"]).wait(50)
def test_second():
    pass
"""


def test_timeout_shows_output_of_children_and_kills_them(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, WAITS_FOR_A_CHILD, "--timeout=1")
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert "Timeout (>1.0s) from pytest-timeout" in done.stdout
    assert "still running" in done.stdout and "[stdout]\nstuck at the second step\n" in done.stdout
    assert "1 failed, 1 passed" in done.stdout
    assert not Path("/proc", (tmp_path / "pid").read_text().strip()).exists()


DRAWS_EXAMPLES = """
import time
from hypothesis import given, settings, strategies as st
@settings(deadline=None, database=None)
@given(st.integers())
def test_it(number):
    time.sleep(50 if number else 0)
"""


def test_timeout_hypothesis_does_not_go_on_with_other_examples(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, DRAWS_EXAMPLES, "--timeout=1")
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert "TimedOut: Timeout (>1.0s) from pytest-timeout" in done.stdout
    assert "1 failed" in done.stdout


TEARS_DOWN_AT_LENGTH = """
import time
import pytest
import tests.timeouts
tests.timeouts.GRACE = 1.0
@pytest.fixture
def guest():
    yield
    time.sleep(50)
def test_it(guest):
    raise AssertionError
"""


def test_timeout_tear_down_of_a_failed_test_ends_the_run(tmp_path: Path) -> None:
    """pytest-timeout has no limit for that."""
    done = run_pytest(tmp_path, TEARS_DOWN_AT_LENGTH, "--timeout=1")
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert "test_it is stuck, 1 + 1 s after it began" in done.stderr


def test_failure_shows_the_output_of_children(tmp_path: Path) -> None:
    source = "from tests import children\ndef test_it():\n    assert not children.run('echo', 'a hint').returncode == 0"
    done = run_pytest(tmp_path, source)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert "[stdout]\na hint\n" in done.stdout


DEAF = """
import signal, time
import tests.timeouts
from tests.children import Child
tests.timeouts.GRACE = 1.0
tests.timeouts.LAST = {last}
def keep_a_lock_of_c():
    {act}
def test_it():
    Child(["sh", "-c", "echo stuck at the second step; sleep 60"])
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
    keep_a_lock_of_c()
"""
"""As in a call into libvirt that never returns: no signal is handled. """


@pytest.mark.parametrize(
    ("act", "shows_children"),
    [("time.sleep(60)", True), ("import ctypes; ctypes.PyDLL(None).sleep(60)", False)],
    ids=["others may run", "with the interpreter's lock"],
)
def test_timeout_signal_does_not_help_ends_the_run(tmp_path: Path, act: str, shows_children: bool) -> None:
    done = run_pytest(tmp_path, DEAF.format(act=act, last=1.0), "--timeout=1")
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert "in keep_a_lock_of_c" in done.stderr
    assert ("stuck at the second step" in done.stderr) is shows_children
