"""A file is not what the catalog says: exit code 5, and the guest that would have been lost is not touched."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from tests.box.box import Box
from tests.box.fixtures import GuestFactory
from tests.box.witness import Witness

from .client import Client
from .host_state import unchanged
from .moments import say_everywhere, write_notes

pytestmark = pytest.mark.system

INTEGRITY = 5


@pytest.fixture(scope="module")
def web(client: Client, module_guest: GuestFactory) -> Witness:
    """A witness that went on from its checkpoint `middle`, which stands on `root`."""
    guest = module_guest()
    for name in ("root", "middle"):
        write_notes(guest, name)
        client.do("checkpoint", guest.name, name)
    write_notes(guest, "now")
    return guest


@contextlib.contextmanager
def damaged(box: Box, path: str, command: str) -> Iterator[None]:
    """The file after shell commands that know it as $1 and all succeed; everything about it is as before at the end."""
    box.run_inside("cp", "--preserve=all", path, "/tmp/sound")
    box.run_inside("sh", "-e", "-c", command, "sh", path)
    try:
        yield
    finally:
        box.run_inside("mv", "/tmp/sound", path)


def path_of(client: Client, guest: Witness, what: str) -> str:
    """The memory image of `middle`, its frozen layer, or the user's own disk below that."""
    shown: dict[str, Any] = client.do("show", guest.name, "middle")
    layer = shown["disks"][0]["layer"]
    paths: dict[str, str] = {"memory": shown["memory"]["path"], "layer": layer["path"], "base": layer["backing"]}
    return paths[what]


@pytest.mark.parametrize(
    ("what", "command", "said"),
    [
        ("memory", "truncate --size=-1 $1", "bytes, not "),
        ("memory", "truncate --size=60 $1", "bytes, not "),
        ("memory", "rm $1", "is missing"),
        ("memory", "printf LibvirtQemudPart | dd of=$1 conv=notrunc", "is incomplete"),
        ("memory", "head -c 64 /dev/zero | dd of=$1 conv=notrunc", "does not begin as a libvirt save image"),
        ("layer", "rm $1", "is missing"),
        ("layer", "touch $1", "was changed: its time of last"),
        ("layer", "qemu-io -c 'write -P 7 0 64k' $1", "was changed"),
        ("layer", "qemu-img rebase -u -b '' $1", "was changed"),
        ("base", "rm $1", "is missing"),
        ("base", "qemu-io -c 'write -P 7 0 64k' $1", "was changed"),
    ],
)
def test_a_rollback_is_refused(box: Box, client: Client, web: Witness, what: str, command: str, said: str) -> None:
    boot = web.report()["boot"]
    path = path_of(client, web, what)
    with damaged(box, path, command), unchanged(box, client):
        line = client.refusal(INTEGRITY, "rollback", web.name, "middle", "-y")
    assert said in line
    assert path.rpartition("/")[2] in line
    assert web.report()["boot"] == boot
    assert say_everywhere(web, "now")


def test_damage_further_down_is_none_of_an_ancestors_business(box: Box, client: Client, web: Witness) -> None:
    with damaged(box, path_of(client, web, "memory"), "truncate --size=0 $1"):
        client.do("rollback", web.name, "root", "-y")
    assert say_everywhere(web, "root")
    client.do("rollback", web.name, "middle", "-y")  # which is sound again
    assert say_everywhere(web, "middle")
