"""Whatever goes wrong is one line or one JSON object, with the exit code of its kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import pytest

from orchestrator import errors
from orchestrator.errors import LONGEST_LINE, SnapctlError, Unfinished
from tests.twin.domains import TwinDomains
from tests.workstation import Workstation

from .conftest import Run

Fail: TypeAlias = Callable[[BaseException], None]
CODES: dict[type[SnapctlError], int] = {
    SnapctlError: 1,
    errors.OperationUndone: 1,
    errors.GuestLost: 1,
    errors.StartedOutside: 1,
    errors.UsageError: 2,
    errors.EnvironmentLacks: 3,
    errors.HypervisorError: 3,
    errors.CatalogError: 3,
    errors.Busy: 4,
    errors.IntegrityError: 5,
    errors.Refused: 6,
    errors.NotFound: 6,
    Unfinished: 7,
    errors.Interrupted: 130,
}


@pytest.fixture
def fail(monkeypatch: pytest.MonkeyPatch) -> Fail:
    """Let the hypervisor raise this when a domain is looked for."""

    def fail(error: BaseException) -> None:
        def find(domains: TwinDomains, name: str) -> None:
            raise error

        monkeypatch.setattr(TwinDomains, "find", find)

    return fail


def test_codes_every_kind_of_error_has_one() -> None:
    known = {each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, SnapctlError)}
    assert known == set(CODES)


@pytest.mark.parametrize(("kind", "code"), CODES.items(), ids=lambda value: getattr(value, "__name__", str(value)))
def test_error_of_each_kind_gives_exit_code_line_and_object(
    run: Run, fail: Fail, kind: type[SnapctlError], code: int
) -> None:
    fail(kind("the disk is gone", effect="web01 runs on", hint="look at it"))
    result = run("checkpoint", "web01", "x")
    assert (result.code, result.out) == (code, "")
    assert result.err == "the disk is gone; web01 runs on; look at it\n"
    result = run("-o", "json", "checkpoint", "web01", "x")
    assert (result.code, result.out) == (code, "")
    assert result.error == {
        "error": kind.__name__,
        "message": "the disk is gone",
        "effect": "web01 runs on",
        "hint": "look at it",
        "exit_code": code,
    }


def test_interrupt_before_any_change_exit_130(run: Run, fail: Fail) -> None:
    fail(KeyboardInterrupt())
    result = run("checkpoint", "web01", "x")
    assert (result.code, result.err) == (130, "interrupted; nothing was changed; run the command again\n")


@pytest.mark.parametrize("bug", [ZeroDivisionError, BrokenPipeError, PermissionError])
def test_bug_below_is_raised(run: Run, fail: Fail, bug: type[Exception]) -> None:
    fail(bug())
    with pytest.raises(bug):
        run("checkpoint", "web01", "x")


USAGE = {
    "no verb": [],
    "unknown verb": ["chekpoint"],
    "unknown option": ["list", "--bogus"],
    "no domain": ["checkpoint"],
    "too many": ["list", "a", "b"],
    "three names": ["rollback", "a", "b", "c"],
    "bad output": ["-o", "xml", "list"],
    "bad after": ["checkpoint", "web01", "--after", "sleep"],
    "rollback cannot stop": ["rollback", "web01", "--after", "stop", "-y"],
    "no names": ["delete", "web01"],
    "no catalog verb": ["catalog"],
    "no such shell": ["completion", "tcsh"],
    "option without value": ["list", "-c"],
    "escape in an option": ["list", "--\x1b[31m"],
    "line break in an option": ["list", "--a\nb"],
    "long option": ["list", "--" + "x" * 5000],
    "long verb": ["y" * 100_000],
    "no such configuration": ["--config", "/nonexistent/" + "z" * 300, "list"],
    "invalid UTF-8": ["list", "web\udcff"],
    "invalid UTF-8 in an option": ["--\udc80", "-o", "json", "list"][:1],
}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["lst"], "no such command 'lst'; nothing was changed; did you mean 'list'? See: snapctl --help\n"),
        (
            ["rollback", "a", "--afer"],
            "no such option '--afer'; nothing was changed; "
            "did you mean one of: '--after', '--force'? See: snapctl rollback --help\n",
        ),
        (["zzz"], "no such command 'zzz'; nothing was changed; see: snapctl --help\n"),
    ],
)
def test_usage_error_with_a_suggestion_is_a_sentence_for_each(run: Run, arguments: list[str], said: str) -> None:
    assert run(*arguments).err == said


@pytest.mark.parametrize("arguments", USAGE.values(), ids=USAGE.keys())
def test_usage_error_is_one_short_line(run: Run, station: Workstation, arguments: list[str]) -> None:
    result = run(*arguments)
    assert (result.code, result.out) == (2, "")
    line, end = result.err[:-1], result.err[-1:]
    assert end == "\n" and line.isprintable() and 0 < len(line) <= LONGEST_LINE
    assert not station.settings


@pytest.mark.parametrize("arguments", USAGE.values(), ids=USAGE.keys())
@pytest.mark.parametrize("first", [True, False], ids=["before", "after"])
def test_usage_error_json_is_one_object(run: Run, arguments: list[str], first: bool) -> None:
    if arguments == USAGE["option without value"]:
        first = True  # behind it, -o would be the option's value
    if arguments == USAGE["bad output"]:
        first = False  # there the last one counts
    result = run(*(["-o", "json", *arguments] if first else [*arguments, "-o", "json"]))
    assert (result.code, result.out) == (2, "")
    assert result.error["exit_code"] == 2
