"""Ctrl-C and a lost lease: each is settled, by us or by whoever took over."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import text

from orchestrator.catalog import LeaseTimes, open_catalog
from orchestrator.catalog.database import Database
from orchestrator.errors import Busy, Interrupted, Unfinished
from orchestrator.model import OperationState
from tests.crash.faults import Kind
from tests.unit.builders import DOMAIN, host
from tests.unit.journal_harness import PIVOT, POINTS, JournalHarness, aborted

# --------------------------------------------------------------------------- Ctrl-C


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, aborted])
@pytest.mark.parametrize(
    ("event", "effect"),
    [
        ("made.before", "the checkpoint was undone; web01 is running"),
        ("made.done", "the checkpoint was undone; web01 is running"),
        ("turned.do", "the checkpoint was undone; web01 is running"),
        ("turned.done", "the checkpoint was completed; web01 is running"),
        ("told.do", "the checkpoint was completed; web01 is running"),
    ],
)
def test_run_interrupted_is_settled_first(
    harness: JournalHarness, interrupt: Callable[[], BaseException], event: str, effect: str
) -> None:
    harness.fail(event, interrupt())

    with pytest.raises(Interrupted) as interrupted:
        harness.execute()

    assert interrupted.value.exit_code == 130
    assert interrupted.value.effect == effect
    harness.assert_whole()
    assert bool(harness.outside.effects) == ("completed" in effect)


def test_run_interrupted_twice_is_unfinished(harness: JournalHarness) -> None:
    harness.fail("turned.do", Kind.INTERRUPTED)
    harness.fail("made.undo", Kind.INTERRUPTED)

    with pytest.raises(
        Unfinished, match="not finished: interrupted; nothing is lost; web01 is running; run: snapctl recover"
    ):
        harness.execute()

    assert harness.is_open
    assert harness.recover() is OperationState.UNDONE


def test_run_interrupted_after_last_commit_is_completed(
    harness: JournalHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is in the catalog that it is done, and we were never told."""
    close = harness.lease.close
    interrupts = iter([KeyboardInterrupt()])

    def close_and_be_interrupted(state: OperationState, error: str | None = None) -> None:
        close(state, error)
        for interrupt in interrupts:
            raise interrupt

    monkeypatch.setattr(harness.lease, "close", close_and_be_interrupted)

    with pytest.raises(Interrupted) as interrupted:
        harness.execute()

    assert interrupted.value.effect == "the checkpoint was completed; web01 is running"
    harness.assert_done()


# --------------------------------------------------------------------------- a lost lease


class Thief:
    """Another process that takes the operation over when a certain event is reached first."""

    def __init__(self, url: str, event: str) -> None:
        self._url = url
        self._event = event

    def __call__(self, event: str) -> None:
        if event == self._event:
            self._event = ""
            other = open_catalog(self._url, host())
            with Database(self._url).write() as session:  # whose lease has run out, and who cannot be seen alive
                session.execute(text("UPDATE operation SET owner_host = 'elsewhere'"))
            (operation,) = other.unsettled(DOMAIN)
            other.take_over(operation)
            other.close_connection()


@pytest.fixture
def frozen(url: str) -> Iterator[JournalHarness]:
    """Of a process that does not beat, so that its lease has run out at once."""
    catalog = open_catalog(url, host(), LeaseTimes(ttl=0.0, beat=3600.0, lost=3600.0))
    yield JournalHarness(catalog)
    catalog.close_connection()


@pytest.mark.parametrize(
    ("stolen_at", "effects"),
    [
        ("check_preconditions", []),
        ("made.before", []),
        ("made.after", ["made"]),
        ("turned.before", ["made"]),
        ("turned.after", ["made", "turned"]),
        ("told.after", ["made", "turned", "kept", "told"]),
    ],
)
def test_run_lease_lost_changes_nothing_more(
    frozen: JournalHarness, url: str, stolen_at: str, effects: list[str]
) -> None:
    frozen.outside.observer = Thief(url, stolen_at)

    with pytest.raises(Busy) as busy:
        frozen.run().execute()

    assert busy.value.exit_code == 4
    assert frozen.outside.effects == effects
    since = frozen.outside.events[frozen.outside.events.index(stolen_at) + 1 :]
    assert [event for event in since if event not in POINTS] in ([], [f"{stolen_at.partition('.')[0]}.observe"])
    assert frozen.is_open
    assert frozen.recover() is (OperationState.DONE if PIVOT in effects else OperationState.UNDONE)


def test_undo_lease_lost_stops(frozen: JournalHarness, url: str) -> None:
    frozen.fail("turned.do", Kind.ERROR_BEFORE)
    frozen.outside.observer = Thief(url, "turned.undo.after")

    with pytest.raises(Busy):
        frozen.run().execute()

    assert frozen.outside.effects == ["made"]
    assert frozen.recover() is OperationState.UNDONE


def test_settle_lease_lost_does_not_retreat(frozen: JournalHarness, url: str) -> None:
    frozen.outside.retreats = True
    frozen.fail("kept.do", Kind.ERROR_BEFORE)
    frozen.outside.observer = Thief(url, "kept.do")

    with pytest.raises(Busy, match="nothing more was changed"):
        frozen.run().execute()

    assert "fall_back" not in frozen.outside.events
    assert frozen.outside.effects == ["made", "turned"]
    assert frozen.recover() is OperationState.DONE
