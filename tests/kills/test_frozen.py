"""A client on another machine is stopped for longer than its lease, and another takes over: it changes nothing when
it goes on. (One that can be seen alive keeps its operation: `tests/crash/test_two_processes.py`.)"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.system.client import Result
from tests.system.host_state import rows
from tests.waiting import wait_until

from .client import SignalledClient, go_on
from .guest_under_test import GuestUnderTest

pytestmark = pytest.mark.system

BUSY = 4


def recover_when_permitted(client: SignalledClient) -> Result:
    """Nobody else may, for as long as the lease lasts."""

    def recover() -> Result | None:
        result = client.run("-o", "json", "recover")
        return None if result.code == BUSY else result

    return wait_until(recover, what="the end of the lease", poll=0.2)


def move_elsewhere(catalog: Path) -> None:
    """Let the owner of the open operation look as if it were on another machine, where nobody sees it alive."""
    with closing(sqlite3.connect(catalog)) as connection, connection:
        connection.execute("UPDATE operation SET owner_host = 'elsewhere' WHERE state = 'open'")


def freeze_at(subject: GuestUnderTest, verb: str, point: str) -> None:
    attempt = subject.attempt(verb)
    process = subject.client.freeze_at(point, *subject.arguments(attempt))
    move_elsewhere(subject.client.catalog)
    recovered = recover_when_permitted(subject.client)
    assert recovered.code == 0, (point, recovered)
    fate = recovered.json[0]["state"] if recovered.json else "done"
    subject.require_sound(attempt, fate)

    before = rows(subject.client.catalog)
    awake = go_on(process)
    assert awake.code == BUSY, (point, awake)
    assert rows(subject.client.catalog) == before
    subject.require_sound(attempt, fate)


@pytest.mark.parametrize(("verb", "point"), [("checkpoint", "saved.before"), ("rollback", "repointed.after")])
def test_frozen_client_without_lease_changes_nothing(subject: GuestUnderTest, verb: str, point: str) -> None:
    freeze_at(subject, verb, point)


@pytest.mark.long
@pytest.mark.parametrize("verb", ["checkpoint", "rollback"])
def test_frozen_at_any_point_client_without_lease_changes_nothing(subject: GuestUnderTest, verb: str) -> None:
    for point in subject.points(verb):
        freeze_at(subject, verb, point)
