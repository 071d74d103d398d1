"""A history written down as a script that plays it again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.crash.histories.history import History

MEMORY = Path("/dev/shm")

HEAD = """\
# A history that fails. Run it from the top of the tree: .venv/bin/python THIS_FILE
from orchestrator.model import After
from tests.crash.histories.script import new_history
from tests.crash.faults import Fault, Kind

with new_history() as history:
"""


@contextmanager
def new_history() -> Iterator[History]:
    """A history at its beginning; its catalog lies in memory where there is such a place."""
    with (
        TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as directory,
        History(Path(directory)) as history,
    ):
        yield history


class Script:
    """Plays steps, and keeps them. `text` is the script of all of them so far, the last one included."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._lines: list[str] = []

    def play(self, step: str, *arguments: Any) -> None:
        self._lines.append(f"    history.{step}({', '.join(map(as_code, arguments))})\n")
        getattr(self._history, step)(*arguments)

    @property
    def text(self) -> str:
        return HEAD + "".join(self._lines)


def as_code(value: Any) -> str:
    """An expression that gives the value, in the names that the script imports."""
    if isinstance(value, Enum):
        return f"{type(value).__name__}.{value.name}"
    if is_dataclass(value):
        parts = (f"{field.name}={as_code(getattr(value, field.name))}" for field in fields(value))
        return f"{type(value).__name__}({', '.join(parts)})"
    return repr(value)
