"""Somebody acts behind our back after a kill: nothing that he made or saw is lost, nothing is paired wrongly.

Each story is killed at one call; then the owner of the guest does what owners do; then comes recovery.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator import domainxml
from orchestrator.coordinator import Coordinator
from orchestrator.errors import HypervisorError, NotFound, Refused, Unfinished
from orchestrator.model import GuestState, OffReason, Source
from tests.crash.faults import Call, Fault, Killed, Kind
from tests.crash.injectors import CallInjector
from tests.crash.twin_host import TwinHost


@pytest.fixture
def host(quick_directory: Path, request: pytest.FixtureRequest) -> Iterator[TwinHost]:
    """A guest that stands on checkpoint `a`."""
    host = TwinHost(quick_directory / f"{request.node.name}.sqlite")
    host.checkpoint("a")
    yield host
    host.close()


def kill(host: TwinHost, act: Callable[[Coordinator], object], *, after: str, times: int = 1) -> None:
    """Kill the client that acts after its n-th call of that name."""
    fault = Fault(Call(after, times), Kind.KILLED)
    with pytest.raises(Killed):
        act(host.session(CallInjector(fault)))
    host.expire_leases()


def fail(*arguments: object) -> None:
    raise HypervisorError("injected")


def checkpoint_b(session: Coordinator) -> object:
    return session.checkpoint("web01", "b")


def rollback_a(session: Coordinator) -> object:
    return session.rollback("web01", "a")


def test_a_guest_started_on_the_new_overlays_keeps_what_it_wrote(host: TwinHost) -> None:
    host.counters["b"] = host.counter
    kill(host, checkpoint_b, after="define")
    host.guest.start()
    worked = host.guest.tick(100)
    host.guest.shut_down()

    host.session().recover()

    assert host.guest.start().read("vda") == worked
    host.check()
    host.check_rollbacks()


def test_a_guest_that_runs_on_the_new_overlays_goes_on(host: TwinHost) -> None:
    host.counters["b"] = host.counter
    kill(host, checkpoint_b, after="define")
    worked = host.guest.start().tick(100)

    host.session().recover()

    assert host.counter == worked
    host.check()
    host.check_rollbacks()


def test_a_guest_started_on_the_saved_disks_makes_the_image_stale(host: TwinHost) -> None:
    """Its persistent XML still names them: the image must not be paired with disks that moved on."""
    kill(host, checkpoint_b, after="save")
    worked = host.guest.start().tick(100)

    host.session().recover()

    assert host.counter == worked
    assert [summary.name for summary in host.session().list()] == ["a"]
    host.check()


def test_an_image_that_may_be_stale_is_neither_used_nor_deleted(host: TwinHost) -> None:
    kill(host, checkpoint_b, after="save")
    host.guest.start().tick(100)
    host.guest.shut_down()
    files = set(host.world.files.files)

    with pytest.raises(Unfinished, match="may have run"):
        host.session().recover()
    assert set(host.world.files.files) == files

    host.guest.start()  # the way out that the message names
    host.session().recover()
    host.check()


@pytest.mark.parametrize("reason", [OffReason.UNKNOWN, OffReason.SAVED])
def test_a_saved_guest_is_brought_back_after_a_daemon_restart_too(host: TwinHost, reason: OffReason) -> None:
    host.counters["b"] = host.counter
    kill(host, checkpoint_b, after="save")
    if reason is OffReason.UNKNOWN:
        host.world.restart_daemon()
    assert host.guest.machine.off_reason is reason

    host.session().recover()

    assert host.counter == host.counters["b"]
    host.check()
    host.check_rollbacks()


def test_work_done_on_the_former_disks_after_a_broken_rollback_is_kept(host: TwinHost) -> None:
    kill(host, rollback_a, after="complete", times=2)  # "stopped" is recorded
    worked = host.guest.start().tick(100)
    host.guest.shut_down()

    host.session().recover()

    assert host.guest.start().read("vda") == worked
    host.check()


def test_a_guest_started_on_its_former_disks_after_a_broken_rollback_goes_on(host: TwinHost) -> None:
    kill(host, rollback_a, after="destroy")
    worked = host.guest.start().tick(100)

    host.session().recover()

    assert host.counter == worked
    host.check()


def test_a_guest_started_on_the_overlays_of_a_broken_rollback_goes_on(host: TwinHost) -> None:
    kill(host, rollback_a, after="define")
    worked = host.guest.start().tick(100)

    host.session().recover()

    assert host.counter == worked
    host.check()
    assert host.session().list()[0].current


def test_what_was_being_undone_is_not_taken_up_again(host: TwinHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rollback that failed before the stop, killed in its undo; then the owner shuts his guest down."""
    kept = host.counter
    with monkeypatch.context() as patch:
        patch.setattr(host.world, "power_off", fail)  # it cannot be stopped
        kill(host, rollback_a, after="decide")
    host.guest.shut_down()

    host.session().recover()

    assert host.guest.start().read("vda") == kept
    host.check()


