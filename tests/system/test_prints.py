"""What has no facts, or no layer: block devices, read-only disks, CD-ROMs and floppies are told by their content."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import libvirt
import pytest

from tests.box import layout
from tests.box.box import Box
from tests.box.connection import connect
from tests.box.fixtures import GuestFactory
from tests.box.witness import Media, Witness
from tests.kills.client import SignalledClient
from tests.waiting import wait_until

from . import troubles
from .client import Client, new_client
from .host_state import unchanged
from .moments import say_everywhere, write_notes

pytestmark = pytest.mark.system

INTEGRITY, UNFINISHED = 5, 7


def image(guest: Witness, target: str) -> str:
    return f"{layout.IMAGES}/{guest.name}-disk-{target}.raw"


@dataclass(frozen=True)
class OnDevice:
    """A guest whose disk is a block device."""

    guest: Witness
    device: str
    box: Box

    def poke(self, offset: int, text: str = "another") -> None:
        """Write to the device behind everybody's back."""
        command = f"printf '{text}' | dd of={self.device} bs=1 seek={offset} conv=notrunc,fsync"
        self.box.run_inside("sh", "-e", "-c", command)

    def shut_down(self) -> None:
        with connect(self.box.uri) as connection:
            domain = connection.lookupByName(self.guest.name)
            domain.shutdown()
            wait_until(lambda: not domain.isActive(), what="the shutdown")


@pytest.fixture
def on_device(box: Box, guest: GuestFactory) -> Iterator[OnDevice]:
    web = guest(media=Media(image_format="raw"), boot=False)
    device = box.run_inside("losetup", "--find", "--show", image(web, "vda")).stdout.strip()
    try:
        with connect(box.uri) as connection:
            domain = connection.lookupByName(web.name)
            troubles.redefine(domain, lambda xml: _on_block(xml, device))
        web.boot()
        yield OnDevice(web, device, box)
    finally:
        web.remove()
        box.run_inside("losetup", "--detach", device)


def _on_block(xml: str, device: str) -> str:
    xml = xml.replace("<disk type='file' device='disk'>", "<disk type='block' device='disk'>")
    return re.sub("<source file='[^']*'/>", f"<source dev='{device}'/>", xml)


@pytest.fixture
def owner(box: Box) -> Iterator[SignalledClient]:
    """With a catalog that knows nothing of the device."""
    with new_client(box.uri) as made:
        yield SignalledClient(box.uri, made.home)


# --------------------------------------------------------------------------- block devices


def test_rollback_device_as_it_was_is_done_and_no_other_node_is_opened(
    box: Box, owner: SignalledClient, on_device: OnDevice
) -> None:
    web = on_device.guest
    write_notes(web, "then")
    outcome = owner.do("checkpoint", web.name, "clean")
    assert f"{on_device.device} is a block device: only samples of it will be compared" in outcome["note"]
    write_notes(web, "later")

    assert owner.do("rollback", web.name, "clean", "-y")["note"] == f"only samples of {on_device.device} are compared"
    assert say_everywhere(web, "then")
    assert "only samples" in owner.run("show", web.name, "clean").stdout
    assert owner.run("verify", web.name, "--deep").code == 0
    with connect(box.uri) as connection:
        assert [pool for pool in connection.listAllStoragePools() if "<path>/dev" in pool.XMLDesc()] == []
        assert [each.name() for each in connection.listAllDomains() if "peek" in each.name()] == []


def test_rollback_device_that_was_written_to_is_refused_until_accepted(
    box: Box, owner: SignalledClient, on_device: OnDevice
) -> None:
    web = on_device.guest
    write_notes(web, "then")
    owner.do("checkpoint", web.name, "clean")
    boot = web.report()["boot"]
    on_device.poke(1020)  # in a place that no file system reads

    with unchanged(box, owner):
        line = owner.refusal(INTEGRITY, "rollback", web.name, "clean", "-y")
    assert f"{on_device.device} was written to, or is another device" in line
    assert f"snapctl verify {web.name} clean --accept" in line
    assert web.report()["boot"] == boot
    assert owner.run("verify", web.name).code == INTEGRITY  # which marks it as damaged

    shown = owner.run("verify", web.name, "clean", "--accept", "--dry-run")
    assert (shown.code, "its content differs" in shown.stdout) == (0, True)
    owner.do("verify", web.name, "clean", "--accept", "-y")
    owner.do("rollback", web.name, "clean", "-y")
    assert say_everywhere(web, "then")

    on_device.poke(1020, "a third")  # its SHA-256 is known now
    line = owner.refusal(INTEGRITY, "verify", web.name, "clean", "--accept", "-y")
    assert "cannot accept the files" in line


@pytest.mark.parametrize("ends", ["shut down", "destroyed, and the daemon started again"])
def test_recover_first_checkpoint_of_a_device_that_moved_on_restores_no_memory(
    box: Box, owner: SignalledClient, on_device: OnDevice, ends: str
) -> None:
    """Killed after the save; the owner starts the guest, works, and ends it."""
    web = on_device.guest
    write_notes(web, "then")
    owner.run_to("repointed.before", "checkpoint", web.name, "first")
    web.boot()
    write_notes(web, "later")
    if ends == "shut down":
        on_device.shut_down()
    else:
        web.sh("sync")
        with connect(box.uri) as connection:
            connection.lookupByName(web.name).destroy()
        box.kill_libvirtd()
        box.start_libvirtd()

    line = owner.refusal(UNFINISHED, "recover")
    assert "may have run after its memory was sa" in line

    web.boot()
    assert owner.run("recover").code == 0
    assert say_everywhere_on_disk(web, "later")
    assert owner.do("list", web.name) == []


