"""What is deleted is gone from the hypervisor, and nothing else is."""

from __future__ import annotations

from collections.abc import Iterator
from posixpath import dirname

import pytest

from tests.box import layout
from tests.box.box import Box
from tests.box.fixtures import GuestFactory
from tests.box.witness import Media, Witness

from .client import Client, new_client
from .moments import say_everywhere, write_notes
from .world import files, unchanged

pytestmark = pytest.mark.system

REFUSED = 6


@pytest.fixture(scope="module")
def booted(module_guest: GuestFactory) -> Witness:
    return module_guest(media=Media(disks=2))


@pytest.fixture
def client(box: Box) -> Iterator[Client]:
    """A user new to the domain: what was made of it before is that user's own disks."""
    with new_client(box.uri) as made:
        yield made


@pytest.fixture
def web(client: Client, booted: Witness) -> Witness:
    """A witness with two disks on `leaf`, the third of the checkpoints `root`, `middle` and `leaf`."""
    for name in ("root", "middle", "leaf"):
        write_notes(booted, name)
        client.do("checkpoint", booted.name, name)
    return booted


def directory(client: Client, guest: Witness, name: str) -> str:
    """Where the hypervisor keeps what that checkpoint's operation made."""
    return dirname(str(client.do("show", guest.name, name)["memory"]["path"]))


def names(client: Client, guest: Witness) -> list[str]:
    return [each["name"] for each in client.do("list", guest.name)]


def test_the_files_of_a_leaf_go_and_no_others(box: Box, client: Client, web: Witness) -> None:
    write_notes(web, "lost")
    client.do("rollback", web.name, "root", "-y")
    middle, leaf = directory(client, web, "middle"), directory(client, web, "leaf")
    before = files(box, layout.IMAGES)
    gone = {path for path in before if path.startswith(leaf)}
    only_the_leaf_needs = {f"{middle}/vda.qcow2", f"{middle}/vdb.qcow2"}  # the middle's guest wrote there
    assert f"{leaf}/memory.save" in gone
    assert only_the_leaf_needs < set(before)

    with unchanged(box, client):
        (planned,) = client.do("delete", web.name, "leaf", "--dry-run")
    (done,) = client.do("delete", web.name, "leaf", "-y")

    assert set(before) - set(files(box, layout.IMAGES)) == gone | only_the_leaf_needs
    assert {planned["memory_path"], *planned["layers"]} <= gone | only_the_leaf_needs
    assert done["freed_bytes"] >= int(before[f"{leaf}/memory.save"].split()[2])
    assert names(client, web) == ["root", "middle"]
    client.do("rollback", web.name, "middle", "-y")
    assert say_everywhere(web, "middle")


def test_from_the_leaf_upwards_and_not_otherwise(box: Box, client: Client, web: Witness) -> None:
    with unchanged(box, client):
        assert "is the parent of middle" in client.refusal(REFUSED, "delete", web.name, "root", "-y")
        assert "stands on checkpoint leaf" in client.refusal(REFUSED, "delete", web.name, "leaf", "-y")
    others = files(box, *(disk["path"] for disk in client.do("show", web.name, "root")["disks"]))
    assert len(others) == 2
    client.do("rollback", web.name, "root", "-y")
    assert len(client.do("delete", web.name, "leaf", "middle", "-y")) == 2
    assert names(client, web) == ["root"]

    assert files(box, *others) == others  # the disks that it had before, to the nanosecond
    write_notes(web, "lost")
    client.do("rollback", web.name, "root", "-y")
    assert say_everywhere(web, "root")
