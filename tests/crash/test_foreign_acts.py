"""Somebody acts behind our back after a kill: nothing that he made or saw is lost, nothing is paired wrongly.

Each story is killed at one call; then the owner of the guest does what owners do; then comes recovery.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.coordinator import Coordinator
from orchestrator.errors import HypervisorError, NotFound, Refused, Unfinished
from orchestrator.formats import domainxml
from orchestrator.model import GuestState, OffReason, OperationState, Source
from tests.checkpoints import memory_of
from tests.crash.faults import Call, Fault, Killed, Kind
from tests.crash.injectors import CallInjector
from tests.crash.twin_host import TwinHost
from tests.twin import saveimage
from tests.twin.files import Image


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


def test_recover_guest_was_started_on_new_overlays_keeps_its_writes(host: TwinHost) -> None:
    host.counters["b"] = host.counter
    kill(host, checkpoint_b, after="define")
    host.guest.start()
    worked = host.guest.tick(100)
    host.guest.shut_down()

    host.session().recover()

    assert host.guest.start().read("vda") == worked
    host.check()
    host.check_rollbacks()


def test_recover_guest_runs_on_new_overlays_completes_the_checkpoint(host: TwinHost) -> None:
    host.counters["b"] = host.counter
    kill(host, checkpoint_b, after="define")
    worked = host.guest.start().tick(100)

    host.session().recover()

    assert host.counter == worked
    host.check()
    host.check_rollbacks()


def test_recover_guest_was_started_on_saved_disks_drops_the_stale_image(host: TwinHost) -> None:
    """Its persistent XML still names them: the image must not be paired with disks that moved on."""
    kill(host, checkpoint_b, after="save")
    worked = host.guest.start().tick(100)

    host.session().recover()

    assert host.counter == worked
    assert [summary.name for summary in host.session().list()] == ["a"]
    host.check()


def test_recover_image_may_be_stale_neither_uses_nor_deletes_it(host: TwinHost) -> None:
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
def test_recover_saved_guest_is_restored_also_after_daemon_restart(host: TwinHost, reason: OffReason) -> None:
    host.counters["b"] = host.counter
    kill(host, checkpoint_b, after="save")
    if reason is OffReason.UNKNOWN:
        host.world.restart_daemon()
    assert host.guest.machine.off_reason is reason

    host.session().recover()

    assert host.counter == host.counters["b"]
    host.check()
    host.check_rollbacks()


def test_recover_rollback_killed_keeps_writes_to_former_disks(host: TwinHost) -> None:
    kill(host, rollback_a, after="complete", times=2)  # "stopped" is recorded
    worked = host.guest.start().tick(100)
    host.guest.shut_down()

    host.session().recover()

    assert host.guest.start().read("vda") == worked
    host.check()


def test_recover_rollback_killed_guest_on_former_disks_runs_on(host: TwinHost) -> None:
    kill(host, rollback_a, after="destroy")
    worked = host.guest.start().tick(100)

    host.session().recover()

    assert host.counter == worked
    host.check()


def test_recover_rollback_killed_guest_on_new_overlays_runs_on(host: TwinHost) -> None:
    kill(host, rollback_a, after="define")
    worked = host.guest.start().tick(100)

    host.session().recover()

    assert host.counter == worked
    host.check()
    assert host.session().list()[0].current


def test_recover_killed_in_undo_is_undone_not_completed(host: TwinHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rollback that failed before the stop, killed in its undo; then the owner shuts his guest down."""
    kept = host.counter
    with monkeypatch.context() as patch:
        patch.setattr(host.world, "power_off", fail)  # it cannot be stopped
        kill(host, rollback_a, after="decide")
    host.guest.shut_down()

    host.session().recover()

    assert host.guest.start().read("vda") == kept
    host.check()


