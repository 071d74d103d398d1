"""The in-memory hypervisor beyond what the contract shows: its oracle can say no, and its disks can fill up."""

from __future__ import annotations

import pytest

from orchestrator.errors import HypervisorError
from orchestrator.model import Device, Disk, GuestState, NewOverlay, OffReason, Source
from orchestrator.ports import silent
from tests.twin import Guest, TwinHypervisor

IMAGE = "/images/web01.save"


@pytest.fixture
def twin() -> TwinHypervisor:
    twin = TwinHypervisor()
    twin.world.add("web01", disks=2).start()
    return twin


@pytest.fixture
def guest(twin: TwinHypervisor) -> Guest:
    guest = twin.guest("web01")
    guest.tick(3)
    return guest


def test_a_guest_agrees_with_its_disks(guest: Guest) -> None:
    assert guest.agrees()
    guest.ram["counter"] += 1
    assert not guest.agrees()


def test_tick_memory_on_changed_disks_is_noticed(twin: TwinHypervisor, guest: Guest) -> None:
    """F1."""
    twin.domains.save(guest.uuid, IMAGE, silent)
    saved = twin.domains.saved_definition(IMAGE)
    guest.start().tick()
    twin.domains.destroy(guest.uuid)
    twin.domains.restore(IMAGE, saved)
    assert not guest.agrees()


def test_a_cold_boot_is_no_restore_but_agrees(twin: TwinHypervisor, guest: Guest) -> None:
    run = guest.machine.run_id
    twin.domains.destroy(guest.uuid)
    guest.start()
    assert guest.agrees() and guest.machine.run_id != run


def test_tick_writes_only_to_the_active_layer(twin: TwinHypervisor, guest: Guest) -> None:
    base = guest.machine.tops()["vda"]
    before = twin.storage.sha256(base, silent)
    overlay = NewOverlay(target="vda", path="/images/o.qcow2", backing=base, backing_format="qcow2", capacity=1 << 20)
    twin.storage.create_overlay(overlay)
    empty = twin.storage.stat(overlay.path)
    twin.domains.destroy(guest.uuid)
    twin.domains.define(twin.domains.definition(guest.uuid).replace(base, overlay.path))
    guest.start().tick()
    written = twin.storage.stat(overlay.path)
    assert twin.storage.sha256(base, silent) == before
    assert empty and written and written.physical > empty.physical and written.mtime > empty.mtime
    assert guest.agrees()


def test_a_failed_save_over_an_image_destroys_it(twin: TwinHypervisor, guest: Guest) -> None:
    """F3."""
    twin.domains.save(guest.uuid, IMAGE, silent)
    guest.start().tick()
    guest.ram["ballast"] = 10**400
    twin.world.files.free = 0
    with pytest.raises(HypervisorError, match="No space"):
        twin.domains.save(guest.uuid, IMAGE, silent)
    with pytest.raises(HypervisorError, match="incomplete"):
        twin.domains.saved_definition(IMAGE)
    assert guest.machine.state is GuestState.RUNNING


def test_a_guest_without_room_is_paused(twin: TwinHypervisor, guest: Guest) -> None:
    """F7."""
    twin.world.files.free = 0
    base = guest.machine.tops()["vda"]
    twin.world.files.image(base).data.clear()
    guest.write("vda", 1)
    assert guest.machine.state is GuestState.IO_ERROR


def test_no_instruction_runs_while_a_guest_is_paused(guest: Guest) -> None:
    guest.suspend()
    with pytest.raises(AssertionError, match="no instruction"):
        guest.tick()


def test_a_daemon_that_restarts_forgets_why_machines_are_off(twin: TwinHypervisor, guest: Guest) -> None:
    twin.domains.save(guest.uuid, IMAGE, silent)
    twin.world.restart_daemon()
    off = twin.domains.get(guest.uuid)
    assert off and off.off_reason is OffReason.UNKNOWN


def test_a_killed_qemu_takes_a_transient_domain_with_it(twin: TwinHypervisor) -> None:
    twin.world.add("gone", persistent=False)
    twin.world.kill_qemu("gone")
    assert twin.domains.find("gone") is None


def test_twin_cdrom_is_shown_and_not_written(twin: TwinHypervisor) -> None:
    source = Source(path="/iso/cd.iso", format="raw")
    cdrom = Disk(target="hda", device=Device.CDROM, source=source, readonly=True)
    guest = twin.world.add("with-cd", others=[cdrom]).start()
    guest.tick()
    domain = twin.domains.find("with-cd")
    assert domain and domain.disks[-1] == cdrom
    assert list(guest.machine.tops()) == ["vda"]