def say_everywhere_on_disk(guest: Witness, text: str) -> bool:
    return guest.sh("cat /mnt/note") == text


# --------------------------------------------------------------------------- read-only disks and media


@pytest.fixture(scope="module")
def laden(client: Client, module_guest: GuestFactory) -> Witness:
    guest = module_guest(media=Media(image_format="raw", readonly=True, cdrom=True))
    write_notes(guest, "base")
    client.do("checkpoint", guest.name, "base")
    return guest


@pytest.mark.parametrize("target", ["vdb", "hda"])
def test_rollback_exchanged_medium_is_refused_until_it_is_accepted(
    box: Box, client: Client, laden: Witness, target: str
) -> None:
    """Of the same length and time, so that only its content tells."""
    path = image(laden, target)
    exchange = "cp -p $1 /tmp/medium; printf other | dd of=$1 bs=1 seek=1048576 conv=notrunc; touch -r /tmp/medium $1"
    box.run_inside("sh", "-e", "-c", exchange, "sh", path)
    with unchanged(box, client):
        line = client.refusal(INTEGRITY, "rollback", laden.name, "base", "-y")
    assert "its content is another" in line
    assert "--accept" in line
    client.do("verify", laden.name, "base", "--accept", "-y")
    client.do("rollback", laden.name, "base", "-y")
    assert say_everywhere(laden, "base")

    box.run_inside("cp", "-p", "/tmp/medium", path)  # but its SHA-256 is known by now
    line = client.refusal(INTEGRITY, "verify", laden.name, "base", "--accept", "-y")
    assert "cannot accept the files of" in line
    box.run_inside("sh", "-e", "-c", exchange, "sh", path)
    client.do("rollback", laden.name, "base", "-y")


def test_rollback_lost_cdrom_is_done_without_it(box: Box, client: Client, guest: GuestFactory) -> None:
    web = guest(media=Media(image_format="raw", cdrom=True))
    write_notes(web, "then")
    client.do("checkpoint", web.name, "clean")
    box.run_inside("rm", image(web, "hda"))
    with unchanged(box, client):
        line = client.refusal(INTEGRITY, "rollback", web.name, "clean", "-y")
    assert f"/{web.name}-disk-hda.raw is missing" in line
    assert f"snapctl rollback {web.name} clean --without-media" in line
    assert client.run("verify", web.name).code == INTEGRITY  # which marks it as damaged

    write_notes(web, "later")
    planned = client.run("rollback", web.name, "clean", "--without-media", "--dry-run")
    assert f"leave the drive hda of {web.name} empty" in planned.stdout
    outcome = client.do("rollback", web.name, "clean", "--without-media", "-y")
    assert f"the drive hda will be empty, without {image(web, 'hda')}" in outcome["note"]
    assert say_everywhere(web, "then")
    with connect(box.uri) as connection:
        assert image(web, "hda") not in connection.lookupByName(web.name).XMLDesc()
    client.do("checkpoint", web.name, "next")
    client.do("rollback", web.name, "next", "-y")


def test_checkpoint_writable_floppy_is_named_as_no_part_of_it(box: Box, client: Client, guest: GuestFactory) -> None:
    web = guest(media=Media(image_format="raw"), boot=False)
    floppy = f"{layout.IMAGES}/{web.name}-disk-fda.raw"
    box.run_inside("truncate", "--size=1440K", floppy)
    drive = (
        "<disk type='file' device='floppy'><driver name='qemu' type='raw'/>"
        f"<source file='{floppy}'/><target dev='fda' bus='fdc'/></disk>"
    )
    with connect(box.uri) as connection:
        domain = connection.lookupByName(web.name)
        troubles.redefine(domain, lambda xml: xml.replace("</devices>", f"{drive}</devices>"))
        domain.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
    outcome = client.do("checkpoint", web.name, "clean")
    assert f"the floppy fda ({floppy}) is writable and no part of the checkpoint" in outcome["note"]
    assert "no part of the checkpoint" in client.run("show", web.name, "clean").stdout
    box.run_inside("sh", "-c", f"printf other | dd of={floppy} bs=1 conv=notrunc")
    client.do("rollback", web.name, "clean", "-y")


# --------------------------------------------------------------------------- times


def test_rollback_moved_store_is_sound_by_its_content(box: Box, client: Client, guest: GuestFactory) -> None:
    """Everything restored from a backup that keeps times to the second: the SHA-256 of the memory image is known, the
    disk needs one word."""
    web = guest(media=Media(image_format="raw"))
    write_notes(web, "then")
    client.do("checkpoint", web.name, "clean")
    shown = client.do("show", web.name, "clean")
    memory, base = shown["memory"]["path"], shown["disks"][0]["layer"]["path"]
    box.run_inside("touch", "--date=2026-01-02 03:04:05", memory)
    with unchanged(box, client):
        line = client.refusal(INTEGRITY, "rollback", web.name, "clean", "-y")
    assert f"have its content compared: snapctl verify {web.name} clean" in line
    assert client.run("verify", web.name, "clean").code == 0
    client.do("rollback", web.name, "clean", "-y")

    box.run_inside("touch", "--date=2026-01-02 03:04:05", memory, base)
    assert client.run("verify", web.name, "clean").code == INTEGRITY
    client.do("verify", web.name, "clean", "--accept", "-y")
    write_notes(web, "later")
    client.do("rollback", web.name, "clean", "-y")
    assert say_everywhere(web, "then")