def killed_in_undo(host: TwinHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint could not go forward, and the client was killed in its undo, when the guest was back, paused."""
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


def test_recover_guest_died_before_it_was_resumed_by_undo_is_restored_again(
    host: TwinHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = host.counter
    killed_in_undo(host, monkeypatch)
    host.world.kill_qemu("web01")

    host.session().recover()

    assert host.counter == kept
    host.check()


def test_recover_image_may_be_the_only_copy_is_not_deleted_by_undo(
    host: TwinHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owner resumed the guest, which worked; then its QEMU died."""
    killed_in_undo(host, monkeypatch)
    host.guest.resume()
    host.guest.tick()
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


def test_recover_guest_is_shut_down_during_undo_keeps_its_image(host: TwinHost) -> None:
    """It ran when undoing was decided; what it did until it was shut down is not known."""
    kill(host, checkpoint_b, after="save")
    host.guest.start()
    files = set(host.world.files.files)

    with pytest.raises(Unfinished, match="may have run"):
        host.session(ActAtPoint("saved.undo.before", host.guest.shut_down)).recover()

    assert set(host.world.files.files) == files


def test_rollback_guest_restarted_since_planned_is_refused(host: TwinHost) -> None:
    """The owner has started his guest anew since the rollback was planned: on the same disks, but he worked on."""

    def start_anew() -> None:
        host.guest.shut_down()
        host.guest.start().tick(100)

    with pytest.raises(Refused, match="was changed outside snapctl"):
        rollback_a(host.session(ActAtPoint("stopped.before", start_anew)))

    assert host.guest.read("vda") == host.counter
    assert host.counter > 100
    host.check()


@pytest.mark.parametrize("before", ["chain", "stat_all"])
def test_rollback_checkpoint_deleted_during_inspection_is_not_found_rather_than_damaged(
    host: TwinHost, before: str
) -> None:
    host.checkpoint("b")
    host.rollback("a")

    class Deleted(CallInjector):
        def call(self, name: str, port_error: type[Exception], act: Callable[[], Any]) -> Any:
            if name == before and before not in self.calls:
                host.session().delete("web01", ["b"])
            return super().call(name, port_error, act)

    with pytest.raises(
        NotFound, match=r"has no checkpoint b|was deleted in the meantime|was deleted after the plan was made"
    ):
        host.session(Deleted()).rollback("web01", "b")
    host.check()


def test_recover_transient_guest_first_checkpoint_killed_restores_it(quick_directory: Path) -> None:
    host = TwinHost(quick_directory / "transient.sqlite", persistent=False)
    host.counters["new"] = host.counter
    kill(host, lambda session: session.checkpoint("web01", "new"), after="save")
    assert not host.world.machines

    host.session().recover("web01")

    assert host.counter == host.counters["new"]
    host.check()
    host.close()


def test_recover_domain_runs_on_other_disks_is_not_touched(host: TwinHost) -> None:
    """After the commit of a checkpoint the guest is off; somebody edits its disks and starts it."""
    kill(host, checkpoint_b, after="deciding")
    machine = host.guest.machine
    host.guest.destroy()
    host.world.add("other", disks=2)
    other = {target: Source(path=f"/images/other-{target}.qcow2", format="qcow2") for target in ("vda", "vdb")}
    host.world.define(domainxml.on_disks(machine.persistent_xml or "", other))
    host.guest.start()

    with pytest.raises(Unfinished, match="other disks"):
        host.session().recover()

    assert host.guest.machine.active


# --------------------------------------------------------------------------- what became of a memory image


def memory_image(host: TwinHost) -> str:
    """The path of the only one that the catalog does not have yet."""
    known = {memory_of(checkpoint).path for checkpoint in host.checkpoints()}
    (path,) = {path for path in host.world.files.files if path.endswith(".save")} - known
    return path


def test_recover_image_that_snapctl_cannot_read_is_kept(host: TwinHost) -> None:
    """A newer libvirt wrote it: it is all that is left of the guest."""
    kill(host, checkpoint_b, after="save")
    image = host.world.files[memory_image(host)]
    before = image.bytes()
    image.content = before[:16] + b"\3" + before[17:]  # the header's version

    with pytest.raises(Unfinished, match=r"cannot read its memory image .*; restore it: virsh restore "):
        host.session().recover()
    assert image.bytes()[17:] == before[17:]

    image.content = before  # the way out that the message names, on that libvirt
    xml = saveimage.definition(before)
    host.world.finish_job(host.world.begin_restore(memory_image(host), xml))
    host.guest.resume()
    worked = host.guest.tick(100)
    host.session().recover()
    assert host.counter == worked
    host.check()


@pytest.mark.parametrize("after", ["define", "restore"])
def test_recover_image_that_lost_its_final_mark_is_repaired(host: TwinHost, after: str) -> None:
    """A power cut: libvirt had written all of it out but that."""
    host.counters["b"] = host.counter
    kill(host, checkpoint_b, after=after)
    path = memory_image(host)
    if after == "restore":
        host.guest.machine.job = None
        host.world.power_off(host.guest.machine, OffReason.UNKNOWN)
    image = host.world.files[path]
    image.content = image.bytes().replace(saveimage.WHOLE, saveimage.PARTIAL, 1)

    host.session().recover()

    assert image.bytes().startswith(saveimage.WHOLE)
    host.check()
    host.check_rollbacks()


def test_recover_image_changed_after_the_stop_is_not_restored(host: TwinHost) -> None:
    """It was checked when the rollback was planned; what libvirt would start is what the image says now."""
    kept = host.counter
    kill(host, rollback_a, after="complete", times=2)
    image = host.world.files[memory_of(host.checkpoints()[0]).path]
    before = image.bytes()
    image.content = before.replace(b"/usr/bin/qemu-system-x86_64", b"/tmp/bin/qemu-system-x86_64")
    host.world.emulators = {**host.world.emulators, "/tmp/bin/qemu-system-x86_64": frozenset({"pc-i440fx-7.2"})}

    (recovered,) = host.session().recover()
    assert recovered.state is OperationState.UNDONE
    assert "not /usr/bin/qemu-system-x86_64" in recovered.detail
    assert host.guest.machine.state is GuestState.OFF

    image.content = before
    assert host.guest.start().read("vda") == kept
    host.check()
    host.check_rollbacks()


# --------------------------------------------------------------------------- a base is written to meanwhile


BASE = "/images/web01-vda.qcow2"


def write_base(host: TwinHost) -> None:
    """With a tool that mounts it, say."""
    host.world.files.write(BASE, "elsewhere", 1)


def test_recover_rollback_base_was_written_is_not_paired(host: TwinHost) -> None:
    """Two layers below the new overlays."""
    host.checkpoint("b")
    kept = host.guest.tick()
    kill(host, lambda session: session.rollback("web01", "b"), after="define")
    write_base(host)

    (recovered,) = host.session().recover()

    assert recovered.state is OperationState.UNDONE
    assert host.guest.machine.state is GuestState.OFF
    assert host.guest.start().read("vda") == kept


@pytest.mark.parametrize("after", ["save", "complete", "define"])
def test_recover_checkpoint_base_was_written_is_not_paired(host: TwinHost, after: str) -> None:
    """The saved memory is kept, and given up only by a start of its owner's."""
    kill(host, checkpoint_b, after=after, times=2 if after == "complete" else 1)
    image = memory_image(host)
    write_base(host)

    with pytest.raises(Unfinished) as raised:
        host.session().recover()
    assert "was written to or replaced after its memory was saved" in raised.value.problem
    assert "virsh start web01" in raised.value.hint
    assert image in host.world.files.files

    host.guest.start()
    host.session().recover()
    assert host.session().unfinished() == []
    assert host.guest.machine.active


def test_recover_checkpoint_base_was_written_guest_was_started_is_damaged_from_birth(quick_directory: Path) -> None:
    """What is catalogued of a base is what it was before the save."""
    host = TwinHost(quick_directory / "golden base.sqlite", disks=1)
    host.world.files.put("/images/golden.qcow2", Image(capacity=1 << 20))
    host.world.files.image(BASE).backing, host.world.files.image(BASE).backing_format = "/images/golden.qcow2", "qcow2"
    kill(host, checkpoint_b, after="define")
    host.world.files.write("/images/golden.qcow2", "elsewhere", 1)
    host.guest.start()

    host.session().recover()

    assert [each.name for each in host.session().verify().damaged] == ["b"]
    host.close()
