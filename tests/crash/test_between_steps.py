"""The owner of the guest, or another client, acts between two steps: nothing of theirs is lost, nothing paired wrongly.

The client was killed there, or only hung: it was stopped, or its machine slept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from orchestrator.catalog import leases
from orchestrator.coordinator import Coordinator
from orchestrator.errors import IntegrityError, Interrupted, Refused, SnapctlError, StartedOutside, Unfinished
from orchestrator.formats import domainxml
from orchestrator.model import After, GuestState, OperationState, Source
from orchestrator.operations.prune.policy import Policy
from orchestrator.operations.shared import guest
from tests.checkpoints import memory_of
from tests.crash.faults import Call, Fault, Kind
from tests.crash.injectors import CallInjector
from tests.crash.test_foreign_acts import checkpoint_b, fail, kill, rollback_a
from tests.crash.twin_host import TwinHost
from tests.twin import TwinHypervisor
from tests.twin.files import Image
from tests.twin.world import CAPACITY

ACTS: dict[str, Callable[[Coordinator], object]] = {"checkpoint": checkpoint_b, "rollback": rollback_a}


@pytest.fixture
def host(quick_directory: Path, request: pytest.FixtureRequest) -> Iterator[TwinHost]:
    """A guest that runs on checkpoint `a`."""
    host = TwinHost(quick_directory / f"{request.node.name}.sqlite")
    host.checkpoint("a")
    yield host
    host.close()


class At(CallInjector):
    """Something happens when the client first reaches a point."""

    def __init__(self, point: str, act: Callable[[], object], fault: Fault | None = None) -> None:
        super().__init__(fault)
        self.point, self.act, self.done = point, act, False

    def reach(self, point: str) -> None:
        if point == self.point and not self.done:
            self.done = True
            self.act()


def interrupt() -> None:
    raise KeyboardInterrupt


def recover(host: TwinHost, injector: CallInjector | None = None) -> SnapctlError | None:
    """The error that it ended with."""
    try:
        host.session(injector).recover()
    except SnapctlError as error:
        return error
    return None


def counter(host: TwinHost) -> int | None:
    """What the guest's disk says, which is started if it is off."""
    if not host.guest.machine.active:
        host.guest.start()
    return host.guest.read("vda")


def cold_start(host: TwinHost) -> int | None:
    host.guest.shut_down()
    return host.guest.start().read("vda")


def work(host: TwinHost) -> int:
    """It is started, works and is shut down."""
    host.guest.start()
    worked = host.guest.tick(1000)
    host.guest.shut_down()
    return worked


def kill_repointed(host: TwinHost, verb: str) -> int:
    """Killed right after the definition names the new overlays; the guest is started on them, and works."""
    host.counters["b"] = host.counter
    kill(host, ACTS[verb], after="define")
    return host.guest.start().tick(100)


def memory_images(host: TwinHost) -> set[str]:
    return {path for path in host.world.files.files if path.endswith("memory.save")}


def attach_disk(host: TwinHost) -> None:
    """virsh attach-disk --live --config"""
    machine = host.guest.machine
    host.world.files.put("/images/data.qcow2", Image(capacity=1 << 20))
    disk = (
        '<disk type="file" device="disk"><driver name="qemu" type="qcow2"/>'
        '<source file="/images/data.qcow2"/><target dev="vdz" bus="virtio"/></disk>'
    )
    assert machine.running_xml and machine.persistent_xml
    machine.running_xml = machine.running_xml.replace("</devices>", disk + "</devices>")
    machine.persistent_xml = machine.persistent_xml.replace("</devices>", disk + "</devices>")
    assert len(machine.domain().sources()) == 3


def restore_by_hand(host: TwinHost, name: str) -> None:
    """virsh restore: the guest runs on the disks that the image names."""
    (found,) = [each for each in host.checkpoints() if each.name == name]
    path = memory_of(found).path
    domains = TwinHypervisor(host.world).domains
    domains.restore(path, domains.saved_definition(path))
    host.guest.resume()
    host.guest.tick(100)


