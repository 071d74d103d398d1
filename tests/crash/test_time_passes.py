"""Time passes between a kill and the recovery: what was done in it is its owner's, whichever verb comes next."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.coordinator import Coordinator
from orchestrator.errors import HypervisorError, OperationUndone, SnapctlError, Unfinished
from orchestrator.formats import domainxml
from orchestrator.model import GuestState, OffReason, OperationState, Source
from orchestrator.operations.edit.plan import Edits
from tests.crash.test_foreign_acts import checkpoint_b, kill, rollback_a
from tests.crash.twin_host import TwinHost
from tests.twin.domains import TwinDomains
from tests.twin.files import File

WEEK = 1000
"""What a guest counts up to in a week."""


@pytest.fixture
def host(quick_directory: Path, request: pytest.FixtureRequest) -> Iterator[TwinHost]:
    """A guest with one checkpoint `a`, which it has left."""
    host = TwinHost(quick_directory / f"{request.node.name}.sqlite")
    host.checkpoint("a")
    yield host
    host.close()


def reboot(host: TwinHost) -> None:
    host.guest.shut_down()
    host.guest.start()


def run_on(host: TwinHost) -> None:
    """It just works."""


def shut_down(host: TwinHost) -> None:
    host.guest.shut_down()


def destroy(host: TwinHost) -> None:
    host.guest.destroy()


def crash(host: TwinHost) -> None:
    host.world.kill_qemu("web01")


def managed_save(host: TwinHost) -> None:
    host.guest.managed_save()


def save_elsewhere(host: TwinHost) -> None:
    """virsh save, to a file of the owner's."""
    host.world.power_off(host.guest.machine, OffReason.SAVED)


def reboot_host(host: TwinHost) -> None:
    """Nobody knows then why a domain is off."""
    host.guest.shut_down()
    host.world.restart_daemon()


ENDS = (run_on, reboot, shut_down, destroy, crash, managed_save, reboot_host)
VERBS: dict[str, Callable[[Coordinator], object]] = {
    "recover": lambda session: session.recover(),
    "edit": lambda session: session.edit("web01", "a", Edits(description="edited")),
    "delete": lambda session: session.delete("web01", ["a"]),
    "collapse": lambda session: session.collapse("web01"),
}


def settle_with(host: TwinHost, verb: Callable[[Coordinator], object]) -> None:
    """Some verb that is about something else; it may itself be refused. Then there is nothing left to recover."""
    try:
        verb(host.session())
    except SnapctlError as error:
        print(error)
    host.session().recover()


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
@pytest.mark.parametrize("end", ENDS)
def test_rollback_killed_before_stop_guest_worked_on_loses_nothing(
    host: TwinHost, end: Callable[[TwinHost], None], verb: Callable[[Coordinator], object]
) -> None:
    kill(host, rollback_a, after="complete")  # "prepared" is recorded
    worked = host.guest.tick(WEEK)
    end(host)
    state, disks = host.guest.machine.state, host.guest.machine.domain().persistent_sources()

    settle_with(host, verb)

    assert host.guest.machine.state is state
    assert host.guest.machine.domain().persistent_sources() == disks
    assert {host.world.files.read(path or "", "counter") for path in disks.values()} == {worked}
    assert host.session().unfinished() == []


@pytest.mark.parametrize("end", ENDS)
def test_rollback_of_guest_that_was_off_killed_owner_worked_in_it_loses_nothing(
    host: TwinHost, end: Callable[[TwinHost], None]
) -> None:
    host.guest.shut_down()
    kill(host, rollback_a, after="complete", times=2)  # "stopped" is recorded, though there was nothing to stop
    worked = host.guest.start().tick(WEEK)
    end(host)
    state, disks = host.guest.machine.state, host.guest.machine.domain().persistent_sources()

    host.session().recover()

    assert host.guest.machine.state is state
    assert {host.world.files.read(path or "", "counter") for path in disks.values()} == {worked}


def test_rollback_killed_after_stop_guest_suspended_before_it_wrote_is_undone_around_it(host: TwinHost) -> None:
    kill(host, rollback_a, after="complete", times=2)
    host.guest.start()
    host.guest.managed_save()

    (recovered,) = host.session().recover()

    assert recovered.state is OperationState.UNDONE
    assert host.guest.machine.managed_save
    assert host.guest.machine.state is GuestState.OFF


def test_rollback_of_guest_that_was_off_killed_before_stop_is_undone(host: TwinHost) -> None:
    host.guest.shut_down()
    kill(host, rollback_a, after="complete")

    (recovered,) = host.session().recover()

    assert recovered.state is OperationState.UNDONE
    assert host.guest.machine.state is GuestState.OFF
    host.check(state=GuestState.OFF)


@pytest.mark.parametrize("restarted", [False, True], ids=["at once", "daemon restarted"])
def test_rollback_killed_right_after_stop_is_undone(host: TwinHost, *, restarted: bool) -> None:
    """The stop is not recorded: its owner may have destroyed it in that instant. It stays off, on its disks."""
    kept = host.counter
    kill(host, rollback_a, after="destroy")
    if restarted:
        host.world.restart_daemon()

    (recovered,) = host.session().recover()

    assert recovered.state is OperationState.UNDONE
    assert "web01 is shut off" in recovered.detail
    host.check(state=GuestState.OFF)
    assert host.guest.start().read("vda") == kept


