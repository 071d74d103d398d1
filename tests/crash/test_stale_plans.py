"""What others do between a plan and its execution, which may be hours: nothing is lost, nothing is paired wrongly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestrator.catalog import open_catalog
from orchestrator.coordinator import Coordinator
from orchestrator.errors import Busy, GuestLost, IntegrityError, OperationUndone, Refused, SnapctlError
from orchestrator.model import Device, Disk, MemberRecord, OperationKind, OperationState, Source
from orchestrator.operations.edit.plan import Edits
from orchestrator.operations.prune.policy import Policy
from orchestrator.operations.shared import guest as shared_guest
from tests.checkpoints import memory_of
from tests.crash.topologies import Scenario, Topology
from tests.crash.twin_host import STORE, TwinHost
from tests.recorder import Recorded
from tests.twin import TwinHypervisor

CDROM = Disk(target="sda", device=Device.CDROM, source=Source(path="/iso/a.iso", format="raw"), readonly=True)


@pytest.fixture
def host(quick_directory: Path, request: pytest.FixtureRequest) -> Iterator[TwinHost]:
    host = TwinHost(quick_directory / f"{request.node.name}.sqlite")
    yield host
    host.close()


@pytest.fixture(scope="module")
def prepared(quick_directory: Path) -> Iterator[TwinHost]:
    host = TwinHost(quick_directory / "stale.sqlite", others=[CDROM])
    host.world.files.files["/iso/b.iso"] = deepcopy(host.world.files.files["/iso/a.iso"])
    host.checkpoint("base")
    host.session().rollback("web01", "base", keep_current=True, keep_name="kept")
    host.guest.tick()
    host.session().push("web01")
    host.guest.tick()
    host.keep()
    yield host
    host.close()


@pytest.fixture
def pushed(prepared: TwinHost) -> TwinHost:
    """base - kept (by a rollback) - push-…, and a CD-ROM in the drive."""
    prepared.put_back()
    return prepared


@pytest.fixture
def hours_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that was seen or planned counts as recent."""
    monkeypatch.setattr(shared_guest, "FRESH_S", -1.0)


def names(host: TwinHost) -> list[str]:
    return [each.name for each in host.session().list("web01")]


# --------------------------------------------------------------------------- every plan, every act

Make = Callable[[Coordinator], Any]
Act = Callable[[TwinHost], object]

PLANS: dict[str, Make] = {
    "checkpoint": lambda snapctl: snapctl.plan_checkpoint("web01", "new"),
    "flattened checkpoint": lambda snapctl: snapctl.plan_checkpoint("web01", "new", flatten=True),
    "rollback": lambda snapctl: snapctl.plan_rollback("web01", "kept"),
    "rollback, keep current": lambda snapctl: snapctl.plan_rollback("web01", "kept", keep_current=True),
    "undo": lambda snapctl: snapctl.plan_undo("web01"),
    "pop": lambda snapctl: snapctl.plan_pop("web01"),
    "delete": lambda snapctl: snapctl.plan_delete("web01", ["kept"]),
    "edit": lambda snapctl: snapctl.plan_edit("web01", "kept", Edits(description="x")),
    "prune": lambda snapctl: snapctl.plan_prune("web01", Policy(keep_last=1)),
    "flatten": lambda snapctl: snapctl.plan_flatten("web01"),
    "collapse": lambda snapctl: snapctl.plan_collapse("web01"),
}


def _checkpoint(host: TwinHost, name: str) -> Any:
    return next(each for each in host.checkpoints() if each.name.startswith(name))


def _cut_image(host: TwinHost, name: str) -> None:
    image = host.world.files[memory_of(_checkpoint(host, name)).path]
    image.content = image.content[:-1]


def _write_layer(host: TwinHost, name: str) -> None:
    """As a rescue system that mounted it would."""
    for layer in _checkpoint(host, name).layers.values():
        host.world.files.write(layer.path, "counter", 999)


def _other_medium(host: TwinHost) -> None:
    machine = host.guest.machine
    assert machine.running_xml is not None and machine.persistent_xml is not None
    machine.running_xml = machine.running_xml.replace("/iso/a.iso", "/iso/b.iso")
    machine.persistent_xml = machine.persistent_xml.replace("/iso/a.iso", "/iso/b.iso")


def _restart(host: TwinHost) -> None:
    host.guest.shut_down()
    host.guest.start()
    host.guest.tick(50)


