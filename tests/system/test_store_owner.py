"""On real guests: a store has one owner, and a host is known by it whatever UUID libvirt makes up."""

from __future__ import annotations

import os
from collections.abc import Iterator
from uuid import uuid4

import pytest

from tests.box import layout
from tests.box.box import Box
from tests.box.fixtures import GuestFactory
from tests.box.witness import Media, Witness

from .client import Client, new_client
from .host_state import unchanged
from .moments import moment, say_everywhere, write_notes

pytestmark = pytest.mark.system


@pytest.fixture
def bob(box: Box) -> Iterator[Client]:
    """Another user, with a catalog and a store of his own."""
    with new_client(box.uri) as made:
        yield made


@pytest.fixture(scope="module")
def changing_box() -> Iterator[Box]:
    """A hypervisor for a test to give other UUIDs."""
    box = Box(f"identity-{os.getpid()}")
    try:
        yield box.up()
    finally:
        box.down()


def share_store(client: Client, other: Client) -> None:
    other.configure(f'[store]\npath = "{client.store}"\n')


def give_another_uuid(box: Box) -> None:
    """As a daemon has without firmware tables that it can read, each time that it starts."""
    box.run_inside("sed", "--in-place", f's/^host_uuid.*/host_uuid = "{uuid4()}"/', layout.LIBVIRTD_CONF)
    box.kill_libvirtd()
    box.start_libvirtd()


def test_second_catalog_is_refused_until_it_adopts_the_store(
    box: Box, client: Client, bob: Client, guest: GuestFactory
) -> None:
    """Once with sudo, and once without."""
    web = guest(media=Media(disks=2))
    write_notes(web, "clean")
    client.do("checkpoint", web.name, "clean")
    write_notes(web, "later")
    share_store(client, bob)
    before = moment(web)
    with unchanged(box, bob):
        for argv in (
            ("checkpoint", web.name, "mine"),
            ("recover",),
            ("doctor", "--clean", "-y"),
            ("catalog", "rebuild"),
        ):
            assert "belongs to the catalog sqlite:///" in bob.refusal(6, *argv)
    assert not bob.catalog.exists()
    assert (moment(web).boot, say_everywhere(web, "later")) == (before.boot, True)

    assert "clean" in bob.run("catalog", "adopt", "--dry-run").stdout
    assert [each["name"] for each in bob.do("catalog", "adopt", "-y")["checkpoints"]] == ["clean"]
    bob.do("rollback", web.name, "clean", "-y")
    assert say_everywhere(web, "clean")
    with unchanged(box, client):
        assert "belongs to the catalog sqlite:///" in client.refusal(6, "checkpoint", web.name, "mine")
    assert bob.run("doctor").code == 0
    client.do("catalog", "info")
    modes = box.run_inside("stat", "-c", "%a", f"{client.store}/store.json").stdout.strip()
    assert modes == "600"
    # The module's user gets what others need of it back.
    for name in [each["name"] for each in bob.do("list", web.name)]:
        bob.do("delete", web.name, name, "-y")


def test_overlay_of_another_catalog_is_not_frozen(box: Box, bob: Client, guest: GuestFactory) -> None:
    web = guest()
    with new_client(box.uri) as alice:
        alice.do("checkpoint", web.name, "clean")
        with unchanged(box, bob):
            assert "in the store of the catalog sqlite:///" in bob.run("-o", "json", "checkpoint", web.name, "x").stderr
            assert bob.run("checkpoint", web.name, "x").code == 6
        alice.do("rollback", web.name, "clean", "-y")
    web.sh("true")


def test_host_uuid_new_at_each_start_of_the_daemon_keeps_checkpoints(changing_box: Box) -> None:
    web = Witness.define(changing_box.uri, "web", media=Media(disks=2))
    web.boot()
    with new_client(changing_box.uri) as client:
        for name in ("one", "two", "three"):
            write_notes(web, name)
            client.do("checkpoint", web.name, name)
            give_another_uuid(changing_box)
        assert [each["name"] for each in client.do("list", web.name)] == ["one", "two", "three"]
        for name in ("one", "three", "two"):
            client.do("rollback", web.name, name, "-y")
            assert say_everywhere(web, name)
            give_another_uuid(changing_box)
        assert client.do("verify", "--deep")["checkpoints"]
        assert "the UUID of host" in client.run("list").stderr
        client.do("delete", web.name, "two", "-y")
        assert client.run("doctor").code == 0
