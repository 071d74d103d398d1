"""Two processes at once (pytest-xdist, `-n 2`): all that needs a box in one of them, in its usual order, as it shares
the box; the rest in the other, a module at a time, as its tests share what was prepared for them."""

from __future__ import annotations

import os
from random import SystemRandom
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.figures import FIGURES, SEED

WITH_BOX = (
    *("tests/badinput/test_on_libvirt.py", "tests/contract/", "tests/kills/", "tests/migrations/test_from_f92f7f5.py"),
    "tests/system/",
)
SENT = "figures"


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]
    def _split_scope(self, nodeid: str) -> str:
        return "box" if nodeid.startswith(WITH_BOX) else nodeid.partition("::")[0]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    return Scheduling(config, log)


def pytest_configure(config: pytest.Config) -> None:
    """All processes draw from one seed."""
    if getattr(config.option, "numprocesses", None):
        os.environ.setdefault(SEED, str(SystemRandom().randrange(10**9)))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker sends its figures to who prints them."""
    if (sent := getattr(session.config, "workeroutput", None)) is not None:
        sent[SENT] = session.config.stash[FIGURES]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    sent: dict[str, list[str]] = getattr(node, "workeroutput", {})
    figures = node.config.stash[FIGURES]
    figures += [line for line in sent.get(SENT, []) if line not in figures]
