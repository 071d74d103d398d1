"""Block devices, read-only disks and media on the in-memory hypervisor: what has no time of change, or no layer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.coordinator import Coordinator
from orchestrator.errors import IntegrityError, NotFound, Refused, Unfinished
from orchestrator.model import Checkpoint, Device, Disk, OffReason, Source
from tests.checkpoints import memory_of
from tests.crash.test_foreign_acts import checkpoint_b, kill, rollback_a
from tests.crash.twin_host import TwinHost

DEVICE = "/dev/vg/data"
DATA = Disk(target="vdz", source_type="block", source=Source(path=DEVICE, format="raw"))
ISO, DISC = "/iso/a.iso", "/iso/data.raw"
CDROM = Disk(target="sda", device=Device.CDROM, source=Source(path=ISO, format="raw"), readonly=True)
READ_ONLY = Disk(target="vdr", source=Source(path=DISC, format="raw"), readonly=True)
FLOPPY = Disk(target="fda", device=Device.FLOPPY, source=Source(path="/iso/a.img", format="raw"))


@pytest.fixture
def device(quick_directory: Path, request: pytest.FixtureRequest) -> Iterator[TwinHost]:
    """A guest with a disk in a file and one on a block device, and no checkpoint."""
    host = TwinHost(quick_directory / f"{request.node.name[:60]}.sqlite", disks=1, others=[DATA])
    yield host
    host.close()


@pytest.fixture
def laden(quick_directory: Path, request: pytest.FixtureRequest) -> Iterator[TwinHost]:
    """A guest with a read-only disk and a CD-ROM, and the checkpoint `a`."""
    host = TwinHost(quick_directory / f"{request.node.name[:60]}.sqlite", disks=1, others=[CDROM, READ_ONLY])
    host.checkpoint("a")
    yield host
    host.close()


def exchange(host: TwinHost, path: str) -> None:
    """Other content of the same length and time."""
    host.world.files.image(path).data["other"] = 1


def of(host: TwinHost, name: str) -> Checkpoint:
    return host.session().show("web01", name).checkpoint


def accept(session: Coordinator, name: str = "a") -> list[str]:
    plan = session.plan_acceptance("web01", name)
    assert not session.accept("web01", name, plan).damaged
    return plan.lines()


# --------------------------------------------------------------------------- devices


def test_rollback_device_as_it_was_brings_it_back(device: TwinHost) -> None:
    device.checkpoint("a")
    device.guest.tick(5)
    device.rollback("a")
    device.check()
    assert of(device, "a").layers["vdz"].fingerprint is not None


def test_rollback_device_was_written_to_is_refused(device: TwinHost) -> None:
    device.checkpoint("a")
    exchange(device, DEVICE)

    with pytest.raises(IntegrityError, match=f"{DEVICE} was written to, or is another device") as refused:
        device.session().rollback("web01", "a")

    assert "--accept" in refused.value.hint
    assert device.guest.machine.active
    (verdict,) = device.session().verify("web01", "a").checkpoints
    assert [found.path for found in verdict.findings] == [DEVICE]


def test_accept_device_is_read_whole_and_decided_by_its_sha256_from_then_on(device: TwinHost) -> None:
    device.checkpoint("a")
    exchange(device, DEVICE)
    (line,) = accept(device.session())
    assert line.startswith(f"accept {DEVICE} for web01/a: its content differs")
    device.session().rollback("web01", "a")

    device.world.files.image(DEVICE).data["other"] = 2
    with pytest.raises(IntegrityError, match="cannot accept the files of web01/a"):
        device.session().plan_acceptance("web01", "a")


def test_accept_device_of_which_nothing_is_recorded_records_it(device: TwinHost) -> None:
    """As an earlier snapctl left it."""
    device.checkpoint("a")
    layer = of(device, "a").layers["vdz"]
    device._catalog.record_layer(layer, replace(layer, fingerprint=None))
    assert not device.session().verify("web01").damaged

    (line,) = accept(device.session())
    assert line.endswith("nothing is recorded of its content yet")
    assert of(device, "a").layers["vdz"].fingerprint == layer.fingerprint


@pytest.mark.parametrize("reason", [OffReason.RAN, OffReason.DESTROYED, OffReason.UNKNOWN])
def test_recover_first_checkpoint_device_moved_on_does_not_restore(device: TwinHost, reason: OffReason) -> None:
    """The owner starts the guest after the save, works, and ends it; the daemon may have forgotten how."""
    kill(device, checkpoint_b, after="save")
    with pytest.raises(NotFound):
        of(device, "b")
    device.guest.start().tick(100)
    device.world.power_off(device.guest.machine, reason)

    with pytest.raises(Unfinished, match="may have run"):
        device.session().recover()

    device.guest.start()
    device.session().recover()
    device.check()
    assert device.session().list("web01") == []


@pytest.mark.parametrize("reason", [OffReason.RAN, OffReason.UNKNOWN])
def test_recover_device_moved_on_after_the_save_was_recorded_does_not_restore(
    device: TwinHost, reason: OffReason
) -> None:
    kill(device, checkpoint_b, after="complete", times=2)
    device.guest.start()
    for _ in range(3):  # on the device alone
        device.guest.write("vdz", 100)
    device.world.power_off(device.guest.machine, reason)

    with pytest.raises(Unfinished, match="may have run"):
        device.session().recover()


def test_recover_device_is_as_it_was_restores(device: TwinHost) -> None:
    """Also when the daemon was started again."""
    device.counters["b"] = device.counter
    kill(device, checkpoint_b, after="complete", times=2)
    device.world.restart_daemon()

    device.session().recover()

    device.check()
    device.check_rollbacks()


def test_recover_device_written_to_after_the_stop_is_undone(device: TwinHost) -> None:
    device.checkpoint("a")
    kill(device, rollback_a, after="complete", times=2)
    exchange(device, DEVICE)

    (recovered,) = device.session().recover()

    assert recovered.state == "undone"
    assert not device.guest.machine.active


# --------------------------------------------------------------------------- media


@pytest.mark.parametrize("path", [ISO, DISC])
def test_rollback_exchanged_medium_is_refused(laden: TwinHost, path: str) -> None:
    exchange(laden, path)
    with pytest.raises(IntegrityError, match="was exchanged or changed: its content is another") as refused:
        laden.session().rollback("web01", "a")
    assert ("--without-media" in refused.value.hint) is (path == ISO)

    accept(laden.session())
    laden.rollback("a")


def test_rollback_without_media_leaves_the_drive_empty(laden: TwinHost) -> None:
    exchange(laden, ISO)
    assert laden.session().verify("web01").damaged  # which marks it

    outcome = laden.session().rollback("web01", "a", without_media=True)

    assert outcome.note == f"the drive sda will be empty, without {ISO}"
    drives = {disk.target: disk.path for disk in laden.guest.machine.domain().disks}
    assert (drives["sda"], drives["vdr"]) == (None, DISC)


def test_rollback_without_media_keeps_to_its_medium_when_it_is_as_it_was(laden: TwinHost) -> None:
    laden.session().rollback("web01", "a", without_media=True)
    assert {disk.target: disk.path for disk in laden.guest.machine.domain().disks}["sda"] == ISO


@pytest.mark.parametrize("also", ["vdr", "memory"])
def test_rollback_without_media_of_what_else_is_damaged_is_refused(laden: TwinHost, also: str) -> None:
    exchange(laden, ISO)
    path = DISC if also == "vdr" else memory_of(of(laden, "a")).path
    laden.world.files.remove(path)
    with pytest.raises(IntegrityError):
        laden.session().rollback("web01", "a", without_media=True)
    assert laden.session().verify("web01").damaged
    with pytest.raises(IntegrityError, match="marked as damaged"):
        laden.session().rollback("web01", "a", without_media=True)


def test_recover_medium_exchanged_after_the_stop_is_undone(laden: TwinHost) -> None:
    kill(laden, rollback_a, after="complete", times=2)
    exchange(laden, DISC)

    (recovered,) = laden.session().recover()

    assert recovered.state == "undone"


def test_checkpoint_writable_floppy_is_named_and_not_compared(quick_directory: Path) -> None:
    host = TwinHost(quick_directory / "floppy.sqlite", disks=1, others=[FLOPPY])
    outcome = host.session().checkpoint("web01", "a")
    assert outcome.note == "the floppy fda (/iso/a.img) is writable and no part of the checkpoint"
    exchange(host, "/iso/a.img")
    host.session().rollback("web01", "a")
    host.close()


# --------------------------------------------------------------------------- times


def test_rollback_memory_image_with_another_time_is_refused_until_it_was_read(laden: TwinHost) -> None:
    memory = memory_of(of(laden, "a"))
    assert memory.mtime is not None
    laden.world.files.touch(memory.path)

    with pytest.raises(IntegrityError, match="was changed: its time of") as refused:
        laden.session().rollback("web01", "a")
    assert refused.value.hint == "have its content compared: snapctl verify web01 a"

    assert not laden.session().verify("web01").damaged
    laden.rollback("a")


def test_verify_memory_image_with_another_time_and_content_is_damaged(laden: TwinHost) -> None:
    path = memory_of(of(laden, "a")).path
    file = laden.world.files[path]
    file.content = file.content[:-1] + bytes([file.content[-1] ^ 1])
    laden.world.files.touch(path)

    (verdict,) = laden.session().verify("web01").checkpoints
    assert "its SHA-256 is" in verdict.findings[0].problem
    with pytest.raises(IntegrityError, match="cannot accept the files"):
        laden.session().plan_acceptance("web01", "a")


def test_accept_layer_with_another_time_records_time_and_sha256(laden: TwinHost) -> None:
    path = of(laden, "a").layers["vda"].path
    laden.world.files.touch(path)
    with pytest.raises(IntegrityError) as refused:
        laden.session().rollback("web01", "a")
    assert refused.value.hint == "restore it, or: snapctl verify web01 a --accept"

    (line,) = accept(laden.session())
    assert line.startswith(f"accept {path} for web01/a: last changed at ")
    assert of(laden, "a").layers["vda"].sha256 is not None
    laden.rollback("a")


def test_accept_layer_of_another_length_is_refused(laden: TwinHost) -> None:
    laden.world.files.write(of(laden, "a").layers["vda"].path, "more", 1)
    with pytest.raises(IntegrityError, match="cannot accept the files of web01/a: the layer"):
        laden.session().plan_acceptance("web01", "a")


def test_accept_layer_whose_sha256_does_not_match_is_refused(laden: TwinHost) -> None:
    laden.session().verify("web01", deep=True)
    path = of(laden, "a").layers["vda"].path
    laden.world.files.image(path).data["counter"] = 0
    laden.world.files.touch(path)
    with pytest.raises(IntegrityError, match="cannot accept the files of web01/a"):
        laden.session().plan_acceptance("web01", "a")


def test_accept_what_changed_after_it_was_shown_is_refused(laden: TwinHost) -> None:
    path = of(laden, "a").layers["vda"].path
    laden.world.files.touch(path)
    plan = laden.session().plan_acceptance("web01", "a")
    laden.world.files.touch(path)
    with pytest.raises(Refused, match="changed after their differences were shown"):
        laden.session().accept("web01", "a", plan)
    assert laden.session().verify("web01").damaged


def test_accept_nothing_differs_records_nothing(laden: TwinHost) -> None:
    before = of(laden, "a")
    assert accept(laden.session()) == []
    assert of(laden, "a") == before


# --------------------------------------------------------------------------- flatten


def test_flatten_of_device_needs_the_space_of_its_capacity(device: TwinHost) -> None:
    device.checkpoint("a")
    device.world.files.free = device.world.files.image(DEVICE).capacity - 1
    with pytest.raises(Refused, match="may grow by 1 MiB"):
        device.session().plan_flatten("web01")


# --------------------------------------------------------------------------- a QEMU that dies


@pytest.mark.parametrize("persistent", [True, False])
def test_recover_qemu_died_between_restore_and_resume_restores_again(quick_directory: Path, persistent: bool) -> None:
    """A transient domain is gone with its QEMU."""
    host = TwinHost(quick_directory / f"died-{persistent}.sqlite", persistent=persistent)
    host.counters["b"] = host.counter
    kill(host, checkpoint_b, after="complete", times=5)  # "restored" is recorded
    host.world.kill_qemu("web01")

    host.session().recover()

    host.check()
    host.check_rollbacks()
    host.close()