def _exchange_names(host: TwinHost) -> None:
    host.session().edit("web01", "kept", Edits(name="kept-2"))
    host.session().edit("web01", "base", Edits(name="kept"))


DAMAGE: dict[str, Act] = {
    "an image was cut": lambda host: _cut_image(host, "kept"),
    "a pushed image was cut": lambda host: _cut_image(host, "push-"),
    "an image was removed": lambda host: host.world.files.remove(memory_of(_checkpoint(host, "kept")).path),
    "a frozen layer was written": lambda host: _write_layer(host, "kept"),
    "the frozen layers of the pushed one were written": lambda host: _write_layer(host, "push-"),
}
ACTS: dict[str, Act] = {
    "the guest ran on": lambda host: host.guest.tick(50),
    "the guest was restarted": _restart,
    "the guest was shut off": lambda host: host.guest.shut_down(),
    "the guest was paused": lambda host: host.guest.suspend(),
    "another medium was put in": _other_medium,
    "checkpointed": lambda host: host.session().checkpoint("web01", "other"),
    "rolled back": lambda host: host.session().rollback("web01", "base"),
    "rolled back, keeping": lambda host: host.session().rollback("web01", "base", keep_current=True),
    "popped": lambda host: host.session().pop("web01"),
    "flattened": lambda host: host.session().flatten("web01"),
    "deleted": lambda host: host.session().delete("web01", ["kept"]),
    "the parent was deleted": lambda host: host.session().delete("web01", ["base"]),
    "protected": lambda host: host.session().protect("web01", ["kept", "base"]),
    "names were exchanged": _exchange_names,
    "the store is nearly full": lambda host: setattr(host.world.files, "free", 1 << 16),
    **DAMAGE,
}


@pytest.mark.usefixtures("hours_later")
@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("verb", PLANS)
def test_act_of_others_between_plan_and_execution_costs_nothing(pushed: TwinHost, verb: str, act: str) -> None:
    host = pushed
    snapctl = host.session()
    plan = PLANS[verb](snapctl)
    ACTS[act](host)
    active, counter = host.guest.machine.active, host.counter if host.guest.machine.active else None
    before = names(host)

    refused = None
    try:
        snapctl.execute(plan)
    except (Refused, Busy, IntegrityError, OperationUndone, GuestLost) as error:
        refused = error

    assert host.session().unfinished() == []
    if refused is not None:
        assert host.guest.machine.active is active
        assert (host.counter if active else None) == counter, "refused, and the guest is another"
        assert set(before) <= set(names(host)), "refused, and a checkpoint is gone"
    if host.guest.machine.active:
        assert host.guest.agrees(), "memory and disks are not of one instant"
    if act not in DAMAGE:
        assert not host.session().verify(deep=True).damaged


# --------------------------------------------------------------------------- prune


@pytest.fixture
def tree(host: TwinHost) -> TwinHost:
    """base, b, c, d; the guest descends from base."""
    for name in ("base", "b", "c", "d"):
        host.checkpoint(name)
    host.session().rollback("web01", "base")
    return host


def test_prune_newest_deleted_since_planned_keeps_the_next(tree: TwinHost) -> None:
    """--keep-last 1 shows: d stays. A colleague deletes d. What --keep-last 1 keeps now is c."""
    host = tree
    snapctl = host.session()
    plan = snapctl.plan_prune(snapctl.settle_all("web01"), Policy(keep_last=1))
    assert {each.checkpoint.name for each in plan.removed} == {"b", "c"}
    host.session().delete("web01", ["d"])

    snapctl.execute(plan)

    assert "c" in names(host)


def test_prune_newest_found_damaged_since_planned_keeps_the_next(tree: TwinHost) -> None:
    """d is found damaged by the nightly verify: c takes its place, and is the last sound one."""
    host = tree
    snapctl = host.session()
    plan = snapctl.plan_prune(snapctl.settle_all("web01"), Policy(keep_last=1))
    (d,) = [each for each in host.checkpoints() if each.name == "d"]
    assert d.memory is not None
    host.world.files[d.memory.path].content = host.world.files[d.memory.path].content[:-1]
    assert host.session().verify().damaged

    snapctl.execute(plan)

    assert "c" in names(host)


def test_prune_checkpoint_tagged_since_planned_is_kept(tree: TwinHost) -> None:
    host = tree
    snapctl = host.session()
    plan = snapctl.plan_prune(snapctl.settle_all("web01"), Policy(keep_last=1, keep_tags=("keep",)))
    host.session().edit("web01", "b", Edits(tags=("keep",)))

    snapctl.execute(plan)

    assert "b" in names(host)


