"""Disks of all kinds: what is written to is frozen, the rest is written down and must still be there."""

from __future__ import annotations

import pytest

from tests.box import layout
from tests.box.box import Box
from tests.box.fixtures import GuestFactory
from tests.box.witness import Media, Witness

from .client import Client
from .host_state import unchanged
from .moments import moment, say_everywhere, write_notes

pytestmark = pytest.mark.system

INTEGRITY = 5


@pytest.fixture(scope="module")
def laden(client: Client, module_guest: GuestFactory) -> Witness:
    """A witness with three raw disks, the last of them read-only, and a CD-ROM; it has a checkpoint `base`."""
    guest = module_guest(media=Media(disks=2, image_format="raw", readonly=True, cdrom=True))
    write_notes(guest, "base")
    client.do("checkpoint", guest.name, "base")
    return guest


def image(guest: Witness, target: str) -> str:
    return f"{layout.IMAGES}/{guest.name}-disk-{target}.raw"


def test_each_disk_is_recorded_as_what_it_is(client: Client, laden: Witness) -> None:
    disks = {disk["target"]: disk for disk in client.do("show", laden.name, "base")["disks"]}
    assert {target: (disk["device"], disk["readonly"]) for target, disk in disks.items()} == {
        "vda": ("disk", False), "vdb": ("disk", False), "vdc": ("disk", True), "hda": ("cdrom", True),
    }  # fmt: skip
    assert all(disk["path"] == image(laden, target) for target, disk in disks.items())
    frozen = {target: disk["layer"] for target, disk in disks.items() if disk["layer"]}
    assert {target: (layer["format"], layer["backing"]) for target, layer in frozen.items()} == {
        "vda": ("raw", None), "vdb": ("raw", None),
    }  # fmt: skip


def test_checkpoint_freezes_raw_disks_and_leaves_the_rest(box: Box, client: Client, laden: Witness) -> None:
    boot = laden.report()["boot"]
    frozen = box.run_inside("sha256sum", image(laden, "vda"), image(laden, "vdb")).stdout
    for _ in range(2):
        write_notes(laden, "lost")
        client.do("rollback", laden.name, "base", "-y")
        assert say_everywhere(laden, "base")
    assert set(moment(laden).notes) == {"/tmp", "/mnt", "/mnt2"}  # not on the read-only one
    assert laden.report()["boot"] == boot
    assert laden.report()["mismatches"] == "0"
    assert box.run_inside("sha256sum", image(laden, "vda"), image(laden, "vdb")).stdout == frozen


@pytest.mark.parametrize("target", ["hda", "vdc"])
def test_rollback_missing_image_is_refused_before_the_guest_stops(
    box: Box, client: Client, laden: Witness, target: str
) -> None:
    boot = laden.report()["boot"]
    box.run_inside("mv", image(laden, target), "/tmp/elsewhere")
    try:
        with unchanged(box, client):
            assert "is missing" in client.refusal(INTEGRITY, "rollback", laden.name, "base", "-y")
    finally:
        box.run_inside("mv", "/tmp/elsewhere", image(laden, target))
    assert laden.report()["boot"] == boot
    client.do("rollback", laden.name, "base", "-y")
    assert say_everywhere(laden, "base")
