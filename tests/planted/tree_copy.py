"""A copy of the tree to plant bugs in, and the tests run on that copy and on nothing else.

The copy's packages must win over the installed ones. What is installed may be this very tree, as an
editable install; it maps `orchestrator.migrations` to the top level of the tree, so the copy has a link
in the place where Python looks first.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests import children

from .bugs import Bug

ROOT = Path(__file__).parents[2]
LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "build", "*.egg-info")
PACKAGES = ("orchestrator", "orchestrator.catalog", "orchestrator.migrations.versions", "tests.twin")
PATIENCE = 300.0
"""Seconds until a run of tests is given up: a bug may make one wait for ever, and that is no proof.

Hence no time limit for its tests: one that exceeded it would have failed, as if it had noticed the bug."""

PASSED, FAILED = 0, 1
"""What pytest exits with. All else (a file that is not there, one that cannot be imported) proves nothing."""


class TreeCopy:
    def __init__(self, directory: Path) -> None:
        self.directory = directory / "tree"
        shutil.copytree(ROOT, self.directory, ignore=LEFT_OUT)
        (self.directory / "orchestrator" / "migrations").symlink_to(self.directory / "migrations")

    @contextmanager
    def planted(self, bug: Bug) -> Iterator[None]:
        """The copy has the bug as long as the context lasts."""
        file = self.directory / bug.file
        sound = file.read_text(encoding="utf-8")
        assert sound.count(bug.old) == 1, f"{bug.file} does not have it once: {bug.old}"
        file.write_text(sound.replace(bug.old, bug.new), encoding="utf-8")
        try:
            yield
        finally:
            file.write_text(sound, encoding="utf-8")

    def test(self, tests: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run these tests up to the first that fails."""
        return self._run("-m", "pytest", "-x", "-q", "--timeout=0", "-p", "no:cacheprovider", "-m", "not long", *tests)

    def origins(self) -> list[Path]:
        """Where the packages come from that the tests of the copy import."""
        script = f"import importlib; [print(importlib.import_module(name).__file__) for name in {PACKAGES}]"
        return [Path(line) for line in self._run("-c", script).stdout.splitlines()]

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """No byte code is kept: a bug as long as what it replaces, planted within a second, would not be seen."""
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(self.directory)}
        return children.run(sys.executable, *arguments, cwd=self.directory, env=environment, timeout=PATIENCE)
