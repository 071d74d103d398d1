"""The verbs beyond a single operation: several at once, what was left behind, names that changed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing

import pytest

from orchestrator.catalog import SqlCatalog, open_catalog
from orchestrator.coordinator import Coordinator
from orchestrator.errors import Busy, NotFound, OperationUndone, Refused, SnapctlError, Unfinished
from orchestrator.model import After, MemberRecord, OperationKind, OperationState
from tests.crash.faults import Call, Fault, Killed, Kind
from tests.crash.injectors import CallInjector, faulty_hypervisor
from tests.twin import Guest, TwinHypervisor, World

Killer = Callable[[Guest, str], None]


def running(world: World, name: str) -> Guest:
    guest = world.add(name).start()
    guest.tick()
    return guest


@pytest.fixture
def web01(world: World) -> Guest:
    return running(world, "web01")


def names(coordinator: Coordinator, domain: str | None = None) -> list[str]:
    return [each.name for each in coordinator.list(domain)]


# --------------------------------------------------------------------------- several checkpoints go


@pytest.fixture
def family(snapctl: Coordinator, web01: Guest) -> Coordinator:
    """root - child - leaf, and sibling, on which web01 stands, on root."""
    for name in ("root", "child", "leaf"):
        snapctl.checkpoint("web01", name)
    snapctl.rollback("web01", "root")
    snapctl.checkpoint("web01", "sibling")
    return snapctl


@pytest.mark.parametrize("given", [["child", "leaf"], ["leaf", "child"], ["child", "leaf", "child"]])
def test_children_are_deleted_before_their_parents(family: Coordinator, given: list[str]) -> None:
    planned = [plan.checkpoint_name for plan in family.plan_delete("web01", given).plans]
    deleted = [outcome.checkpoint for outcome in family.delete("web01", given)]

    assert planned == deleted == ["leaf", "child"]
    assert names(family) == ["root", "sibling"]


def test_delete_order_ignores_creation_times(family: Coordinator, url: str) -> None:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as database, database:
        database.execute("UPDATE checkpoint SET created = '2020-01-01T00:00:00.000000+00:00' WHERE name = 'leaf'")

    assert [outcome.checkpoint for outcome in family.delete("web01", ["child", "leaf"])] == ["leaf", "child"]


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        (["leaf", "nobody"], NotFound, "web01 has no checkpoint nobody"),
    ],
)
def test_delete_with_one_refusal_deletes_none(
    family: Coordinator, given: list[str], error: type[SnapctlError], said: str
) -> None:
    before = family.list()

    for verb in (family.plan_delete, family.delete):
        with pytest.raises(error, match=said):
            verb("web01", given)

    assert family.list() == before


def test_delete_descendants_become_descendants_of_the_parent(family: Coordinator) -> None:
    family.delete("web01", ["child"])
    assert {each.name: each.parent for each in family.list()} == {"root": None, "leaf": "root", "sibling": "root"}

    family.delete("web01", ["sibling"])  # which the guest stood on
    assert [each.name for each in family.list() if each.current] == ["root"]

    family.delete("web01", ["root"], recursive=True)
    assert family.list() == []


def test_the_only_copy_of_a_guest_is_not_deleted(family: Coordinator) -> None:
    family.checkpoint("web01", "stopped", after=After.STOP)
    with pytest.raises(Refused, match="was not started since checkpoint stopped"):
        family.delete("web01", ["stopped"])
    with pytest.raises(Refused, match="was not started since checkpoint stopped"):
        family.flatten("web01")  # which would make it look as if a guest had written
    family.rollback("web01", "stopped")
    family.flatten("web01")
    family.delete("web01", ["stopped"])


def test_a_checkpoint_that_is_refused_flattens_nothing(family: Coordinator, world: World) -> None:
    before = {path: file.bytes() for path, file in world.files.files.items()}
    with pytest.raises(Refused, match="already has a checkpoint leaf"):
        family.checkpoint("web01", "leaf", flatten=True)
    assert {path: file.bytes() for path, file in world.files.files.items()} == before


def test_collapse_helper_qemu_dies_is_undone(
    family: Coordinator, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    family.delete("web01", ["child"], collapse=False)
    with monkeypatch.context() as patch:
        patch.setattr(world, "in_mid_job", lambda helper: world.kill_qemu(helper.name))
        with pytest.raises(OperationUndone, match=r"the QEMU process that copied .* ended; undone: the disks of web01"):
            family.collapse("web01")
    assert len(family.collapse("web01")) == 1


# --------------------------------------------------------------------------- what was left behind


@pytest.fixture
def kill_after_save(world: World, url: str) -> Killer:
    """Begin a checkpoint of a guest of that name, and be killed when its memory is saved."""

    def kill(guest: Guest, name: str) -> None:
        catalog = open_catalog(url, world.host)
        twin = faulty_hypervisor(TwinHypervisor(world), CallInjector(Fault(Call("save"), Kind.KILLED)))
        with pytest.raises(Killed):
            Coordinator(twin, catalog, store="/store").checkpoint(guest.name, name)
        catalog.close_connection()

    return kill


def test_recover_skips_operation_of_another_process(
    snapctl: Coordinator, our_catalog: SqlCatalog, world: World, web01: Guest, kill_after_save: Killer
) -> None:
    db01 = running(world, "db01")
    held = our_catalog.open_operation(
        operation_id="theirs",
        kind=OperationKind.DELETE,
        version=1,
        members=[MemberRecord(domain_uuid=db01.uuid, domain_name="db01", plan={})],
    )
    kill_after_save(web01, "clean")

    with pytest.raises(Busy, match="a delete of db01 is in progress"):
        snapctl.recover()

    assert names(snapctl, "web01") == ["clean"]
    assert web01.agrees()
    assert [operation.id for operation in snapctl.unfinished()] == ["theirs"]
    held.check()


def test_recover_continues_after_one_that_cannot_be_settled(
    snapctl: Coordinator, world: World, web01: Guest, kill_after_save: Killer
) -> None:
    db01, mail01 = running(world, "db01"), running(world, "mail01")
    for guest in (web01, db01, mail01):
        kill_after_save(guest, "clean")
    for guest in (web01, db01):  # their images may be stale: they ran without them
        guest.start().tick()
        guest.shut_down()

    with pytest.raises(Unfinished, match="web01 may have run after its memory was saved"):
        snapctl.recover()

    assert names(snapctl) == ["clean"]
    assert mail01.machine.active and mail01.agrees()
    assert [operation.domains for operation in snapctl.unfinished()] == ["web01", "db01"]


def test_recovery_of_one_domain_leaves_the_others_alone(
    snapctl: Coordinator, world: World, web01: Guest, kill_after_save: Killer
) -> None:
    db01 = running(world, "db01")
    for guest in (web01, db01):
        kill_after_save(guest, "clean")

    (recovered,) = snapctl.recover("db01")

    assert (recovered.domain, recovered.state) == ("db01", OperationState.DONE)
    assert [operation.domains for operation in snapctl.unfinished()] == ["web01"]
    assert not web01.machine.active


# --------------------------------------------------------------------------- a domain that was renamed


def rename(guest: Guest, name: str) -> None:
    """virsh domrename, which a running guest does not allow."""
    machine = guest.machine
    guest.shut_down()
    assert machine.persistent_xml is not None
    machine.persistent_xml = machine.persistent_xml.replace(f"<name>{machine.name}<", f"<name>{name}<")
    machine.name = name
    guest.start()


def test_checkpoint_renamed_domain_uses_the_new_name(snapctl: Coordinator, web01: Guest) -> None:
    snapctl.checkpoint("web01", "before")
    rename(web01, "www")

    snapctl.checkpoint("www", "after")

    assert [(each.domain, each.name) for each in snapctl.list("www")] == [("www", "before"), ("www", "after")]
    assert [snapctl.show("www", name).checkpoint.domain_name for name in ("before", "after")] == ["web01", "www"]


def test_rollback_to_checkpoint_from_before_a_renaming_keeps_the_new_name(snapctl: Coordinator, web01: Guest) -> None:
    """libvirt restores a memory image under its own name only."""
    snapctl.checkpoint("web01", "before")
    rename(web01, "www")
    snapctl.checkpoint("www", "after")

    assert snapctl.rollback("www", "before").domain == "www"


def test_delete_keeps_the_newest_name_of_the_domain(snapctl: Coordinator, web01: Guest) -> None:
    for name in ("first", "second"):
        snapctl.checkpoint("web01", name)
    snapctl.rollback("web01", "first")
    rename(web01, "www")

    (deleted,) = snapctl.delete("www", ["second"])

    assert deleted.domain == "www"
    assert [(each.domain, each.name) for each in snapctl.list()] == [("www", "first")]
