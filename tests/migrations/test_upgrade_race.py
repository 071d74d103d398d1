"""A catalog that is upgraded while older and newer clients work with it.

No operation that an older client begins may be taken over as one that is not open: either the upgrade is refused and
the older client ends what it began, or the catalog is upgraded and the older client begins nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from threading import Thread

import pytest
from sqlalchemy import text

from orchestrator.catalog import open_catalog, upgrade
from orchestrator.catalog.database import Database
from orchestrator.catalog.schema import NEWEST
from orchestrator.errors import CatalogError, Refused
from orchestrator.model import MemberRecord, OperationKind, OperationState
from tests.children import Child
from tests.waiting import join, wait_until

from . import old
from .rows import HOST, OPENED, execute, make_old, rows_of
from .test_migrations import go_to

WAITING = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
OPEN = text("SELECT id FROM operation WHERE state = 'open'")


class Attempt:
    """Something that is done in a thread of its own."""

    def __init__(self, act: Callable[[], object]) -> None:
        self._act = act
        self._error: Exception | None = None
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._act()
        except Exception as error:  # noqa: BLE001 - handed on by `error`
            self._error = error

    def error(self) -> Exception | None:
        """What it ended with."""
        join(self._thread)
        return self._error


def upgrade_it(url: str) -> None:
    upgrade(url)


def migrate_it(url: str) -> None:
    """As Alembic's command line does, without what `upgrade` does before it."""
    database = Database(url, foreign_keys=False)
    try:
        go_to(database, NEWEST)
    finally:
        database.close()


def wait_for_waiting(url: str, number: int) -> None:
    """Until so many wait for a lock on the server."""
    database = Database(url)

    def wait() -> bool:
        with database.read() as session:
            return bool(session.scalar(WAITING) == number)

    wait_until(wait, what=f"{number} that wait for a lock")
    database.close()


def revision(database: Database) -> str:
    with database.read() as session:
        return str(session.scalar(text("SELECT version_num FROM alembic_version")))


@pytest.mark.parametrize("act", [upgrade_it, migrate_it])
def test_operation_being_opened_when_upgrade_begins_keeps_catalog_as_it_is(
    old_catalog: Database, url: str, act: Callable[[str], None]
) -> None:
    with old_catalog.write() as session:
        session.execute(text(OPENED.replace(":", r"\:")))
        attempt = Attempt(lambda: act(url))
        if url.startswith("postgresql"):
            wait_for_waiting(url, 1)
    error = attempt.error()
    assert isinstance(error, Refused | RuntimeError) and "unfinished" in str(error)
    assert revision(old_catalog) == "0004"
    with old_catalog.read() as session:
        assert session.scalars(OPEN).all() == ["open"]


def test_upgrade_sees_operation_opened_while_it_waited_on_server_that_repeats_reads(postgresql_url: str) -> None:
    with make_old(postgresql_url) as database:
        execute(database, "ALTER DATABASE postgres SET default_transaction_isolation TO 'repeatable read'")
        with database.write() as session:
            session.execute(text(OPENED.replace(":", r"\:")))
            attempt = Attempt(lambda: upgrade(postgresql_url))
            wait_for_waiting(postgresql_url, 1)
        assert isinstance(attempt.error(), Refused)


@pytest.mark.parametrize("act", [upgrade_it, migrate_it])
def test_operation_to_be_opened_during_upgrade_is_not_opened(postgresql_url: str, act: Callable[[str], None]) -> None:
    with make_old(postgresql_url) as database:
        reader = Database(postgresql_url)
        with reader.read() as reading:
            reading.execute(text("SELECT count(*) FROM checkpoint"))  # holds the upgrade up, past its checks
            attempt = Attempt(lambda: act(postgresql_url))
            wait_for_waiting(postgresql_url, 1)
            opening = Attempt(lambda: execute(database, OPENED))
            wait_for_waiting(postgresql_url, 2)
        reader.close()
        assert attempt.error() is None
        error = opening.error()
        assert isinstance(error, CatalogError) and error.effect == "nothing was recorded"
        assert revision(database) == NEWEST
        with database.read() as session:
            assert session.scalars(OPEN).all() == []


def test_newer_client_is_refused_during_upgrade_and_works_after_it(postgresql_url: str) -> None:
    with make_old(postgresql_url):
        reader = Database(postgresql_url)
        with reader.read() as reading:
            reading.execute(text("SELECT count(*) FROM checkpoint"))
            attempt = Attempt(lambda: upgrade(postgresql_url))
            wait_for_waiting(postgresql_url, 1)
            with pytest.raises(CatalogError, match="older schema 0004"):
                open_catalog(postgresql_url, HOST)
        reader.close()
        assert attempt.error() is None
        open_catalog(postgresql_url, HOST).close_connection()


def test_upgrade_that_is_refused_changes_nothing(old_catalog: Database, url: str) -> None:
    execute(old_catalog, OPENED)
    before = rows_of(old_catalog)
    with pytest.raises(Refused, match="1 unfinished operation"):
        upgrade(url)
    assert rows_of(old_catalog) == before


def test_upgrade_among_older_and_newer_clients_takes_over_only_what_has_ended(
    old_catalog: Database, url: str, tmp_path: Path
) -> None:
    root = old.unpack(tmp_path)
    older = ["one", "two"]
    with ExitStack() as stack:
        scripts = [[sys.executable, str(old.FIXTURES / "begin.py"), url, name] for name in older]
        clients = [stack.enter_context(Child(script, env=old.environment(root), cwd=root)) for script in scripts]
        for client in clients:
            wait_until(lambda client=client: client.stdout.count("ended") > 2, what="work", process=client)  # type: ignore[misc]
        newer = Attempt(lambda: wait_until(lambda: work(url), what="a catalog of the newest schema"))
        wait_until(lambda: is_upgraded(url), what="a moment without an open operation")
        assert newer.error() is None
        printed = [client.finish().stdout.splitlines() for client in clients]

    begun = [line for lines in printed for line in lines if line.partition("-")[0] in older]
    for lines in printed:
        assert lines[-1].startswith("refused")
        assert lines.count("ended") == sum(line in begun for line in lines), "what was begun could not be ended"
    with old_catalog.read() as session:
        assert session.scalars(OPEN).all() == []
        done = text("SELECT id, decision, open FROM operation JOIN operation_member ON id = operation_id")
        found = {row.id: (row.decision, bool(row.open)) for row in session.execute(done)}
    assert found.pop("newer") == (None, False)
    assert found.pop("op") == ("forward", False)
    assert found == dict.fromkeys(begun, ("forward", False))


def is_upgraded(url: str) -> bool:
    try:
        return upgrade(url).after == NEWEST
    except Refused:
        return False


def work(url: str) -> bool:
    """What a client of today does, which is refused until the catalog is upgraded."""
    try:
        catalog = open_catalog(url, HOST)
    except CatalogError as error:
        assert "older schema 0004" in str(error)
        return False
    member = MemberRecord(domain_uuid="d", domain_name="web", plan={})
    operation = catalog.open_operation(operation_id="newer", kind=OperationKind.EDIT, version=2, members=[member])
    operation.close(OperationState.DONE)
    catalog.close_connection()
    return True
