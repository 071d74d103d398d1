"""What a user's catalog says, read without snapctl."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from dataclasses import dataclass
from pathlib import Path

FILES = "SELECT path FROM layer WHERE operation_id IS NOT NULL UNION SELECT path FROM artifact WHERE kind = 'memory'"
FROZEN = "SELECT DISTINCT layer.path FROM artifact JOIN layer ON layer.id = layer_id WHERE layer.kind = 'file'"
HEAD = "SELECT head_disk.target, path FROM head_disk JOIN layer ON layer.id = layer_id"
CHECKPOINTS = "SELECT name FROM checkpoint ORDER BY created"
LEAVES = """SELECT name FROM checkpoint WHERE id NOT IN (SELECT parent_id FROM checkpoint WHERE parent_id NOT NULL)
AND id NOT IN (SELECT checkpoint_id FROM head WHERE checkpoint_id NOT NULL) ORDER BY created"""
LAST = """SELECT kind, state, completed FROM operation JOIN operation_member ON operation.id = operation_id
ORDER BY opened DESC LIMIT 1"""
UNSETTLED = "SELECT kind FROM operation WHERE state = 'open'"


@dataclass(frozen=True)
class Catalogued:
    """Of the one domain that its user has."""

    files: set[str]  # of those that snapctl made
    frozen: set[str]  # the layers that checkpoints were taken on
    head: dict[str, str]  # target -> active overlay
    checkpoints: list[str]  # names, oldest first
    leaves: list[str]  # those of them that nothing depends on
    unsettled: list[str]  # kinds of the operations that are open
    stopped_unrecorded: bool  # a rollback was undone last, and whether it stopped the guest is not recorded


def read(catalog: Path) -> Catalogued:
    with contextlib.closing(sqlite3.connect(f"file:{catalog}?mode=rw", uri=True)) as database:
        return Catalogued(
            files={path for (path,) in database.execute(FILES)},
            frozen={path for (path,) in database.execute(FROZEN)},
            head=dict(database.execute(HEAD).fetchall()),
            checkpoints=[name for (name,) in database.execute(CHECKPOINTS)],
            leaves=[name for (name,) in database.execute(LEAVES)],
            unsettled=[kind for (kind,) in database.execute(UNSETTLED)],
            stopped_unrecorded=_is_stop_unrecorded(*(database.execute(LAST).fetchone() or ("", "", "[]"))),
        )


def _is_stop_unrecorded(kind: str, state: str, completed: str) -> bool:
    return (kind, state) == ("rollback", "undone") and "stopped" not in json.loads(completed)
