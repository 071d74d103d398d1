"""What cannot be done is refused, with the reason and the way out, and nothing at all is changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import libvirt
import libvirt_qemu
import pytest

from tests.box import layout
from tests.box.box import Box
from tests.box.connection import connect
from tests.box.fixtures import GuestFactory
from tests.box.witness import Media
from tests.waiting import wait_until

from . import troubles
from .client import Client, new_client
from .host_state import unchanged
from .troubles import Trouble

pytestmark = pytest.mark.system

USAGE, BUSY, REFUSED = 2, 4, 6
MONITOR_OF_HUMANS = libvirt_qemu.VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP


@pytest.fixture(scope="module")
def base(client: Client, module_guest: GuestFactory) -> str:
    """The name of a domain that stands still on its checkpoint `base`."""
    guest = module_guest(boot=False)
    guest.start(paused=True)
    client.do("checkpoint", guest.name, "base")
    return guest.name


@pytest.fixture
def troubled(box: Box, base: str) -> Iterator[Any]:
    """The same, as libvirt's domain: whatever is done to it is undone afterwards."""
    with connect(box.uri) as connection:
        domain = connection.lookupByName(base)
        definition = domain.XMLDesc(troubles.INACTIVE)
        yield domain
        troubles.restart_as(connection, base, definition)


BOTH: list[tuple[Trouble, int, str]] = [
    (troubles.libvirt_snapshot, REFUSED, "has libvirt snapshots of its own: theirs"),
    (troubles.libvirt_checkpoint, REFUSED, "has libvirt checkpoints (dirty bitmaps) of its own: theirs"),
    (troubles.block_job, BUSY, "has a block job on vda"),
    (troubles.backup_job, BUSY, "has a job in progress (backup)"),
]
"""(what is wrong, exit code, what is said of it)"""


@pytest.mark.parametrize(
    ("trouble", "code", "said"),
    [
        *BOTH,
        (troubles.other_disk, REFUSED, "disk-vda.qcow2, or may: checkpoint base relied on it"),
        (troubles.shut_off, REFUSED, "is not running"),
        (troubles.edited_disk, REFUSED, "/other.qcow2"),
        (troubles.volume_disk, REFUSED, "of type volume, neither file nor block"),
        (troubles.encrypted_disk, REFUSED, "has <encryption>, which an overlay cannot have"),
        (troubles.encrypted_source, REFUSED, "has <encryption>, which an overlay cannot have"),
        (troubles.namesake, REFUSED, "another domain"),
        (troubles.undefined, REFUSED, "is not defined"),
    ],
)
def test_a_checkpoint_is_refused(
    box: Box, client: Client, troubled: Any, trouble: Trouble, code: int, said: str
) -> None:
    trouble(troubled)
    with unchanged(box, client):
        assert said in client.refusal(code, "checkpoint", troubled.name(), "new")


@pytest.mark.parametrize(
    ("trouble", "code", "said"),
    [
        *BOTH,
        (troubles.pending_volume_disk, REFUSED, "has no file or block device that an overlay could replace"),
        (troubles.encrypted_disk, REFUSED, "has <encryption>, which an overlay cannot have"),
        (troubles.encrypted_source, REFUSED, "has <encryption>, which an overlay cannot have"),
        (troubles.other_disk, REFUSED, "which checkpoint base needs unchanged"),
        (troubles.namesake, REFUSED, "another domain"),
    ],
)
def test_a_rollback_is_refused(box: Box, client: Client, troubled: Any, trouble: Trouble, code: int, said: str) -> None:
    trouble(troubled)
    with unchanged(box, client):
        assert said in client.refusal(code, "rollback", troubled.name(), "base", "-y")


@pytest.mark.parametrize(
    ("code", "said", "arguments"),
    [
        (REFUSED, "there is no domain nobody01", ("checkpoint", "nobody01", "new")),
        (REFUSED, "there is no domain nobody01", ("rollback", "nobody01", "base", "-y")),
        (REFUSED, "there is no domain nobody01", ("delete", "nobody01", "base", "-y")),
        (REFUSED, "already has a checkpoint base", ("checkpoint", "GUEST", "base")),
        (REFUSED, "has no checkpoint new", ("rollback", "GUEST", "new", "-y")),
        (REFUSED, "has no checkpoint new", ("delete", "GUEST", "base", "new", "-y")),
        (USAGE, "'no/name' is not a valid checkpoint name", ("checkpoint", "GUEST", "no/name")),
        (USAGE, "'-' is not a valid tag name", ("checkpoint", "GUEST", "new", "-t", "-")),
        (USAGE, "no terminal to ask on", ("rollback", "GUEST", "base")),
        (USAGE, "no terminal to ask on", ("delete", "GUEST", "base")),
        (USAGE, "stop", ("rollback", "GUEST", "base", "-y", "--after", "stop")),
    ],
)
def test_a_command_is_refused(
    box: Box, client: Client, base: str, code: int, said: str, arguments: tuple[str, ...]
) -> None:
    with unchanged(box, client):
        assert said in client.refusal(code, *(base if each == "GUEST" else each for each in arguments))


