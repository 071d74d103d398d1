"""Errors: one tree, one exit code each, one line of at most 400 characters."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator import errors
from orchestrator.errors import LONGEST_LINE, Refused, SnapctlError, Unfinished, printable
from tests.unit.builders import ACTIVE, BASE, CLEAN, NEXT, in_store

EXIT_CODES = {
    "SnapctlError": 1,
    "OperationUndone": 1,
    "GuestLost": 1,
    "StartedOutside": 1,
    "UsageError": 2,
    "EnvironmentLacks": 3,
    "HypervisorError": 3,
    "CatalogError": 3,
    "Busy": 4,
    "IntegrityError": 5,
    "Refused": 6,
    "NotFound": 6,
    "Unfinished": 7,
    "Interrupted": 130,
}


def _classes(root: type[SnapctlError]) -> list[type[SnapctlError]]:
    return [root, *(kind for child in root.__subclasses__() for kind in _classes(child))]


def test_each_class_has_its_exit_code() -> None:
    ours = {kind.__name__: kind.exit_code for kind in _classes(SnapctlError) if kind.__module__ == errors.__name__}

    assert ours == EXIT_CODES


def test_error_str_has_problem_effect_and_hint_on_one_line() -> None:
    error = Refused("web01 is not running", hint="start it: virsh start web01")

    assert str(error) == "web01 is not running; nothing was changed; start it: virsh start web01"


def test_an_effect_and_a_missing_hint_are_shown_as_they_are() -> None:
    assert str(SnapctlError("it failed", effect="one file was left")) == "it failed; one file was left"


def test_an_unfinished_operation_names_the_next_command() -> None:
    assert str(Unfinished("half done", effect="nothing is lost")).endswith("; run: snapctl recover")


def test_a_program_reads_the_parts_uncut() -> None:
    error = Refused("x" * 1000, effect="e", hint="h")

    assert json.loads(json.dumps(error.as_dict())) == {
        "error": "Refused",
        "message": "x" * 1000,
        "effect": "e",
        "hint": "h",
        "exit_code": 6,
    }


# --------------------------------------------------------------------------- what does not fit


WORDS = "and so on " * 24
"""Enough of them for a line to be too long by a path or two."""


def test_long_paths_are_shortened_when_the_line_is_too_long() -> None:
    other = in_store(NEXT, "vda.qcow2")
    error = Refused(f"disk vda of web01 is {other}, the catalog says {ACTIVE}", hint=WORDS)

    assert str(error) == (
        f"disk vda of web01 is …/{NEXT[:8]}…/vda.qcow2, the catalog says …/{CLEAN[:8]}…/vda.qcow2; "
        f"nothing was changed; {WORDS.strip()}"
    )
    assert other in error.problem
    assert ACTIVE in error.problem


def test_paths_that_fit_are_shown_whole() -> None:
    other = in_store(NEXT, "vda.qcow2")
    error = Refused(f"disk vda of web01 is {other}, the catalog says {ACTIVE}", hint="run: snapctl list web01")
    assert other in str(error)
    assert ACTIVE in str(error)


def test_longest_path_gives_way_first_and_no_more_than_needed() -> None:
    line = str(Refused(f"{BASE} is not {ACTIVE}", effect=WORDS + "so on"))

    assert line.startswith(f"{BASE} is not …/{CLEAN[:8]}…/vda.qcow2; ")


def test_short_path_is_left_as_it_is() -> None:
    assert str(Refused(f"/a/b/c is not {BASE}, " + "and so on " * 40)).startswith(
        "/a/b/c is not …/images/web01.qcow2, "
    )


def test_error_str_cuts_the_middle_of_a_long_problem() -> None:
    error = Refused("begin " + "x" * 500 + " end", hint="run: snapctl list")
    line = str(error)

    assert len(line) == LONGEST_LINE
    assert line.startswith("begin xxx")
    assert line.endswith("xxx end; nothing was changed; run: snapctl list")


@given(problem=st.text(max_size=600), effect=st.text(max_size=300), hint=st.text(max_size=300))
def test_error_str_is_one_printable_line(problem: str, effect: str, hint: str) -> None:
    line = str(SnapctlError(problem, effect=effect, hint=hint))

    assert len(line) <= LONGEST_LINE
    assert line.isprintable()


# --------------------------------------------------------------------------- hostile text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("two\nlines\t and\r\n more", "two lines and more"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("nul\0", r"nul\x00"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("lone \udc80", r"lone \udc80"),
        ("größe 大きさ", "größe 大きさ"),
    ],
)
def test_hostile_characters_are_shown_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text())
def test_printable_can_be_encoded_as_utf8(text: str) -> None:
    shown = printable(text)

    assert shown.isprintable()
    shown.encode("utf-8")
