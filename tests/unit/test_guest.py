"""Which domain a verb is about: defined, running, or known to the catalog alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from orchestrator.catalog import SqlCatalog
from orchestrator.coordinator import Coordinator
from orchestrator.errors import NotFound, Refused
from orchestrator.model import MemberRecord, OperationKind, OperationState
from orchestrator.operations.shared.guest import checkpoint_of, find
from orchestrator.operations.shared.site import Site
from orchestrator.ports import OpenOperation
from orchestrator.store.ownership import Ownership
from tests.twin import Guest, TwinHypervisor, World


@pytest.fixture
def site(world: World, our_catalog: SqlCatalog) -> Site:
    hypervisor = TwinHypervisor(world)
    owner = Ownership(hypervisor, our_catalog, "/store")
    return Site(hypervisor=hypervisor, catalog=our_catalog, store="/store", owner=owner)


@pytest.fixture
def web01(world: World, snapctl: Coordinator) -> Guest:
    """With a checkpoint `clean`."""
    guest = world.add("web01").start()
    guest.tick()
    snapctl.checkpoint("web01", "clean")
    return guest


def undefine(world: World, guest: Guest) -> None:
    guest.shut_down()
    del world.machines[guest.uuid]


def begun(catalog: SqlCatalog, world: World, guest: Guest) -> OpenOperation:
    """An operation on a guest of which nothing but the journal's row is there."""
    return catalog.open_operation(
        operation_id="begun",
        kind=OperationKind.CHECKPOINT,
        version=1,
        members=[MemberRecord(domain_uuid=guest.uuid, domain_name=guest.name, plan={})],
    )


@pytest.mark.parametrize("by", [lambda guest: guest.name, lambda guest: guest.uuid], ids=["name", "UUID"])
def test_find_by_name_and_by_uuid(site: Site, web01: Guest, by: Callable[[Guest], str]) -> None:
    guest = find(site, by(web01))

    assert (guest.uuid, guest.name) == (web01.uuid, "web01")
    assert guest.domain is not None


@pytest.mark.parametrize("by", [lambda guest: guest.name, lambda guest: guest.uuid], ids=["name", "UUID"])
def test_a_domain_that_only_its_checkpoints_remember_is_found(
    site: Site, world: World, web01: Guest, by: Callable[[Guest], str]
) -> None:
    undefine(world, web01)

    guest = find(site, by(web01))

    assert (guest.uuid, guest.domain) == (web01.uuid, None)
    assert checkpoint_of(site, guest, "clean").name == "clean"


@pytest.mark.parametrize("by", [lambda guest: guest.name, lambda guest: guest.uuid], ids=["name", "UUID"])
def test_a_domain_of_which_only_an_operation_is_left_is_found(
    site: Site, world: World, our_catalog: SqlCatalog, by: Callable[[Guest], str]
) -> None:
    """A transient one whose first checkpoint broke off when its memory was saved: its image is all there is of it."""
    guest = world.add("web01", persistent=False)
    name = by(guest)
    begun(our_catalog, world, guest)
    guest.shut_down()
    assert world.machines == {}

    assert find(site, name).uuid == guest.uuid


@pytest.mark.parametrize("name", ["nobody", "11111111-2222-4333-8444-555555555555", "web0"])
def test_find_unknown_domain_raises_not_found(site: Site, web01: Guest, name: str) -> None:
    with pytest.raises(NotFound, match=f"there is no domain {name} on twin; nothing was changed; see: virsh list"):
        find(site, name)


def test_a_domain_whose_only_operation_is_settled_is_forgotten(
    site: Site, world: World, our_catalog: SqlCatalog
) -> None:
    guest = world.add("web01").start()
    lease = begun(our_catalog, world, guest)
    undefine(world, guest)
    assert find(site, "web01").uuid == guest.uuid

    lease.close(OperationState.UNDONE)

    with pytest.raises(NotFound):
        find(site, "web01")


# --------------------------------------------------------------------------- two domains, one name


@pytest.fixture
def remade(world: World, web01: Guest) -> Guest:
    """Another domain of that name: the former one was undefined, its checkpoints are still there."""
    undefine(world, web01)
    return world.add("web01").start()


def test_a_rollback_names_the_domain_that_has_the_checkpoint(snapctl: Coordinator, web01: Guest, remade: Guest) -> None:
    with pytest.raises(Refused) as refused:
        snapctl.rollback("web01", "clean")

    assert refused.value.problem == f"the checkpoints under the name web01 belong to another domain, {web01.uuid}"
    assert refused.value.hint == (
        "first rename the new one, while it is shut off: virsh domrename web01 NEW-NAME; "
        f"see: snapctl list {web01.uuid}"
    )
    assert [each.name for each in snapctl.list(web01.uuid)] == ["clean"]


def test_a_checkpoint_of_such_a_domain_is_refused(snapctl: Coordinator, web01: Guest, remade: Guest) -> None:
    with pytest.raises(Refused, match=f"the catalog has checkpoints of another domain named web01, {web01.uuid}"):
        snapctl.checkpoint("web01", "clean")


def test_a_domain_with_checkpoints_of_its_own_has_none_of_another_name(snapctl: Coordinator, web01: Guest) -> None:
    with pytest.raises(NotFound, match="web01 has no checkpoint dirty"):
        snapctl.rollback("web01", "dirty")


def test_checkpoint_namesake_without_checkpoints_is_allowed(
    snapctl: Coordinator, our_catalog: SqlCatalog, world: World
) -> None:
    former = world.add("web01").start()
    lease = begun(our_catalog, world, former)
    lease.close(OperationState.UNDONE)
    undefine(world, former)
    world.add("web01").start().tick()

    snapctl.checkpoint("web01", "clean")

    assert [each.name for each in snapctl.list("web01")] == ["clean"]