# --------------------------------------------------------------------------- a cramped store


@pytest.fixture(scope="module")
def cramped(box: Box) -> Iterator[Client]:
    """A user whose store is on a small file system of the hypervisor's."""
    box.mount_tmpfs("/cramped", "80m")
    with new_client(box.uri) as client:
        client.configure('[store]\npath = "/cramped/store"\n')
        yield client


def test_checkpoint_store_too_small_for_the_memory_is_refused(
    box: Box, cramped: Client, module_guest: GuestFactory
) -> None:
    guest = module_guest(boot=False)
    guest.start(paused=True)
    with unchanged(box, cramped, "/cramped"):
        line = cramped.refusal(REFUSED, "checkpoint", guest.name, "new")
    assert "/cramped/store has 80 MiB free" in line


def test_rollback_store_within_reserve_is_refused(box: Box, client: Client, base: str) -> None:
    client.configure("[store]\nreserve_mib = 100_000_000\n")
    try:
        with unchanged(box, client):
            assert "a rollback needs" in client.refusal(REFUSED, "rollback", base, "base", "-y")
    finally:
        client.configure("")


# --------------------------------------------------------------------------- unfit guests


@pytest.mark.parametrize("kind", ["shareable", "transient"])
def test_checkpoint_disk_that_cannot_be_frozen_is_refused(
    box: Box, client: Client, module_guest: GuestFactory, kind: str
) -> None:
    guest = module_guest(media=Media(**{kind: True}, image_format="raw"), boot=False)
    guest.start(paused=True)
    with unchanged(box, client):
        assert f"disk vdb of {guest.name} is {kind}" in client.refusal(REFUSED, "checkpoint", guest.name)


def test_a_disk_that_is_a_part_of_a_file(box: Box, client: Client, module_guest: GuestFactory) -> None:
    guest = module_guest(boot=False)
    with connect(box.uri) as connection:
        troubles.sliced_disk(connection.lookupByName(guest.name))
    for option in ((), ("--dry-run",)):
        with unchanged(box, client):
            line = client.refusal(REFUSED, "checkpoint", guest.name, "new", *option)
        assert f"disk vda of {guest.name} has <slices>, which an overlay cannot have" in line


def test_checkpoint_crashed_guest_is_refused(box: Box, client: Client, module_guest: GuestFactory) -> None:
    guest = module_guest(boot=False)
    with connect(box.uri) as connection:
        domain = connection.lookupByName(guest.name)
        troubles.redefine(domain, lambda xml: xml.replace("</devices>", "<panic model='isa'/></devices>"))
        troubles.redefine(domain, lambda xml: xml.replace("destroy</on_crash>", "preserve</on_crash>"))
        guest.start(paused=True)
        as_a_kernel_does_in_panic = "o /b 0x505 1"
        libvirt_qemu.qemuMonitorCommand(domain, as_a_kernel_does_in_panic, MONITOR_OF_HUMANS)
        wait_until(lambda: domain.state()[0] == libvirt.VIR_DOMAIN_CRASHED)
    with unchanged(box, client):
        assert "has crashed" in client.refusal(REFUSED, "checkpoint", guest.name)


def test_checkpoint_guest_paused_on_io_error_is_refused(box: Box, client: Client, module_guest: GuestFactory) -> None:
    guest = module_guest(boot=False)
    box.mount_tmpfs("/failing", "2m")
    disk = f"{guest.name}-disk-vda.qcow2"
    box.run_inside("cp", f"{layout.IMAGES}/{disk}", "/failing/")
    with connect(box.uri) as connection:
        domain = connection.lookupByName(guest.name)
        troubles.redefine(domain, lambda xml: xml.replace(f"{layout.IMAGES}/{disk}", f"/failing/{disk}"))
        guest.boot()
        guest.sh("setsid dd if=/dev/urandom of=/mnt/much bs=1M count=8 conv=fsync >/dev/null 2>&1 &")
        wait_until(lambda: domain.state() == [libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_IOERROR])
    with unchanged(box, client, "/failing"):
        assert "paused on an I/O error" in client.refusal(REFUSED, "checkpoint", guest.name)
