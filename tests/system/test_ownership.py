"""libvirt does not give a guest's files to QEMU's user everywhere: then an overlay must be whose the layer below is."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.box import layout
from tests.box.box import Box
from tests.box.config import QEMU_USER
from tests.box.connection import connect
from tests.box.fixtures import GuestFactory
from tests.box.witness import Witness

from . import troubles
from .client import Client, new_client

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def static_box() -> Iterator[Box]:
    """A hypervisor whose libvirt changes no owner of a file."""
    box = Box(f"static-{os.getpid()}")
    try:
        yield box.up(static_ownership=True)
    finally:
        box.down()


def give_disk(box: Box, guest: Witness) -> str:
    """Give the guest's disk to QEMU's user, for good; returns its path."""
    disk = f"{layout.IMAGES}/{guest.name}-disk-vda.qcow2"
    box.run_inside("chown", f"{QEMU_USER}:{QEMU_USER}", disk)
    return disk


def comes_back(client: Client, guest: Witness) -> None:
    for name in ("one", "two"):
        client.do("checkpoint", guest.name, name)
    for name in ("one", "two", "two"):
        client.do("rollback", guest.name, name, "-y")
    guest.sh("true")


def test_a_host_where_libvirt_changes_no_owner(static_box: Box) -> None:
    guest = Witness.define(static_box.uri, "static")
    give_disk(static_box, guest)
    static_box.run_inside("chmod", "-R", "a+r", layout.IMAGES)  # kernel and initramfs
    guest.boot()
    with new_client(static_box.uri) as client:
        comes_back(client, guest)


def test_a_disk_whose_owner_stays(box: Box, client: Client, guest: GuestFactory) -> None:
    web = guest(boot=False)
    disk = give_disk(box, web)
    label = f"<source file='{disk}'><seclabel model='dac' relabel='no'/></source>"
    with connect(box.uri) as connection:
        troubles.redefine(connection.lookupByName(web.name), lambda xml: xml.replace(f"<source file='{disk}'/>", label))
    web.boot()
    comes_back(client, web)
