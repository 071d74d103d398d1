"""What is deleted is gone from the hypervisor, and nothing else is."""

from __future__ import annotations

from collections.abc import Iterator
from posixpath import dirname

import pytest

from tests.box import layout
from tests.box.box import Box
from tests.box.fixtures import GuestFactory
from tests.box.witness import Media, Witness

from .chains import content, depth
from .client import Client, new_client
from .host_state import files, unchanged
from .moments import say_everywhere, write_notes

pytestmark = pytest.mark.system

REFUSED = 6


@pytest.fixture
def booted(guest: GuestFactory) -> Witness:
    return guest(media=Media(disks=2))


@pytest.fixture
def client(box: Box) -> Iterator[Client]:
    """A user new to the hypervisor."""
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


def test_delete_recursive_removes_descendants(box: Box, client: Client, web: Witness) -> None:
    others = files(box, *(disk["path"] for disk in client.do("show", web.name, "root")["disks"]))
    assert len(others) == 2
    client.do("rollback", web.name, "root", "-y")
    assert len(client.do("delete", web.name, "middle", "--recursive", "-y")) == 2
    assert names(client, web) == ["root"]

    assert files(box, *others) == others  # the disks that it had before, to the nanosecond
    write_notes(web, "lost")
    client.do("rollback", web.name, "root", "-y")
    assert say_everywhere(web, "root")


def test_delete_current_checkpoint_of_running_guest_collapses_into_its_disk(
    box: Box, client: Client, web: Witness
) -> None:
    """Its own QEMU pulls the layer up into its disk."""
    write_notes(web, "present")
    before = depth(box, web)

    (planned,) = client.do("delete", web.name, "leaf", "--dry-run")
    assert len(planned["stays"]) == 2 and planned["needed_by"] == [f"the disks of {web.name}"]
    done = client.do("delete", web.name, "leaf", "-y")

    assert [each["operation"] for each in done] == ["delete", "collapse", "collapse"]
    assert depth(box, web) == before - 1
    assert say_everywhere(web, "present")
    assert [each["name"] for each in client.do("list", web.name) if each["current"]] == ["middle"]
    assert client.do("verify", web.name, "--deep")["checkpoints"]
    write_notes(web, "lost")
    client.do("rollback", web.name, "root", "-y")
    assert say_everywhere(web, "root")


def test_delete_in_the_middle_keeps_contents_of_descendants(box: Box, client: Client, web: Witness) -> None:
    """A helper pulls the layer up where no guest has it open; every byte that a dependent sees stays the same."""
    client.do("rollback", web.name, "root", "-y")
    seen = content(box, client, web, "leaf")
    (gone,) = {dirname(disk["layer"]["path"]) for disk in client.do("show", web.name, "middle")["disks"]}

    done = client.do("delete", web.name, "middle", "-y")

    assert [each["operation"] for each in done] == ["delete", "collapse", "collapse"]
    assert content(box, client, web, "leaf") == seen
    assert not [path for path in files(box, layout.IMAGES) if path.startswith(f"{gone}/vd")]
    assert client.do("collapse", web.name) == []
    assert {each["name"]: each["parent"] for each in client.do("list", web.name)} == {"root": None, "leaf": "root"}
    assert client.do("verify", web.name, "--deep")["checkpoints"]
    client.do("rollback", web.name, "leaf", "-y")
    assert say_everywhere(web, "leaf")
    assert not [name for name, _ in box.domains() if name.startswith("snapctl-")]


def test_collapse_layer_below_disk_of_running_guest_is_deferred(client: Client, web: Witness) -> None:
    done = client.do("delete", web.name, "middle", "-y")
    assert [each["operation"] for each in done] == ["delete"]
    result = client.run("collapse", web.name)
    assert result.code == 0 and "deferred: " in result.stderr
    client.do("rollback", web.name, "root", "-y")
    assert [each["operation"] for each in client.do("collapse", web.name)] == ["collapse", "collapse"]


def test_flatten_running_guest_leaves_no_backing_file(box: Box, client: Client, web: Witness) -> None:
    write_notes(web, "flat")
    done = client.do("flatten", web.name)
    assert [each["operation"] for each in done] == ["flatten", "flatten"]
    assert depth(box, web) == 1
    assert say_everywhere(web, "flat")
    client.do("checkpoint", web.name, "flat")
    client.do("rollback", web.name, "root", "-y")
    assert say_everywhere(web, "root")
    client.do("rollback", web.name, "flat", "-y")
    assert say_everywhere(web, "flat")
    client.do("delete", web.name, "root", "middle", "leaf", "-y")
    assert say_everywhere(web, "flat")


def test_a_catalog_rebuilt_after_all_that_rolls_back_as_before(client: Client, guest: GuestFactory) -> None:
    client.configure('[store]\npath = "/var/lib/libvirt/images/its-own"\n')
    web = guest(media=Media(disks=2))
    for name in ("root", "middle", "leaf"):
        write_notes(web, name)
        client.do("checkpoint", web.name, name)
    client.do("rollback", web.name, "root", "-y")
    client.do("delete", web.name, "middle", "-y")
    for file in client.catalog.parent.iterdir():
        file.unlink()
    rebuilt = client.do("catalog", "adopt", "-y")
    assert rebuilt["skipped"] == [] and rebuilt["headless"] == []
    assert {each["name"]: each["parent"] for each in client.do("list", web.name)} == {"root": None, "leaf": "root"}
    assert client.do("verify", web.name, "--deep")["checkpoints"]
    client.do("rollback", web.name, "leaf", "-y")
    assert say_everywhere(web, "leaf")
