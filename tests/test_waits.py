"""No wait without a deadline, and each through the one helper: rules that the sources of tests and tools keep.

What cannot be told from a source alone is left to the time limit of each test (`timeouts`): a loop that makes no
progress, and `recv` on a pipe, which may be known to have something.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted(path for top in ("tests", "tools") for path in (ROOT / top).rglob("*.py"))

ENDLESS_WITHOUT_ARGUMENTS = {"wait", "join", "acquire", "get", "result", "readline"}
"""Methods of processes, threads, locks, queues and pipes; those of strings and dictionaries have arguments."""

RUN = {f"subprocess.{name}" for name in ("run", "call", "check_call", "check_output")}
REAP = {f"os.{name}" for name in ("wait", "wait3", "wait4", "waitid", "waitpid")}

MAY = {
    "tests/waiting.py": {"sleeps in a loop"},
    "tests/children.py": {"subprocess.Popen"},
    "tests/box/init.py": {"os.wait", "sleeps in a loop"},  # PID 1 of a box, which is killed: it reaps for ever
    "tools/bench/launcher.py": {"os.wait4"},  # a process of its own, whose caller has a deadline
}
"""What is right where it is, and why."""


def violations(place: str, source: str) -> set[str]:
    return {breach for node in ast.walk(ast.parse(source)) for breach in breaches(node)} - MAY.get(place, set())


def breaches(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Call):
        yield from breaches_of_call(node, ast.unparse(node.func))
    elif isinstance(node, ast.ImportFrom) and node.module == "subprocess":
        yield from ({f"subprocess.{each.name}" for each in node.names} & {*RUN, "subprocess.Popen"})
    elif isinstance(node, ast.While) and any(is_sleep(each) for each in ast.walk(node)):
        yield "sleeps in a loop"


def breaches_of_call(call: ast.Call, function: str) -> Iterator[str]:
    method = function.rpartition(".")[2]
    has = {keyword.arg for keyword in call.keywords}
    arguments = len(call.args) + len(has)
    if (
        function == "subprocess.Popen"
        or (function in RUN and "timeout" not in has)
        or (function in REAP and "WNOHANG" not in ast.unparse(call))
        or (function == "select.select" and arguments < 4)
    ):
        yield function
    elif (
        ("." in function and method in ENDLESS_WITHOUT_ARGUMENTS and not arguments and function not in REAP)
        or (method == "communicate" and "timeout" not in has)
        or (method == "flock" and "LOCK_EX" in ast.unparse(call) and "LOCK_NB" not in ast.unparse(call))
    ):
        yield f"{method}()"
    elif method == "Thread" and "daemon" not in has:
        yield "a thread that the interpreter waits for"


def is_sleep(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) in ("sleep", "time.sleep")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_wait_has_a_deadline(path: Path) -> None:
    assert violations(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")) == set()


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("process.wait()", "wait()"),
        ("thread.join()", "join()"),
        ("process.communicate()", "communicate()"),
        ("process.communicate(b'input')", "communicate()"),
        ("lock.acquire()", "acquire()"),
        ("answers.get()", "get()"),
        ("future.result()", "result()"),
        ("process.stdout.readline()", "readline()"),
        ("subprocess.Popen(['x'])", "subprocess.Popen"),
        ("from subprocess import Popen", "subprocess.Popen"),
        ("from subprocess import check_output", "subprocess.check_output"),
        ("subprocess.run(['x'], check=True)", "subprocess.run"),
        ("os.waitid(os.P_PID, pid, os.WEXITED)", "os.waitid"),
        ("os.wait()", "os.wait"),
        ("select.select([screen], [], [])", "select.select"),
        ("fcntl.flock(file, fcntl.LOCK_EX)", "flock()"),
        ("threading.Thread(target=act)", "a thread that the interpreter waits for"),
        ("while not done():\n    time.sleep(0.1)", "sleeps in a loop"),
        ("while True:\n    if act():\n        break\n    sleep(1)", "sleeps in a loop"),
    ],
)
def test_wait_without_deadline_is_found(source: str, found: str) -> None:
    assert violations("tests/test_it.py", source) == {found}


@pytest.mark.parametrize(
    "source",
    [
        "', '.join(names)",
        "os.path.join(a, b)",
        "values.get('x')",
        "process.wait(5)",
        "process.wait(timeout=due)",
        "process.communicate(timeout=5)",
        "lock.acquire(timeout=PATIENCE)",
        "subprocess.run(['x'], timeout=5)",
        "from subprocess import CompletedProcess, TimeoutExpired",
        "os.waitpid(pid, os.WNOHANG)",
        "select.select([screen], [], [], 0)",
        "fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)",
        "Thread(target=act, daemon=True)",
        "time.sleep(1)",
        "for _ in range(3):\n    time.sleep(0.1)",
        "while rows:\n    rows.pop()",
    ],
)
def test_wait_with_deadline_is_not_found(source: str) -> None:
    assert violations("tests/test_it.py", source) == set()


def test_every_exception_is_made_use_of() -> None:
    for place, excepted in MAY.items():
        source = (ROOT / place).read_text(encoding="utf-8")
        assert violations("", source) == excepted, place