def fail_once(host: TwinHost, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The first restore fails; the image that it was of."""
    begin = host.world.begin_restore
    failed: list[str] = []

    def begin_restore(path: str, xml: str) -> Any:
        if not failed:
            failed.append(path)
            fail()
        return begin(path, xml)

    monkeypatch.setattr(host.world, "begin_restore", begin_restore)
    return failed


def require_paired(host: TwinHost, error: SnapctlError | None) -> None:
    if host.guest.machine.active:
        assert host.guest.agrees(), f"memory and disks are not of one instant: {error}"


# ------------------------------------------------------------------ killed, and the guest worked on the new overlays


def test_recover_commit_fails_once_keeps_what_the_guest_wrote(host: TwinHost) -> None:
    worked = kill_repointed(host, "checkpoint")
    host.guest.shut_down()

    recover(host, CallInjector(Fault(Call("deciding"), Kind.ERROR_BEFORE)))
    for _ in range(3):
        recover(host)

    assert counter(host) == worked


def test_recover_commit_fails_once_leaves_the_guest_off(host: TwinHost) -> None:
    kill_repointed(host, "checkpoint")
    host.guest.shut_down()

    recover(host, CallInjector(Fault(Call("deciding"), Kind.ERROR_BEFORE)))

    assert host.guest.machine.state is GuestState.OFF


def test_recover_commit_fails_once_leaves_the_layers_below_unchanged(host: TwinHost) -> None:
    kill_repointed(host, "checkpoint")
    overlay = host.guest.machine.tops()["vda"]
    host.guest.shut_down()
    recover(host, CallInjector(Fault(Call("deciding"), Kind.ERROR_BEFORE)))

    before = host.world.files.read(overlay, "elsewhere")
    if host.guest.machine.state is GuestState.RUNNING:
        host.guest.leave("elsewhere")
    assert host.world.files.read(overlay, "elsewhere") == before


@pytest.mark.parametrize("verb", ACTS)
def test_recover_disk_attached_on_the_new_overlays_keeps_the_definition(host: TwinHost, verb: str) -> None:
    worked = kill_repointed(host, verb)
    attach_disk(host)
    images = memory_images(host)

    recover(host)

    assert images <= memory_images(host)
    assert cold_start(host) == worked


def test_recover_disk_attached_twice_never_writes_below_the_overlays(host: TwinHost) -> None:
    kill_repointed(host, "checkpoint")
    overlay = host.guest.machine.tops()["vda"]
    attach_disk(host)
    for _ in range(2):
        recover(host)
    cold_start(host)

    assert host.guest.machine.tops()["vda"] == overlay


@pytest.mark.parametrize("verb", ACTS)
def test_recover_external_snapshot_on_the_new_overlays_is_done_after_it(host: TwinHost, verb: str) -> None:
    """A backup program has a snapshot of its own there, until it commits it with blockcommit --pivot."""
    kill_repointed(host, verb)
    machine = host.guest.machine
    vda = machine.tops()["vda"]
    host.world.files.put("/images/backup-vda.qcow2", Image(capacity=1 << 20, backing=vda, backing_format="qcow2"))
    assert machine.running_xml and machine.persistent_xml
    before = machine.running_xml, machine.persistent_xml
    machine.running_xml = machine.running_xml.replace(vda, "/images/backup-vda.qcow2")
    machine.persistent_xml = machine.persistent_xml.replace(vda, "/images/backup-vda.qcow2")
    images = memory_images(host)

    recover(host)
    assert images <= memory_images(host)

    machine.running_xml, machine.persistent_xml = before
    worked = host.guest.tick(10)
    error = recover(host)
    assert host.session().unfinished() == [], error
    assert cold_start(host) == worked


def test_recover_rollback_defined_on_other_disks_removes_none_of_them(host: TwinHost) -> None:
    kill(host, rollback_a, after="complete", times=2)
    machine = host.guest.machine
    vda = machine.domain().persistent_disks[0].path
    assert machine.persistent_xml and vda
    machine.persistent_xml = machine.persistent_xml.replace(vda, "/images/web01-vda.qcow2")

    recover(host)

    assert vda in host.world.files.files


# ------------------------------------------------------------------ the image restored by hand, its layers changed


@pytest.mark.parametrize("at", ["stopped", "repointed"])
@pytest.mark.parametrize("end", ["destroy", "shut_down"])
def test_recover_rollback_image_restored_by_hand_is_not_paired(host: TwinHost, at: str, end: str) -> None:
    """It then runs on the frozen layers of the checkpoint."""
    if at == "stopped":
        kill(host, rollback_a, after="complete", times=2)
    else:
        kill(host, rollback_a, after="define")
    restore_by_hand(host, "a")
    getattr(host.guest, end)()

    require_paired(host, recover(host))


def test_recover_checkpoint_image_restored_by_hand_is_not_paired(host: TwinHost) -> None:
    host.counters["b"] = host.counter
    kill(host, checkpoint_b, after="deciding")
    host.guest.destroy()
    restore_by_hand(host, "b")
    with pytest.raises(Unfinished, match="stop it: virsh destroy"):
        host.session().recover()
    host.guest.destroy()

    require_paired(host, recover(host))


def test_recover_rollback_image_restored_by_hand_keeps_the_former_disks(host: TwinHost) -> None:
    """Unless the checkpoint is whole: one of the two states is left."""
    kill(host, rollback_a, after="define")
    head = host.head()
    assert head is not None
    restore_by_hand(host, "a")
    host.guest.shut_down()

    recover(host)

    gone = [path for path in head.overlays.values() if path not in host.world.files.files]
    assert not (gone and host.session().verify().damaged)


@pytest.mark.parametrize("verb", ACTS)
def test_recover_frozen_layer_written_is_not_paired(host: TwinHost, verb: str) -> None:
    """By a rescue system."""
    name = "a" if verb == "rollback" else "b"
    host.counters["b"] = host.counter
    kill(host, ACTS[verb], after="define" if verb == "rollback" else "deciding")
    host.guest.destroy()
    (found,) = [each for each in host.checkpoints() if each.name == name]
    for layer in found.layers.values():
        host.world.files.write(layer.path, "counter", 999)

    require_paired(host, recover(host))


def test_rollback_image_restored_by_hand_before_its_restore_is_not_paired(host: TwinHost) -> None:
    def restored() -> None:
        restore_by_hand(host, "a")
        host.guest.destroy()

    error = None
    try:
        rollback_a(host.session(At("restored.before", restored)))
    except SnapctlError as failure:
        error = failure
    require_paired(host, error)


# ------------------------------------------------------------------ a client that hangs


@pytest.mark.parametrize("point", ["stopped.after", "repointed.before"])
def test_rollback_guest_worked_after_the_stop_keeps_its_work(host: TwinHost, point: str) -> None:
    worked = 0

    def a_day() -> None:
        nonlocal worked
        worked = work(host)

    with suppress(SnapctlError):
        rollback_a(host.session(At(point, a_day)))

    assert worked and counter(host) == worked


def test_rollback_guest_worked_on_before_the_stop_runs_on(host: TwinHost) -> None:
    worked = 0

    def a_night() -> None:
        nonlocal worked
        for _ in range(10):
            worked = host.guest.tick(100)

    with suppress(SnapctlError):
        rollback_a(host.session(At("stopped.before", a_night)))

    assert host.guest.machine.active
    assert host.counter == worked


def test_rollback_guest_in_another_run_before_the_stop_keeps_its_work(host: TwinHost) -> None:
    worked = 0

    def a_day() -> None:
        nonlocal worked
        host.guest.shut_down()
        worked = work(host)

    with suppress(SnapctlError):
        rollback_a(host.session(At("stopped.before", a_day)))

    assert worked and counter(host) == worked


def test_rollback_guest_saved_after_the_stop_keeps_the_disks_of_its_image(host: TwinHost) -> None:
    """libvirt-guests suspended it."""
    used: dict[str, str] = {}

    def a_day() -> None:
        host.guest.start()
        host.guest.tick(1000)
        used.update(host.guest.machine.tops())
        host.guest.managed_save()

    with suppress(SnapctlError):
        rollback_a(host.session(At("repointed.before", a_day)))

    assert used and set(used.values()) <= set(host.world.files.files)


@pytest.mark.parametrize("point", ["stopped.before", "repointed.before"])
def test_rollback_client_slept_longer_than_its_lease_keeps_the_work(
    host: TwinHost, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    """No other client took the operation over."""
    clock, asleep = leases._clock, 0.0
    monkeypatch.setattr(leases, "_clock", lambda: clock() + asleep)
    worked = 0

    def a_week() -> None:
        nonlocal worked, asleep
        asleep = 7 * 86400.0
        if not host.guest.machine.active:
            host.guest.start()
        worked = host.guest.tick(1000)
        if point == "repointed.before":
            host.guest.shut_down()

    with suppress(SnapctlError):
        rollback_a(host.session(At(point, a_week)))

    assert worked and counter(host) == worked


def test_rollback_guest_started_after_its_restore_failed_keeps_its_disks(
    host: TwinHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its owner, or by autostart: a failed restore is tried again on fresh overlays."""
    fail_once(host, monkeypatch)
    remove = host.world.files.remove
    removed: list[str] = []

    def watched(path: str) -> None:
        machine = host.guest.machine
        if machine.active and path in machine.tops().values():
            removed.append(path)
        remove(path)

    class Starting(CallInjector):
        """Once the guest was seen to be off after the restore, before the overlays are made again."""

        def call(self, name: str, port_error: type[Exception], act: Callable[[], Any]) -> Any:
            due = name == "stat" and self.calls.count("restore") == 1 and self.calls[-1] == "get"
            if due and not host.guest.machine.active:
                host.guest.start()
            return super().call(name, port_error, act)

    monkeypatch.setattr(host.world.files, "remove", watched)
    with pytest.raises(StartedOutside):
        rollback_a(host.session(Starting()))

    assert host.guest.machine.active
    assert removed == []


# ------------------------------------------------------------------ interrupted


def test_checkpoint_interrupted_while_an_error_is_settled_leaves_the_guest_running(
    host: TwinHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(host.world, "define", fail)
        with pytest.raises(SnapctlError):
            checkpoint_b(host.session(At("fall_back.before", interrupt)))

    assert host.guest.machine.state is GuestState.RUNNING


def test_checkpoint_interrupted_while_it_is_undone_leaves_nothing_open(host: TwinHost) -> None:
    fault = Fault(Call("save"), Kind.ERROR_BEFORE)
    with suppress(SnapctlError):
        checkpoint_b(host.session(At("prepared.undo.before", interrupt, fault)))

    assert host.session().unfinished() == []


def test_recover_interrupted_before_the_restore_leaves_the_guest_running(host: TwinHost) -> None:
    kill(host, checkpoint_b, after="save")

    with suppress(SnapctlError, Interrupted):
        host.session(At("restored.before", interrupt)).recover()

    assert host.guest.machine.state is GuestState.RUNNING


@pytest.mark.parametrize("verb", ["prune", "recover"])
def test_verb_interrupted_at_one_domain_ends_before_the_next(host: TwinHost, verb: str) -> None:
    other = host.world.add("zz01", disks=1).start()
    for name in ("p", "q", "r"):
        other.tick()
        host.session().checkpoint("zz01", name)
    kill(host, checkpoint_b, after="save")
    if verb == "recover":
        kill(host, lambda session: session.checkpoint("zz01", "s"), after="save")
    before = host.session().list("zz01")
    after: list[str] = []

    class Interrupting(At):
        def reach(self, point: str) -> None:
            if self.done:
                after.append(point)
            super().reach(point)

    injector = Interrupting("restored.before", interrupt)
    with pytest.raises(Interrupted):
        snapctl = host.session(injector)
        if verb == "prune":
            snapctl.prune(None, Policy(keep_last=1))
        else:
            snapctl.recover()

    assert injector.done
    assert host.session().list("zz01") == before
    assert {"hidden.before", "repointed.before"}.isdisjoint(after)  # of the other domain: this one is past them


# ------------------------------------------------------------------ planned while the guest was off


def test_execute_rollback_guest_ran_since_planned_keeps_its_work(
    host: TwinHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guest, "FRESH_S", -1.0)
    host.guest.shut_down()
    snapctl = host.session()
    plan = snapctl.plan_rollback("web01", "a")
    worked = work(host)

    with pytest.raises(Refused, match="changed after the plan was made"):
        snapctl.execute(plan)

    assert counter(host) == worked


def test_recover_rollback_transient_guest_created_again_keeps_its_disks(quick_directory: Path) -> None:
    """It was gone when the rollback was planned, and so had no disks."""
    host = TwinHost(quick_directory / "transient.sqlite", persistent=False)
    host.checkpoint("a")
    xml = host.guest.machine.running_xml or ""
    host.guest.destroy()
    assert not host.world.machines
    kill(host, rollback_a, after="complete", times=2)

    host.world.create(xml)
    host.guest.machine.state = GuestState.RUNNING
    host.guest.ram["counter"] = 500
    worked = host.guest.tick(500)
    used = host.guest.machine.tops()
    host.guest.shut_down()
    assert host.world.files.read(used["vda"], "counter") == worked

    with suppress(SnapctlError):
        host.session().recover("web01")

    assert set(used.values()) <= set(host.world.files.files)
    host.close()


# ------------------------------------------------------------------ the only copy of a guest's memory


def test_delete_only_copy_of_the_memory_is_refused(host: TwinHost) -> None:
    host.session().checkpoint("web01", "cur", after=After.PAUSE)
    host.world.kill_qemu("web01")

    with pytest.raises(Refused, match="only copy"):
        host.session().delete("web01", ["cur"])


def test_delete_guest_ends_before_the_second_keeps_the_only_copy(host: TwinHost) -> None:
    host.checkpoint("other")
    host.rollback("a")
    host.session().checkpoint("web01", "cur", after=After.PAUSE)

    with pytest.raises(Refused, match="only copy"):
        host.session(At("removed.after", lambda: host.world.kill_qemu("web01"))).delete("web01", ["other", "cur"])

    assert [each.name for each in host.session().list("web01")] == ["a", "cur"]


def test_delete_guest_ends_before_it_is_hidden_keeps_the_only_copy(host: TwinHost) -> None:
    host.session().checkpoint("web01", "cur", after=After.PAUSE)

    with pytest.raises(Refused, match="only copy"):
        host.session(At("hidden.before", lambda: host.world.kill_qemu("web01"))).delete("web01", ["cur"])

    assert "cur" in [each.name for each in host.session().list("web01")]


def test_delete_after_a_restore_tried_again_keeps_the_only_copy(
    host: TwinHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The overlays were made again, and are newer than the image."""
    failed = fail_once(host, monkeypatch)
    host.session().checkpoint("web01", "cur", after=After.PAUSE)
    assert failed and host.guest.machine.state is GuestState.PAUSED
    host.world.kill_qemu("web01")

    with pytest.raises(Refused, match="only copy"):
        host.session().delete("web01", ["cur"])


def test_delete_guest_that_ran_and_was_suspended_since_is_done(host: TwinHost) -> None:
    """Its memory is in libvirt's managed-save image, though it wrote nothing to its disks before."""
    host.session().checkpoint("web01", "cur")
    host.guest.managed_save()

    host.session().delete("web01", ["cur"])

    assert host.guest.machine.managed_save


def test_delete_only_copy_that_cannot_be_restored_any_more_is_done_by_force(host: TwinHost) -> None:
    """A layer of it is gone: a rollback to it is refused, too."""
    host.session().checkpoint("web01", "cur", after=After.PAUSE)
    frozen = {layer.path for layer in host.checkpoints()[-1].layers.values()}
    host.world.kill_qemu("web01")
    for path in frozen:
        host.world.files.remove(path)
    with pytest.raises(IntegrityError):
        host.session().rollback("web01", "cur")

    with pytest.raises(Refused, match="only copy") as refused:
        host.session().delete("web01", ["cur"])
    assert "snapctl delete web01 cur --force" in refused.value.hint
    host.session().delete("web01", ["cur"], collapse=False, force=True)

    assert [each.name for each in host.session().list("web01")] == ["a"]


def test_recover_guest_was_booted_after_its_save_says_that_its_memory_was_discarded(host: TwinHost) -> None:
    kill(host, checkpoint_b, after="save")
    host.guest.start()
    host.guest.tick()

    (recovered,) = host.session().recover()

    assert recovered.state is OperationState.UNDONE
    assert "web01 was started outside snapctl, so the memory that was saved was discarded" in recovered.detail
    assert recovered.title == "checkpoint b"


def test_delete_only_copy_while_the_domain_is_on_a_rescue_disk_is_refused(host: TwinHost) -> None:
    """That it runs, or is suspended, says nothing of the run that was saved."""
    host.session().checkpoint("web01", "cur", after=After.STOP)
    sources = {"vda": Source(path="/images/rescue.qcow2", format="qcow2")}
    host.world.files.put("/images/rescue.qcow2", Image(capacity=CAPACITY))
    host.world.define(domainxml.on_disks(host.guest.machine.persistent_xml or "", sources))
    host.guest.start()
    for suspended in (False, True):
        if suspended:
            host.guest.managed_save()
        with pytest.raises(Refused, match="only copy"):
            host.session().delete("web01", ["cur"])


@pytest.mark.parametrize("verb", ["delete", "flatten"])
def test_domain_that_ran_since_is_not_taken_for_one_that_did_not(host: TwinHost, verb: str) -> None:
    """Its overlay is empty; what it is on has all that the guest did."""
    host.session().checkpoint("web01", "b")
    host.guest.tick(1000)
    host.session().checkpoint("web01", "c", after=After.STOP)
    host.session().delete("web01", ["c"], collapse=False, force=True)

    if verb == "delete":
        host.session().delete("web01", ["b"], collapse=False)
    else:
        host.session().flatten("web01")

    assert host.guest.start().read("vda") == host.counter


def test_verb_is_refused_after_it_settled_tells_what_was_settled(host: TwinHost) -> None:
    kill(host, checkpoint_b, after="save")
    host.guest.start()
    snapctl = host.session()

    with pytest.raises(Refused):
        snapctl.checkpoint("web01", "a")

    (recovered,) = snapctl.untold()
    assert "was discarded" in recovered.detail
    assert snapctl.untold() == []