def test_prune_expiry_put_off_since_planned_stays(tree: TwinHost) -> None:
    host = tree
    now = datetime.now(UTC)
    host.session().edit("web01", "b", Edits(expires=now + timedelta(hours=1)))
    snapctl = host.session()
    plan = snapctl.plan_prune(snapctl.settle_all("web01"), Policy(expired=True), now=now + timedelta(hours=2))
    assert {each.checkpoint.name for each in plan.removed} == {"b"}
    host.session().edit("web01", "b", Edits(expires=now + timedelta(days=30)))

    snapctl.execute(plan)

    assert "b" in names(host)


def test_prune_all_domain_tagged_while_another_is_pruned_keeps_it(tree: TwinHost) -> None:
    """No question at all: `prune --all -y` decides for every domain first, and may be at the first for hours."""
    host = tree
    other = host.world.add("db01", disks=1)
    other.start()
    for name in ("base", "b", "c", "d"):
        other.tick()
        host.session().checkpoint("db01", name)
    host.session().rollback("db01", "base")
    done: list[str] = []

    def point(name: str) -> None:
        if name == "hidden.after" and not done:
            done.append(name)
            for domain in ("db01", "web01"):  # whichever is not under way
                with suppress(SnapctlError):
                    host.session().edit(domain, "b", Edits(tags=("keep",)))

    snapctl = host.session()
    snapctl._runner._point = point
    snapctl.prune(None, Policy(keep_last=1, keep_tags=("keep",)))

    tagged = {each.domain: each.name for each in host.session().list() if "keep" in each.tags}
    assert tagged  # the one tagged before its domain's turn came; f92f7f5 decided when it was its turn


@pytest.mark.usefixtures("hours_later")
def test_pop_marked_damaged_since_planned_is_refused(host: TwinHost) -> None:
    host.checkpoint("base")
    host.session().push("web01")
    host.guest.tick()
    snapctl = host.session()
    plan = snapctl.plan_pop(snapctl.settle("web01"))
    host._catalog.mark_damage(plan.rollback.checkpoint_id, "its SHA-256 is another")

    with pytest.raises(SnapctlError):
        snapctl.execute(plan)


@pytest.mark.usefixtures("hours_later")
def test_pop_guest_managed_saved_since_planned_is_refused(host: TwinHost) -> None:
    """The host rebooted in between, and libvirt-guests suspended the guest: its managed image would name overlays that
    are gone, and the next `virsh start` would fail."""
    host.checkpoint("base")
    host.session().push("web01")
    host.guest.tick()
    snapctl = host.session()
    plan = snapctl.plan_pop(snapctl.settle("web01"))
    present = dict(host.guest.machine.tops())
    host.guest.shut_down()
    host.guest.machine.managed_save = True

    with pytest.raises(SnapctlError):
        snapctl.execute(plan)

    assert all(path in host.world.files.files for path in present.values())


def test_rollback_planned_by_another_client_layers_written_is_refused(host: TwinHost) -> None:
    """The plan is a value; when it was made is not in it but in the coordinator that made it."""
    host.checkpoint("base")
    host.guest.tick()
    plan = host.session().plan_rollback("web01", "base")
    for overlay in plan.overlays:
        host.world.files.write(overlay.backing, "counter", 999)

    with pytest.raises(SnapctlError):
        host.session().execute(plan)

    assert host.guest.agrees()


def test_rollback_plan_executed_again_after_busy_layers_written_is_refused(host: TwinHost) -> None:
    host.checkpoint("base")
    host.guest.tick()
    snapctl = host.session()
    plan = snapctl.plan_rollback("web01", "base")
    held = host._catalog.open_operation(
        operation_id="5f0c54a4-6b3e-4c43-9f43-0d4f9d1d7f00",
        kind=OperationKind.EDIT,
        version=2,
        members=[MemberRecord(domain_uuid=plan.domain_uuid, domain_name="web01", plan={})],
    )
    with pytest.raises(SnapctlError):
        snapctl.execute(plan)
    held.close(OperationState.DONE)
    for overlay in plan.overlays:
        host.world.files.write(overlay.backing, "counter", 999)

    with pytest.raises(SnapctlError):
        snapctl.execute(plan)

    assert host.guest.agrees()


