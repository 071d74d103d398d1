"""What would make the restore fail is found out while the guest still runs (order rule 14)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.box import networks
from tests.box.box import Box
from tests.box.connection import connect
from tests.box.fixtures import GuestFactory
from tests.box.witness import Media, Witness

from . import troubles
from .client import Client
from .host_state import unchanged

pytestmark = pytest.mark.system

REFUSED = 6
LAN = "lan78"


def paused(box: Box, guest: Witness) -> str:
    """Started, and as libvirt shows it then."""
    guest.start(paused=True)
    return definition(box, guest)


def definition(box: Box, guest: Witness) -> str:
    with connect(box.uri) as connection:
        xml: str = connection.lookupByName(guest.name).XMLDesc()
    return xml


def path_in(xml: str, pattern: str) -> str:
    found = re.search(pattern, xml)
    assert found
    return found[1]


def on_lan(box: Box, make: GuestFactory) -> Witness:
    guest = make(boot=False)
    networks.start(box, LAN)
    networks.connect_guest(box, guest.name, LAN)
    guest.start(paused=True)
    return guest


@pytest.fixture
def elsewhere(box: Box) -> Iterator[Any]:
    """Moves files of the box away, and back at the end."""
    moved: list[str] = []

    def move(path: str) -> None:
        box.run_inside("mv", path, f"{path}.away")
        moved.append(path)

    yield move
    for path in moved:
        box.run_inside("mv", f"{path}.away", path)


def test_a_network_that_is_not_active(box: Box, client: Client, guest: GuestFactory) -> None:
    web = on_lan(box, guest)
    client.do("checkpoint", web.name, "clean")
    networks.stop(box, LAN)
    for argv in (("checkpoint", web.name, "new"), ("rollback", web.name, "clean", "-y")):
        for option in ((), ("--dry-run",)):
            with unchanged(box, client):
                line = client.refusal(REFUSED, *argv, *option)
            assert f"{web.name} needs the network {LAN}, which is not active" in line
            assert f"start it: {client.virsh} net-start {LAN}" in line

    networks.start(box, LAN)
    client.do("rollback", web.name, "clean", "-y")


def test_a_kernel_that_is_gone(box: Box, client: Client, guest: GuestFactory, elsewhere: Any) -> None:
    web = guest(boot=False)
    xml = paused(box, web)
    client.do("checkpoint", web.name, "clean")
    kernel = path_in(xml, "<kernel>(.*)</kernel>")
    elsewhere(kernel)
    for argv in (("checkpoint", web.name, "new"), ("rollback", web.name, "clean", "-y")):
        with unchanged(box, client):
            line = client.refusal(REFUSED, *argv)
        assert "the kernel " in line and f"of {web.name} is missing" in line


def test_a_medium_that_was_deleted_while_the_guest_runs(
    box: Box, client: Client, guest: GuestFactory, elsewhere: Any
) -> None:
    web = guest(media=Media(cdrom=True), boot=False)
    elsewhere(path_in(paused(box, web), "<source file='([^']*hda[^']*)'"))
    with unchanged(box, client):
        line = client.refusal(REFUSED, "checkpoint", web.name, "new")
    assert "the cdrom image " in line
    assert f"eject it: {client.virsh} change-media {web.name} hda --eject" in line

    with connect(box.uri) as connection:  # which is what that does
        drive = "<disk type='file' device='cdrom'><target dev='hda' bus='ide'/><readonly/></disk>"
        connection.lookupByName(web.name).updateDeviceFlags(drive, 0)
    client.do("checkpoint", web.name, "new")
    client.do("rollback", web.name, "new", "-y")


def test_a_medium_that_may_be_missing(box: Box, client: Client, guest: GuestFactory, elsewhere: Any) -> None:
    web = guest(media=Media(cdrom=True), boot=False)
    with connect(box.uri) as connection:
        optional = r"\g<0> startupPolicy='optional'"
        troubles.redefine(
            connection.lookupByName(web.name), lambda xml: re.sub("<source file='[^']*hda[^']*'", optional, xml)
        )
    medium = path_in(paused(box, web), "<source file='([^']*hda[^']*)'")
    client.do("checkpoint", web.name, "clean")
    elsewhere(medium)

    outcome = client.do("rollback", web.name, "clean", "-y")
    assert outcome["note"] == f"the cdrom image {medium} is missing: the drive hda will be empty"
    assert medium not in definition(box, web)
    assert client.run("verify", web.name, "clean").code == 0


def test_an_emulator_that_is_gone(box: Box, client: Client, guest: GuestFactory) -> None:
    web = guest(boot=False)
    emulator = f"/run/{web.name}-emulator"
    box.run_inside("ln", "-s", path_in(definition(box, web), "<emulator>(.*)</emulator>"), emulator)
    with connect(box.uri) as connection:
        ours = f"<emulator>{emulator}</emulator>"
        troubles.redefine(connection.lookupByName(web.name), lambda xml: re.sub("<emulator>.*</emulator>", ours, xml))
    paused(box, web)
    client.do("checkpoint", web.name, "clean")
    box.run_inside("rm", emulator)
    for argv in (("checkpoint", web.name, "new"), ("rollback", web.name, "clean", "-y")):
        with unchanged(box, client):
            line = client.refusal(REFUSED, *argv)
        assert f"the host cannot run {web.name}: " in line
        assert f"{emulator}: No such file or directory" in line


def test_whoever_insists_may_try(box: Box, client: Client, guest: GuestFactory) -> None:
    """What snapctl takes for an obstacle may be none."""
    web = on_lan(box, guest)
    networks.stop(box, LAN)
    outcome = client.do("checkpoint", web.name, "clean", "--force", "--after", "stop")
    assert outcome["note"] == f"{web.name} needs the network {LAN}, which is not active"
