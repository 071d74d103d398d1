"""Figures that suites measure: printed at the end of the run, whether tests failed or not."""

from __future__ import annotations

import os
from collections.abc import Callable
from random import SystemRandom

import pytest

FIGURES = pytest.StashKey[list[str]]()
SEED = "SNAPCTL_SEED"


@pytest.fixture(scope="session")
def figure(pytestconfig: pytest.Config) -> Callable[[str], None]:
    """``figure("312 kills, 0 losses")``: one line for the end of the run."""
    return pytestconfig.stash[FIGURES].append


@pytest.fixture(scope="session")
def seed(figure: Callable[[str], None]) -> str:
    """What all that is drawn at random depends on: a new one each time, or that of a run to be repeated."""
    chosen = os.environ.get(SEED) or str(SystemRandom().randrange(10**9))
    figure(f"drawn with {SEED}={chosen}")
    return chosen


def pytest_configure(config: pytest.Config) -> None:
    config.stash[FIGURES] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if config.stash[FIGURES]:
        terminalreporter.section("figures")
        for line in config.stash[FIGURES]:
            terminalreporter.write_line(line)