def test_rollback_of_transient_killed_right_after_stop_names_its_disks(quick_directory: Path) -> None:
    """It is gone, and with it all that names them."""
    host = TwinHost(quick_directory / "transient, stopped.sqlite", persistent=False)
    host.checkpoint("a")
    tops = host.guest.machine.tops()
    kill(host, rollback_a, after="destroy")

    (recovered,) = host.session().recover()

    assert recovered.state is OperationState.UNDONE
    assert all(path in recovered.detail for path in tops.values())
    host.close()


def test_recover_overlay_that_a_power_cut_shortened_was_not_written_to(host: TwinHost) -> None:
    kill(host, rollback_a, after="define")
    new = host.guest.machine.domain().persistent_sources()
    for path in new.values():
        host.world.files.put(str(path), File(b""))

    (recovered,) = host.session().recover()

    assert recovered.state is OperationState.DONE
    assert host.counter == host.counters["a"]
    host.check()


def test_rollback_killed_right_after_stop_is_recorded_is_finished(host: TwinHost) -> None:
    kill(host, rollback_a, after="complete", times=2)

    (recovered,) = host.session().recover()

    assert recovered.state is OperationState.DONE
    assert host.counter == host.counters["a"]
    host.check()


def test_rollback_killed_after_stop_definition_edited_is_undone_around_it(host: TwinHost) -> None:
    kill(host, rollback_a, after="complete", times=2)
    other = Source(path="/images/other.qcow2", format="qcow2")
    host.world.add("other", others=())
    edited = domainxml.on_disks(host.guest.machine.persistent_xml or "", {"vdb": other})
    host.world.define(edited)

    (recovered,) = host.session().recover()

    assert recovered.state is OperationState.UNDONE
    assert host.guest.machine.persistent_xml == edited


def test_rollback_killed_after_repoint_guest_suspended_on_new_overlays_stays_open(host: TwinHost) -> None:
    """Its managed-save image names the overlays: neither can the operation be undone, nor another memory restored."""
    kill(host, rollback_a, after="define")
    host.guest.start()
    host.guest.managed_save()

    with pytest.raises(Unfinished, match="suspended outside snapctl") as raised:
        host.session().recover()
    assert "virsh start web01" in raised.value.hint

    host.guest.machine.managed_save = False  # virsh start: libvirt restores it
    host.guest.start().tick()
    host.session().recover()
    host.check()


def test_rollback_transient_guest_worked_on_and_went_off_loses_nothing(quick_directory: Path) -> None:
    host = TwinHost(quick_directory / "transient worked.sqlite", persistent=False)
    host.checkpoint("a")
    kill(host, rollback_a, after="complete")
    worked = host.guest.tick(WEEK)
    disks = host.guest.machine.tops()
    host.guest.destroy()

    (recovered,) = host.session().recover()

    assert recovered.state is OperationState.UNDONE
    assert {host.world.files.read(path, "counter") for path in disks.values()} == {worked}
    host.close()


@pytest.mark.parametrize("end", [shut_down, destroy, managed_save, save_elsewhere])
def test_checkpoint_killed_after_save_owner_worked_its_image_is_not_paired(
    host: TwinHost, end: Callable[[TwinHost], None]
) -> None:
    """The end of the owner's run looks like that of ours where he saved it, too."""
    kill(host, checkpoint_b, after="save")
    host.guest.start().tick(WEEK)
    end(host)

    with pytest.raises(Unfinished, match="may have run"):
        host.session().recover()

    assert [each.name for each in host.session().list()] == ["a"]


EDITS: dict[str, Callable[[Coordinator], object]] = {
    "edit": VERBS["edit"],
    "protect": lambda session: session.protect("web01", ["a"]),
}


@pytest.mark.parametrize("verb", EDITS.values(), ids=EDITS)
@pytest.mark.parametrize(("act", "after"), [(rollback_a, "destroy"), (checkpoint_b, "save"), (checkpoint_b, "define")])
def test_edit_operation_is_open_recovers_nothing(
    host: TwinHost, act: Callable[[Coordinator], object], after: str, verb: Callable[[Coordinator], object]
) -> None:
    kill(host, act, after=after)
    files, state = set(host.world.files.files), host.guest.machine.state

    with pytest.raises(Unfinished, match=r"of web01 is not finished \(at step") as raised:
        verb(host.session())

    assert raised.value.hint == "run: snapctl recover web01"
    assert (set(host.world.files.files), host.guest.machine.state) == (files, state)
    host.session().recover()
    verb(host.session())


def test_edit_that_was_left_open_is_finished_by_the_next(host: TwinHost) -> None:
    kill(host, VERBS["edit"], after="deciding")

    host.session().protect("web01", ["a"])

    (summary,) = host.session().list()
    assert (summary.description, summary.protected) == ("edited", True)


def fail(*arguments: object) -> None:
    raise HypervisorError("injected")


def test_unfinished_says_that_the_guest_is_off(host: TwinHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host.world, "begin_restore", fail)

    with pytest.raises(Unfinished) as raised:
        checkpoint_b(host.session())

    assert raised.value.effect.endswith("memory.save; web01 is shut off")


def test_unfinished_says_that_the_guest_is_paused(host: TwinHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TwinDomains, "resume", fail)

    with pytest.raises(Unfinished) as raised:
        rollback_a(host.session())

    assert raised.value.effect == "the checkpoint is unchanged; web01 is paused"


def test_undone_says_that_the_guest_runs(host: TwinHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host.world, "power_off", fail)

    with pytest.raises(OperationUndone) as raised:
        rollback_a(host.session())

    assert raised.value.effect == "undone: the disks of web01 are as before; web01 is running"