@pytest.mark.usefixtures("hours_later")
def test_keep_current_medium_changed_since_planned_keeps_one_that_can_be_restored(
    quick_directory: Path, request: pytest.FixtureRequest
) -> None:
    """C4's window was milliseconds; with plan and execute apart it is as long as somebody thinks. What is lost is the
    present state, which --keep-current promised to keep."""
    cdrom = Disk(target="sda", device=Device.CDROM, source=Source(path="/iso/a.iso", format="raw"), readonly=True)
    host = TwinHost(quick_directory / "keepcd.sqlite", others=[cdrom])
    host.checkpoint("base")
    host.guest.tick()
    snapctl = host.session()
    plan = snapctl.plan_rollback("web01", "base", keep_current=True, keep_name="kept")
    host.world.files.files["/iso/b.iso"] = deepcopy(host.world.files.files["/iso/a.iso"])
    _other_medium(host)
    assert any(each.path == "/iso/b.iso" for each in host.guest.machine.domain().disks)

    snapctl.execute(plan)

    host.session().plan_rollback("web01", "kept")
    host.close()


@pytest.mark.usefixtures("hours_later")
def test_rollback_verify_medium_changed_while_files_are_read_keeps_a_sound_one(
    quick_directory: Path,
) -> None:
    """Reading terabytes takes hours: what is kept is the guest as it is then."""
    cdrom = Disk(target="sda", device=Device.CDROM, source=Source(path="/iso/a.iso", format="raw"), readonly=True)
    host = TwinHost(quick_directory / "verifykeep.sqlite", others=[cdrom])
    host.checkpoint("base")
    host.guest.tick()
    host.world.files.files["/iso/b.iso"] = deepcopy(host.world.files.files["/iso/a.iso"])
    snapctl = host.session()
    done: list[str] = []

    def progress(what: str, *_: int) -> None:
        if not done:
            done.append(what)
            _other_medium(host)

    snapctl._progress = progress

    snapctl.rollback("web01", "base", verify=True, keep_current=True, keep_name="kept")

    assert done
    host.session().plan_undo("web01")
    host.close()


@pytest.mark.parametrize("keep_current", [False, True])
def test_rollback_layer_found_damaged_by_verify_whole_is_refused(host: TwinHost, keep_current: bool) -> None:
    """Length and time are as they were: only whoever read it whole after the question knows."""
    host.checkpoint("a")
    host.guest.tick()
    snapctl = host.session()
    assert not snapctl.verify("web01", deep=True).damaged
    plan = snapctl.plan_rollback("web01", "a", keep_current=keep_current)
    (layer, *_) = _checkpoint(host, "a").layers.values()
    image = host.world.files.image(layer.path)
    image.data = {key: value + 1 for key, value in image.data.items()}
    before = host.counter

    snapctl.verify_whole(plan)
    with pytest.raises(IntegrityError, match="marked as damaged"):
        snapctl.execute(plan)

    assert (host.counter, names(host)) == (before, ["a"])


# --------------------------------------------------------------------------- collapse, flatten


@pytest.fixture
def collapsible(quick_directory: Path, request: pytest.FixtureRequest) -> Iterator[TwinHost]:
    host = Scenario("collapse", Topology("two disks")).prepare(quick_directory / f"{request.node.name}.sqlite")
    host.guest.shut_down()
    yield host
    host.close()


def when(snapctl: Coordinator, reached: str, act: Callable[[], object]) -> None:
    """Act when the first operation reaches that point."""
    done: list[str] = []

    def point(name: str) -> None:
        if name == reached and not done:
            done.append(name)
            act()

    snapctl._runner._point = point


def test_flatten_two_disks_with_room_for_one_refuses_the_second(host: TwinHost) -> None:
    host.checkpoint("a")
    for top in host.guest.machine.tops().values():
        for number in range(20):
            host.world.files.write(top, f"data {number}", number)
    host.checkpoint("b")
    plans = host.session().plan_flatten("web01").plans
    host.world.files.free = max(each.moved_bytes for each in plans)

    with pytest.raises(Refused, match="the store /store has 0 MiB free") as raised:
        host.session().flatten("web01")

    assert raised.value.effect == f"flattened: {plans[0].layer.path}; nothing else was changed"
    host.world.files.free = 1 << 30
    assert [each.layer.path for each in host.session().plan_flatten("web01").plans] == [plans[1].layer.path]
    assert host.session().unfinished() == []


