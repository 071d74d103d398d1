"""A guest is started by others between repoint and restore: that is never called a rollback, and it is left alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.coordinator import Coordinator
from orchestrator.errors import StartedOutside
from orchestrator.formats import domainxml
from orchestrator.model import GuestState, OperationState
from tests.crash.test_foreign_acts import ActAtPoint, checkpoint_b, kill, rollback_a
from tests.crash.test_time_passes import WEEK
from tests.crash.twin_host import TwinHost


@pytest.fixture
def host(quick_directory: Path, request: pytest.FixtureRequest) -> Iterator[TwinHost]:
    """A guest with one checkpoint `a`, which it has left."""
    host = TwinHost(quick_directory / f"{request.node.name}.sqlite")
    host.checkpoint("a")
    host.counters["b"] = host.counter
    yield host
    host.close()


VERBS = pytest.mark.parametrize("verb", [checkpoint_b, rollback_a])


@VERBS
def test_guest_is_started_before_its_restore_the_verb_says_so(
    host: TwinHost, verb: Callable[[Coordinator], object]
) -> None:
    def start() -> None:
        host.guest.start().tick(WEEK)

    with pytest.raises(StartedOutside, match="web01 was started outside snapctl before its memory was restored"):
        verb(host.session(ActAtPoint("restored.before", start)))

    assert host.counter > WEEK
    host.check()


@VERBS
def test_guest_is_started_and_paused_before_its_restore_is_not_resumed(
    host: TwinHost, verb: Callable[[Coordinator], object]
) -> None:
    def start() -> None:
        host.guest.start().suspend()

    with pytest.raises(StartedOutside):
        verb(host.session(ActAtPoint("restored.before", start)))

    host.check(state=GuestState.PAUSED)


@VERBS
@pytest.mark.parametrize("goes_off", [False, True])
def test_recover_guest_was_started_before_its_restore_keeps_what_it_wrote(
    host: TwinHost, verb: Callable[[Coordinator], object], goes_off: bool
) -> None:
    kill(host, verb, after="define")
    worked = host.guest.start().tick(WEEK)
    if goes_off:
        host.guest.shut_down()

    (recovered,) = host.session().recover()

    assert recovered.state is OperationState.DONE
    assert "web01 was started outside snapctl" in recovered.detail
    if goes_off:
        host.guest.start()
    assert host.guest.read("vda") == worked
    host.check()
    host.check_rollbacks()


@VERBS
def test_recover_restored_guest_died_and_was_booted_before_it_was_resumed(
    host: TwinHost, verb: Callable[[Coordinator], object]
) -> None:
    """It was restored, which is not recorded; but the run is another one by now."""
    kill(host, verb, after="restore")
    host.world.kill_qemu("web01")
    worked = host.guest.start().tick(WEEK)

    (recovered,) = host.session().recover()

    assert "web01 was started outside snapctl" in recovered.detail
    assert host.counter == worked
    host.check()


@VERBS
def test_recover_guest_was_undefined_before_its_restore_does_not_come_back_as_transient(
    host: TwinHost, verb: Callable[[Coordinator], object]
) -> None:
    kill(host, verb, after="deciding")
    machine = host.guest.machine
    xml = machine.persistent_xml or ""
    if machine.active:
        host.guest.destroy()
    del host.world.machines[machine.uuid]

    (recovered,) = host.session().recover()

    assert "web01 was undefined outside snapctl" in recovered.detail
    assert not host.world.machines
    host.world.define(xml)
    host.check(state=GuestState.OFF)
    host.check_rollbacks()


def test_a_restored_run_carries_the_mark_of_the_operation_that_restored_it_last(host: TwinHost) -> None:
    assert domainxml.run_mark(host.guest.machine.domain().xml) == host.checkpoints()[0].operation_id
    outcome = host.session().checkpoint("web01", "b")
    assert domainxml.run_mark(host.guest.machine.domain().xml) == outcome.id
    host.session().rollback("web01", "b")
    assert domainxml.run_mark(host.guest.machine.domain().xml) not in (None, outcome.id)
    assert domainxml.run_mark(host.guest.machine.persistent_xml or "") is None


@pytest.mark.parametrize("works", [False, True])
def test_recover_does_not_resume_what_its_owner_paused(host: TwinHost, works: bool) -> None:
    """Before a save that came to nothing, or after a resume that was not recorded."""
    if works:
        kill(host, checkpoint_b, after="resume")
        host.guest.tick()
    else:
        kill(host, checkpoint_b, after="complete")
    host.guest.suspend()

    host.session().recover()

    host.check(state=GuestState.PAUSED)
