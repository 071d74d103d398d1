"""Every bad input: one line, the right exit code, nothing changed, no changing call made."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path
from time import monotonic

import pytest

from orchestrator.cli import main
from orchestrator.errors import LONGEST_LINE
from orchestrator.ports import Domains, Storage
from tests.recorder import CHANGING, READING
from tests.workstation import Workstation

from .case import FAILED, Case, Elsewhere, Unconcerned
from .table import LISTED, TABLE

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs/bad-inputs.md").read_text(encoding="utf-8")
CASES = [row for row in TABLE if isinstance(row, Case)]
MARKS = ("damage", "sha256")
"""Columns that a verify fills."""
JOURNAL = ("operation", "operation_member", "seen")
"""Where an operation that was undone stays on record."""
LONGEST_TIME = 20.0
"""Seconds until the answer, on a machine that is busy: no bad input may hold anybody up."""


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.number} {case.what}".encode("unicode_escape").decode())
def test_bad_input_is_refused(case: Case, station: Workstation, capsys: pytest.CaptureFixture[str]) -> None:
    case.provoke(station)
    legitimate = MARKS if case.marks else JOURNAL if case.code == FAILED else ()
    before = station.seen(but=legitimate)
    began = monotonic()

    code = main(case.argv, connect=None if case.over_libvirt else station.connect)

    took = monotonic() - began
    out, err = capsys.readouterr()
    line, *others = err.split("\n")
    assert (code, others) == (case.code, [""]), err
    assert case.says in line
    assert line.isprintable() and len(line) <= LONGEST_LINE
    assert "hunter2" not in line
    assert out == "" or case.marks  # what a verify found is a result, too
    assert station.seen(but=legitimate) == before
    assert not station.changes or code == FAILED
    assert took < LONGEST_TIME


def test_the_bench_is_sound(station: Workstation) -> None:
    """What the table has refused is refused for its one reason: without that all of it works."""
    for argv in (
        ("verify", "--deep"),
        ("rollback", "web01", "work", "-y", "--verify"),
        ("checkpoint", "web01", "new"),
        ("checkpoint", "web03", "new"),
        ("rollback", "web01", "clean", "-y"),
        ("delete", "web01", "new", "-y"),
    ):
        station.changes.clear()
        before = station.seen()
        assert main(argv, connect=station.connect) == 0
        assert bool(station.changes) == (argv[0] != "verify")
        assert station.seen() != before


def test_every_call_is_known_for_changing_or_not() -> None:
    calls = {name for port in (Domains, Storage) for name in vars(port) if not name.startswith("_")}
    assert calls == CHANGING | READING
    assert not CHANGING & READING


def test_bad_inputs_list_is_complete(figure: Callable[[str], None]) -> None:
    """Each number of the list has a row; what is tested elsewhere is there."""
    assert {row.number for row in TABLE} == set(LISTED)
    assert [int(number) for number in re.findall(r"^\| (\d+) \|", DOCUMENT, re.MULTILINE)] == list(LISTED)
    for row in TABLE:
        if isinstance(row, Elsewhere):
            file, _, function = row.test.partition("::")
            tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
            assert function in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}, row
    unconcerned = [row for row in TABLE if isinstance(row, Unconcerned)]
    figure(
        f"bad inputs: {len(CASES)} given to the command, {len(TABLE) - len(CASES) - len(unconcerned)} tested"
        f" elsewhere, {len(unconcerned)} impossible as yet"
    )
