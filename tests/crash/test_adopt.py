"""A domain whose disks were changed outside snapctl is checkpointed as it is, if its user says so; nothing is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from orchestrator.errors import Refused
from orchestrator.formats import domainxml
from orchestrator.model import GuestState, Source
from tests.crash.faults import EFFECTS, Fault, Killed, Kind
from tests.crash.injectors import CallInjector
from tests.crash.test_present_set import MOVED, OWN_FILE, attach, detach, move
from tests.crash.twin_host import TwinHost
from tests.twin.files import Image
from tests.twin.world import CAPACITY

BASE = "/images/web01-vda.qcow2"
Act = Callable[[TwinHost], None]


@pytest.fixture
def host(quick_directory: Path, request: pytest.FixtureRequest) -> Iterator[TwinHost]:
    """A guest with checkpoints `a` and `b`, which it has left."""
    host = TwinHost(quick_directory / f"{request.node.name}.sqlite")
    host.checkpoint("a")
    host.checkpoint("b")
    host.guest.tick(5)
    yield host
    host.close()


def on(host: TwinHost, target: str, path: str) -> None:
    machine = host.guest.machine
    source = {target: Source(path=path, format="qcow2")}
    machine.running_xml = domainxml.on_disks(machine.running_xml or "", source)
    machine.persistent_xml = domainxml.on_disks(machine.persistent_xml or "", source)


def snapshot(host: TwinHost) -> None:
    """virsh snapshot-create --disk-only, and virsh snapshot-delete --metadata."""
    for target, path in host.guest.machine.tops().items():
        new = f"{path.removesuffix('.qcow2')}.s1"
        host.world.files.put(new, Image(capacity=CAPACITY, backing=path, backing_format="qcow2"))
        on(host, target, new)
    host.guest.tick()


def commit_into_base(host: TwinHost) -> None:
    """virsh blockcommit --active --pivot, all the way down."""
    host.world.files.write(BASE, "counter", host.counter)
    on(host, "vda", BASE)


def pull(host: TwinHost) -> None:
    """virsh blockpull."""
    host.world.files.rebase(host.guest.machine.tops()["vda"], None)


def names(host: TwinHost) -> list[str]:
    return [each.name for each in host.session().list()]


@pytest.mark.parametrize("act", [detach, move])
def test_checkpoint_disks_differ_is_refused_with_a_way_on(host: TwinHost, act: Act) -> None:
    act(host)
    with pytest.raises(Refused, match="the catalog says") as refused:
        host.session().checkpoint("web01", "c")
    assert "snapctl checkpoint web01 --adopt" in refused.value.hint
    assert "virsh edit" not in refused.value.hint


@pytest.mark.parametrize(("act", "parent"), [(detach, "b"), (snapshot, "b"), (move, None)])
def test_checkpoint_adopts_the_present_disks(host: TwinHost, act: Act, parent: str | None) -> None:
    act(host)
    host.counters["c"] = host.counter

    plan = host.session().plan_checkpoint("web01", "c", adopt=True)
    assert plan.differs
    host.session().checkpoint("web01", "c", adopt=True)

    assert host.session().show("web01", "c").parent == parent
    host.guest.tick()
    host.session().verify()
    for name in ("c", "a", "b", "c"):
        host.session().rollback("web01", name)
        assert host.guest.agrees()
        assert host.counter == host.counters[name]
    assert not host.session().verify().damaged


@pytest.mark.parametrize("act", [detach, move, snapshot])
def test_adopted_checkpoint_leaves_nothing_that_cannot_be_deleted(host: TwinHost, act: Act) -> None:
    left = host.guest.machine.tops()
    act(host)
    host.counters["c"] = host.counter
    host.session().checkpoint("web01", "c", adopt=True)
    assert set(left.values()) <= set(host.world.files.files)  # what its owner has written is kept

    (planned,) = [p for p in host.session().plan_delete("web01", ["b"]).plans if p.checkpoint_name == "b"]
    host.session().delete("web01", ["a", "b"])

    if act is not snapshot:
        gone = left["vdb" if act is detach else "vda"]
        assert gone in planned.layers
        assert gone not in host.world.files.files
    host.check()


def test_adopt_with_no_checkpoint_below_forgets_the_layer(host: TwinHost) -> None:
    host.session().delete("web01", ["a", "b"])
    left = host.guest.machine.tops()["vda"]
    move(host)

    host.session().checkpoint("web01", "c", adopt=True)

    assert left in host.world.files.files
    assert host._catalog.layer(left) is None
    assert not host.session().verify().damaged


def test_checkpoint_frozen_base_was_written_names_the_lost_checkpoints(host: TwinHost) -> None:
    commit_into_base(host)
    for adopt in (False, True):
        with pytest.raises(Refused, match=f"has changed {BASE}, or may: checkpoint a, b relied on it") as refused:
            host.session().checkpoint("web01", "c", adopt=adopt)
        assert "snapctl delete --no-collapse web01 a b" in refused.value.hint

    host.session().delete("web01", ["a", "b"], collapse=False)
    host.counters["c"] = host.counter
    host.session().checkpoint("web01", "c", adopt=True)

    assert not host.session().verify().damaged
    assert host.session().show("web01", "c").parent is None
    host.guest.tick()
    host.session().rollback("web01", "c")
    assert host.counter == host.counters["c"]


def test_checkpoint_guest_on_frozen_base_unwritten_is_refused(host: TwinHost) -> None:
    """It may be written to at any time."""
    on(host, "vda", BASE)
    with pytest.raises(Refused, match="checkpoint a, b relied on it"):
        host.session().checkpoint("web01", "c", adopt=True)


def test_checkpoint_after_blockpull_records_the_chain_as_it_is(host: TwinHost) -> None:
    pull(host)
    host.guest.tick()
    host.counters["c"] = host.counter

    outcome = host.session().checkpoint("web01", "c")

    assert "the chain of vda was changed outside snapctl" in (outcome.note or "")
    layer = host.session().show("web01", "c").checkpoint.layers["vda"]
    assert layer.backing is None
    host.guest.tick()
    host.check()
    host.check_rollbacks()


def test_checkpoint_attached_disk_needs_no_word(host: TwinHost) -> None:
    attach(host)
    host.guest.tick()
    host.counters["c"] = host.counter
    host.session().checkpoint("web01", "c")
    host.session().rollback("web01", "a")
    assert OWN_FILE in host.world.files.files
    host.session().rollback("web01", "c")
    assert set(host.guest.machine.tops()) == {"vda", "vdb", "vdc"}


@pytest.mark.parametrize("act", [detach, move, snapshot])
def test_adopting_checkpoint_killed_at_each_effect_is_settled(host: TwinHost, act: Act) -> None:
    act(host)
    host.counters["c"] = host.counter
    host.keep()
    injector = CallInjector()
    host.session(injector).checkpoint("web01", "c", adopt=True)
    effects = [number for number, call in enumerate(injector.calls) if call in EFFECTS]
    for number in effects:
        host.put_back()
        with suppress(Killed):
            host.session(CallInjector(Fault(number, Kind.KILLED))).checkpoint("web01", "c", adopt=True)
        host.expire_leases()
        host.session().recover()
        assert host.guest.machine.state is GuestState.RUNNING
        assert host.guest.agrees()
        if "c" not in names(host):
            host.session().checkpoint("web01", "c", adopt=True)
        assert not host.session().verify().damaged
        for name in ("a", "b", "c"):
            host.session().rollback("web01", name)
            assert host.counter == host.counters[name]


def test_moved_file_is_never_deleted(host: TwinHost) -> None:
    move(host)
    host.session().checkpoint("web01", "c", adopt=True)
    host.session().rollback("web01", "a")
    host.session().delete("web01", ["c"])
    assert MOVED.path in host.world.files.files
