"""A managed-save image is part of the present state: a rollback discards it, and nothing else ever does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from orchestrator.errors import Refused, SnapctlError
from orchestrator.model import GuestState
from tests.crash.faults import EFFECTS, Fault, Killed, Kind
from tests.crash.injectors import CallInjector
from tests.crash.test_foreign_acts import kill, rollback_a
from tests.crash.twin_host import TwinHost


@pytest.fixture
def host(quick_directory: Path, request: pytest.FixtureRequest) -> Iterator[TwinHost]:
    """A guest with one checkpoint `a`, suspended by libvirt-guests later."""
    host = TwinHost(quick_directory / f"{request.node.name}.sqlite")
    host.checkpoint("a")
    host.guest.tick(5)
    host.guest.managed_save()
    host.keep()
    yield host
    host.close()


def effects(host: TwinHost) -> list[int]:
    """The calls of a rollback that change something, by number."""
    injector = CallInjector()
    rollback_a(host.session(injector))
    host.put_back()
    return [number for number, call in enumerate(injector.calls) if call in EFFECTS]


def test_rollback_guest_with_managed_save_discards_it(host: TwinHost) -> None:
    snapctl = host.session()
    plan = snapctl.plan_rollback(snapctl.settle("web01"), "a")
    assert "remove the managed-save image of web01" in plan.lines()
    assert plan.losses == ["Its managed-save image will be removed."]

    snapctl.execute(plan)

    assert not host.guest.machine.managed_save
    assert host.counter == host.counters["a"]
    host.check()
    host.guest.shut_down()
    assert host.guest.start().read("vda") == host.counters["a"]  # and not what was suspended


def test_rollback_running_guest_with_stale_managed_save_discards_both(host: TwinHost) -> None:
    host.world.power_on(host.guest.machine, host.guest.machine.persistent_xml or "", {"counter": 6})

    host.session().rollback("web01", "a")

    assert not host.guest.machine.managed_save
    host.check()


def test_checkpoint_guest_with_managed_save_says_start_it(host: TwinHost) -> None:
    with pytest.raises(Refused) as refused:
        host.session().checkpoint("web01", "b")
    assert "virsh start web01" in refused.value.hint
    assert host.guest.machine.managed_save


def test_rollback_managed_save_killed_at_each_effect_is_settled(host: TwinHost) -> None:
    """Whole, on the disks that it was made with, or gone after the commit: never anything between."""
    worked = host.guest.machine.managed_image.ram["counter"] if host.guest.machine.managed_image else 0
    for number in effects(host):
        host.put_back()
        with suppress(Killed):
            rollback_a(host.session(CallInjector(Fault(number, Kind.KILLED))))
        host.expire_leases()
        host.session().recover()
        if host.guest.machine.managed_save:
            assert host.guest.machine.state is GuestState.OFF
            assert host.guest.start().ram["counter"] == worked
        else:
            assert host.counter == host.counters["a"]
        host.check()
        assert host.session().recover() == []


def test_rollback_managed_save_killed_at_each_effect_owner_starts_it(host: TwinHost) -> None:
    """`virsh start` restores the image on the disks that it names, for as long as those are there."""
    worked = host.guest.machine.managed_image.ram["counter"] if host.guest.machine.managed_image else 0
    for number in effects(host):
        host.put_back()
        with suppress(Killed):
            rollback_a(host.session(CallInjector(Fault(number, Kind.KILLED))))
        host.expire_leases()
        kept = not host.guest.machine.active
        if kept:
            assert host.guest.start().ram["counter"] == worked
            worked_on = host.guest.tick(10)
        host.session().recover()
        if kept:
            assert host.counter == worked_on
        host.check()


def test_rollback_killed_before_commit_keeps_managed_save(host: TwinHost) -> None:
    kill(host, rollback_a, after="restore")
    assert host.guest.machine.managed_save


def test_rollback_killed_after_commit_managed_save_is_removed_by_recover(host: TwinHost) -> None:
    kill(host, rollback_a, after="commit_rollback")
    assert host.guest.machine.managed_save

    host.session().recover()

    assert not host.guest.machine.managed_save
    host.check()


def test_rollback_suspended_again_on_new_overlays_keeps_that_image(host: TwinHost) -> None:
    """Its owner suspended the guest that was restored: that image is of the new state."""
    kill(host, rollback_a, after="remove_managed_save")
    host.guest.resume()
    host.guest.tick()
    host.guest.managed_save()

    with suppress(SnapctlError):
        host.session().recover()

    assert host.guest.machine.managed_save
    assert host.guest.start().agrees()


def test_rollback_suspended_since_planned_is_refused(host: TwinHost) -> None:
    """The image of the plan is another one than that of now."""
    snapctl = host.session()
    plan = snapctl.plan_rollback(snapctl.settle("web01"), "a")
    host.guest.start().tick()
    host.guest.shut_down()

    with pytest.raises(SnapctlError):
        snapctl.execute(plan)

    assert host.guest.start().agrees()
