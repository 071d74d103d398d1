"""An upgrade that is killed changes nothing, wherever it is, and can be repeated."""

from __future__ import annotations

import sys
from itertools import count

import pytest

from orchestrator.catalog import open_catalog, upgrade
from orchestrator.catalog.database import Database
from tests import children

from .rows import HOST, rows_of

KILLED = 9
"""The exit status of one that did not come to its end."""

SCRIPT = f"""
import os, sys
from sqlalchemy import event
from sqlalchemy.engine import Engine
from orchestrator.catalog import upgrade
left = int(sys.argv[2])
@event.listens_for(Engine, "before_cursor_execute")
def count(*_):
    global left
    left -= 1
    if left < 0:
        os._exit({KILLED})  # as by SIGKILL
upgrade(sys.argv[1])
"""


@pytest.mark.parametrize("apart", [20, pytest.param(3, marks=pytest.mark.long)])
def test_upgrade_killed_between_statements_changes_nothing(old_catalog: Database, url: str, apart: int) -> None:
    before = rows_of(old_catalog)
    for statements in count(apart, apart):
        code = children.run(sys.executable, "-c", SCRIPT, url, str(statements)).returncode
        if code == 0:
            break
        assert code == KILLED
        assert rows_of(old_catalog) == before, f"killed after {statements} statements"
    assert statements > 2 * apart, "it was hardly killed"
    upgrade(url)
    catalog = open_catalog(url, HOST)
    assert [each.name for each in catalog.summaries("d")] == ["first", "second", "going"]
    catalog.close_connection()