def test_an_image_that_may_be_all_that_is_left_outlives_an_undo(
    host: TwinHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint could not go forward; killed in its undo, when the guest was back, whose QEMU died then."""
    original = host.guest.machine.domain().sources()
    begin_restore = host.world.begin_restore

    def onto_the_original_disks_only(path: str, xml: str) -> object:
        if str(original["vda"]) not in xml:
            fail()
        return begin_restore(path, xml)

    with monkeypatch.context() as patch:
        patch.setattr(host.world, "begin_restore", onto_the_original_disks_only)
        patch.setattr(host.world, "define", fail)
        kill(host, checkpoint_b, after="decide")
    assert host.guest.machine.domain().sources() == original
    host.world.kill_qemu("web01")
    files = set(host.world.files.files)

    with pytest.raises(Unfinished, match="may have run"):
        host.session().recover()
    assert set(host.world.files.files) == files


class ActAtPoint(CallInjector):
    """Somebody acts when a client reaches a point."""

    def __init__(self, point: str, act: Callable[[], object]) -> None:
        super().__init__()
        self._point = point
        self._act = act

    def reach(self, point: str) -> None:
        if point == self._point:
            self._act()


def test_a_run_that_nobody_asked_to_discard_is_not_stopped(host: TwinHost) -> None:
    """The owner has started his guest anew since the rollback was planned: on the same disks, but he worked on."""

    def start_anew() -> None:
        host.guest.shut_down()
        host.guest.start().tick(100)

    with pytest.raises(Refused, match="was changed by somebody"):
        rollback_a(host.session(ActAtPoint("stopped.before", start_anew)))

    assert host.guest.read("vda") == host.counter
    assert host.counter > 100
    host.check()


@pytest.mark.parametrize("before", ["chain", "facts_of"])
def test_a_checkpoint_that_is_deleted_while_its_files_are_looked_at_is_not_called_damaged(
    host: TwinHost, before: str
) -> None:
    host.checkpoint("b")
    host.rollback("a")

    class Deleted(CallInjector):
        def call(self, name: str, port_error: type[Exception], act: Callable[[], Any]) -> Any:
            if name == before and before not in self.calls:
                host.session().delete("web01", ["b"])
            return super().call(name, port_error, act)

    with pytest.raises(NotFound, match=r"has no checkpoint b|was deleted meanwhile"):
        host.session(Deleted()).rollback("web01", "b")
    host.check()


def test_a_transient_guest_whose_first_checkpoint_broke_is_brought_back(quick_directory: Path) -> None:
    host = TwinHost(quick_directory / "transient.sqlite", persistent=False)
    host.counters["new"] = host.counter
    kill(host, lambda session: session.checkpoint("web01", "new"), after="save")
    assert not host.world.machines

    host.session().recover("web01")

    assert host.counter == host.counters["new"]
    host.check()
    host.close()


def test_a_domain_that_somebody_holds_on_other_disks_is_not_touched(host: TwinHost) -> None:
    """After the commit of a checkpoint the guest is off; somebody edits its disks and starts it."""
    kill(host, checkpoint_b, after="commit_checkpoint")
    machine = host.guest.machine
    assert machine.state is GuestState.OFF
    host.world.add("other", disks=2)
    other = {target: Source(path=f"/images/other-{target}.qcow2", format="qcow2") for target in ("vda", "vdb")}
    host.world.define(domainxml.on_disks(machine.persistent_xml or "", other))
    host.guest.start()

    with pytest.raises(Unfinished, match="other disks"):
        host.session().recover()

    assert host.guest.machine.active