def test_collapse_layer_written_while_another_is_collapsed_is_refused(collapsible: TwinHost) -> None:
    """What is pulled up is believed from then on."""
    host, snapctl = collapsible, collapsible.session()
    first, second = snapctl.plan_collapse("web01").plans
    when(snapctl, "streamed.before", lambda: host.world.files.write(second.drops[0], "counter", 999))

    with pytest.raises(IntegrityError):
        snapctl.collapse("web01")

    assert host._catalog.layer(second.layer.path) == second.layer
    assert first.layer.path not in [each.layer.path for each in host.session().plan_collapse("web01").plans]


def test_collapse_guest_started_while_another_is_collapsed_postpones_the_rest(collapsible: TwinHost) -> None:
    host, snapctl = collapsible, collapsible.session()
    when(snapctl, "streamed.after", host.guest.start)

    assert snapctl.collapse("web01")

    assert host.guest.machine.active
    assert host.session().unfinished() == []


def test_collapse_of_all_one_domain_busy_collapses_the_others(collapsible: TwinHost) -> None:
    """A backup's block job, say."""
    host = collapsible
    host.world.add("aaa", disks=1).start()
    for name in ("x", "y", "z"):
        host.session().checkpoint("aaa", name)
    host.session().delete("aaa", ["y"], collapse=False)
    busy = next(each for each in host.world.machines.values() if each.name == "aaa")
    busy.block_jobs = ("vda",)
    there = len(host.session().plan_collapse("web01").plans)

    with pytest.raises(Busy, match="aaa"):
        host.session().collapse()

    assert (there, len(host.session().plan_collapse("web01").plans)) == (2, 0)


# --------------------------------------------------------------------------- another host


def test_plan_of_another_host_is_refused_before_anything(host: TwinHost) -> None:
    """A domain that was migrated keeps its UUID, and one catalog server may have both hosts."""
    plan = host.session().plan_checkpoint("web01", "new")
    other = replace(host.world.host, uuid="11111111-2222-4333-8444-555555555555", name="other")
    host.world.host = other
    changes: list[str] = []
    catalog = open_catalog(f"sqlite:///{host.file}", other)
    there = Coordinator(Recorded(TwinHypervisor(host.world), changes), catalog, store=STORE)

    with there, pytest.raises(Refused, match=r"the plan was made for host .*, and this is other"):
        there.execute(plan)

    assert changes == []


# --------------------------------------------------------------------------- --keep-current, a moment or an hour later


def test_keep_current_retried_after_busy_keeps_the_guest_as_it_is(host: TwinHost) -> None:
    host.checkpoint("a")
    snapctl = host.session()
    plan = snapctl.plan_rollback("web01", "a", keep_current=True, keep_name="kept")
    host.guest.suspend()
    snapctl._site.planned.clear()  # hours ago
    busy = host._catalog.open_operation(
        operation_id="5f0c54a4-6b3e-4c43-9f43-0d4f9d1d7f00",
        kind=OperationKind.EDIT,
        version=2,
        members=[MemberRecord(domain_uuid=snapctl.settle("web01").uuid, domain_name="web01", plan={})],
    )
    with pytest.raises(Busy):
        snapctl.execute(plan)
    busy.close(OperationState.DONE)

    snapctl.execute(plan)

    memory = _checkpoint(host, "kept").memory
    assert memory is not None and not memory.was_running


# --------------------------------------------------------------------------- while a checkpoint is read whole


def while_read(snapctl: Coordinator, act: Callable[[], object]) -> list[str]:
    done: list[str] = []

    def progress(what: str, *_: int) -> None:
        if not done:
            done.append(what)
            act()

    snapctl._progress = progress
    return done


def test_rollback_verify_names_exchanged_while_it_is_read_goes_to_the_one_that_was_read(host: TwinHost) -> None:
    host.checkpoint("a")
    host.checkpoint("b")

    def act() -> None:
        host.session().edit("web01", "a", Edits(name="a-before"))
        host.session().edit("web01", "b", Edits(name="a"))

    snapctl = host.session()
    done = while_read(snapctl, act)

    snapctl.rollback("web01", "a", verify=True)

    assert done
    assert host.counter == host.counters["a"]


@pytest.mark.usefixtures("hours_later")
def test_rollback_verify_checkpointed_while_it_is_read_goes_to_the_one_that_was_read(host: TwinHost) -> None:
    host.checkpoint("a")
    snapctl = host.session()
    done = while_read(snapctl, lambda: host.checkpoint("b"))

    assert snapctl.rollback("web01", verify=True).checkpoint == "a"

    assert done
