"""A rollback brings the checkpoint's own domain and disks back, whatever became of them; killed, it has a way on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from orchestrator.errors import Refused, SnapctlError
from orchestrator.formats import domainxml
from orchestrator.formats.xmltree import parse, serialize
from orchestrator.model import Disk, GuestState, OperationState, Source
from tests.crash.faults import EFFECTS, Fault, Killed, Kind
from tests.crash.injectors import CallInjector
from tests.crash.test_foreign_acts import kill, rollback_a
from tests.crash.twin_host import TwinHost
from tests.twin.files import Image
from tests.twin.world import CAPACITY
from tests.twin.xml import domain_xml

Act = Callable[[TwinHost], None]
MOVED = Source(path="/images/moved.qcow2", format="qcow2")
OWN_FILE = "/images/own.qcow2"


@pytest.fixture
def host(quick_directory: Path, request: pytest.FixtureRequest) -> Iterator[TwinHost]:
    """A guest with one checkpoint `a`, which it has left."""
    host = TwinHost(quick_directory / f"{request.node.name}.sqlite")
    host.checkpoint("a")
    host.guest.tick(5)
    yield host
    host.close()


# --------------------------------------------------------------------------- what its owner did


def detach(host: TwinHost) -> None:
    """A disk for good, live and in the definition."""
    machine = host.guest.machine
    machine.persistent_xml = without(machine.persistent_xml or "", "vdb")
    if machine.running_xml:
        machine.running_xml = without(machine.running_xml, "vdb")


def move(host: TwinHost) -> None:
    """virsh blockcopy --pivot, and the definition with it."""
    machine = host.guest.machine
    if MOVED.path not in host.world.files.files:
        host.world.files.put(MOVED.path, Image(capacity=CAPACITY))
    host.world.files.write(MOVED.path, "counter", host.guest.read("vda") or 0)
    machine.persistent_xml = domainxml.on_disks(machine.persistent_xml or "", {"vda": MOVED})
    if machine.running_xml:
        machine.running_xml = domainxml.on_disks(machine.running_xml, {"vda": MOVED})


def attach(host: TwinHost) -> None:
    """A disk more, live and in the definition."""
    machine = host.guest.machine
    host.world.files.put(OWN_FILE, Image(capacity=CAPACITY))
    more = domain_xml("any", machine.uuid, [Disk(target="vdc", source=Source(path=OWN_FILE, format="qcow2"))])
    machine.persistent_xml = domainxml.with_set(machine.persistent_xml or "", like=more, added=["vdc"], removed=[])
    if machine.running_xml:
        machine.running_xml = domainxml.with_set(machine.running_xml, like=more, added=["vdc"], removed=[])


def undefine(host: TwinHost) -> None:
    host.guest.shut_down()
    host.world.undefine(host.guest.uuid)


def undefine_running(host: TwinHost) -> None:
    host.world.undefine(host.guest.uuid)


def rename(host: TwinHost) -> None:
    host.guest.shut_down()
    host.world.rename(host.guest.uuid, "web02")


def without(xml: str, target: str) -> str:
    domain = parse(xml, "domain")
    for disk in list(domain.iterfind("devices/disk")):
        if disk.find("target").get("dev") == target:  # type: ignore[union-attr]
            disk.getparent().remove(disk)  # type: ignore[union-attr]
    return serialize(domain)


def shut_off(act: Act) -> Act:
    def both(host: TwinHost) -> None:
        act(host)
        host.guest.shut_down()

    both.__name__ = f"{act.__name__}_shut_off"
    return both


ACTS = (
    *(detach, move, attach, undefine, undefine_running, rename),
    *(shut_off(detach), shut_off(move), shut_off(attach)),
)


def by_name(act: Act) -> str:
    return act.__name__


# --------------------------------------------------------------------------- rollback


@pytest.mark.parametrize("act", ACTS, ids=by_name)
def test_rollback_brings_back_the_domain_and_its_set_of_disks(host: TwinHost, act: Act) -> None:
    act(host)

    host.session().rollback(current_name(host), "a")

    machine = host.guest.machine
    assert set(machine.domain().persistent_sources()) == {"vda", "vdb"}
    assert machine.domain().persistent_sources() == machine.domain().sources()
    assert host.counter == host.counters["a"]
    assert machine.name == ("web02" if act is rename else "web01")
    for kept in (MOVED.path, OWN_FILE):
        assert (kept in host.world.files.files) == (act.__name__.startswith(("move", "attach")) and used(act) == kept)
    host.check()
    host.guest.shut_down()
    assert host.guest.start().read("vdb") == host.counters["a"]


def used(act: Act) -> str:
    return MOVED.path if act.__name__.startswith("move") else OWN_FILE


def current_name(host: TwinHost) -> str:
    machine = host.world.machines.get(host._uuid)
    return machine.name if machine else "web01"


@pytest.mark.parametrize("act", ACTS, ids=by_name)
def test_rollback_killed_at_each_effect_is_settled(host: TwinHost, act: Act) -> None:
    act(host)
    before = describe(host)
    host.keep()
    injector = CallInjector()
    host.session(injector).rollback(current_name(host), "a")
    effects = [number for number, call in enumerate(injector.calls) if call in EFFECTS]

    for number in effects:
        host.put_back()
        name = current_name(host)
        try:
            with suppress(Killed):
                host.session(CallInjector(Fault(number, Kind.KILLED))).rollback(name, "a")
            host.expire_leases()
            stopped = host.stopped_unrecorded() or (before is not None and not host.world.machines)
            host.session().recover()
            if not stopped and describe(host) != before:
                assert host.counter == host.counters["a"]
                host.check()
            assert host.session().recover() == []
            host.session().rollback(current_name(host), "a")  # there is a way on in any case
            host.check()
        except BaseException as error:
            error.add_note(f"killed after call {number}, {injector.calls[number]}")
            raise


def describe(host: TwinHost) -> object:
    """The domain as its owner sees it."""
    machine = host.world.machines.get(host._uuid)
    if machine is None:
        return None
    seen = machine.domain()
    return (machine.name, machine.state, seen.sources(), seen.persistent_sources(), dict(machine.ram))


def test_rollback_question_names_what_differs(host: TwinHost) -> None:
    move(host)
    detach(host)
    attach(host)
    snapctl = host.session()

    plan = snapctl.plan_rollback("web01", "a")

    said = " ".join(plan.losses)
    assert "Disk vdb, which was detached, comes back." in said
    assert f"Disk vda is {MOVED.path} now, which is kept." in said
    assert f"Disk vdc is detached; {OWN_FILE} is kept." in said


def test_rollback_undefined_question_says_defined_again(host: TwinHost) -> None:
    undefine(host)
    assert host.session().plan_rollback("web01", "a").losses == ["The domain will be defined again."]


def test_rollback_undefined_name_taken_is_refused(host: TwinHost) -> None:
    undefine(host)
    other = host.world.add("web01").uuid
    with pytest.raises(Refused, match="another domain is named web01 now"):
        host.session().rollback(host._uuid, "a")
    assert set(host.world.machines) == {other}


def test_rollback_undefined_defined_since_planned_is_refused(host: TwinHost) -> None:
    definition = host.guest.machine.persistent_xml or ""
    undefine(host)
    snapctl = host.session()
    plan = snapctl.plan_rollback("web01", "a")
    host.world.define(definition)
    with pytest.raises(SnapctlError):
        snapctl.execute(plan)
    assert host.guest.machine.persistent_xml == definition


def test_rollback_undefined_undone_after_it_was_defined_is_undefined_again(host: TwinHost) -> None:
    """What it was defined on is removed with the operation: a layer of the checkpoint was changed in between."""
    undefine(host)
    kill(host, rollback_a, after="define")
    assert host.guest.machine.persistent_xml
    host.world.files.touch("/images/web01-vda.qcow2")

    (recovered,) = host.session().recover()

    assert recovered.state is OperationState.UNDONE
    assert not host.world.machines


def test_rollback_detached_undone_after_it_was_defined_has_its_former_disks(host: TwinHost) -> None:
    detach(host)
    attach(host)
    before = host.guest.machine.domain().persistent_sources()
    kill(host, rollback_a, after="define")
    assert host.guest.machine.domain().persistent_sources() != before
    host.world.files.touch("/images/web01-vda.qcow2")

    (recovered,) = host.session().recover()

    assert recovered.state is OperationState.UNDONE
    assert host.guest.machine.domain().persistent_sources() == before


def test_rollback_guest_runs_on_frozen_layer_is_refused(host: TwinHost) -> None:
    base = Source(path="/images/web01-vda.qcow2", format="qcow2")
    host.guest.machine.running_xml = domainxml.on_disks(host.guest.machine.running_xml or "", {"vda": base})
    with pytest.raises(Refused, match="which checkpoint a needs unchanged"):
        rollback_a(host.session())
    assert host.guest.machine.state is GuestState.RUNNING


def test_rollback_renamed_leaves_the_image_alone(host: TwinHost) -> None:
    memory = host.checkpoints()[0].memory
    assert memory is not None
    content = host.world.files[memory.path].bytes()
    rename(host)

    host.session().rollback("web02", "a")

    assert host.world.files[memory.path].bytes() == content
    assert host.session().list("web02")[0].domain == "web02"  # and the catalog knows the new name


def test_old_name_after_rename_is_the_domain(host: TwinHost) -> None:
    rename(host)
    assert host.session().rollback("web01", "a").domain == "web02"


def test_transient_guest_stays_transient(quick_directory: Path) -> None:
    host = TwinHost(quick_directory / "stays transient.sqlite", persistent=False)
    host.checkpoint("a")
    host.guest.shut_down()
    assert not host.world.machines

    rollback_a(host.session())

    assert host.guest.machine.persistent_xml is None
    host.check()
    host.close()


def test_domain_created_again_under_its_name_old_checkpoints_can_be_deleted(host: TwinHost) -> None:
    """terraform: the same name, another UUID."""
    undefine(host)
    new = host.world.add("web01").start()
    new.tick()
    with pytest.raises(Refused, match="checkpoints of another domain named web01") as refused:
        host.session().checkpoint("web01", "b")
    assert "snapctl delete web01" in refused.value.hint
    assert [each.name for each in host.session().list("web01")] == ["a"]
    assert host.session().show("web01", "a").checkpoint.domain_uuid == host._uuid

    host.session().delete("web01", ["a"])

    host.session().checkpoint("web01", "b")
    new.tick()
    host.session().rollback("web01", "b")
    assert new.agrees()
