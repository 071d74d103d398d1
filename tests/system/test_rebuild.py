"""The catalog is lost: the store gives it back, and the guests can be rolled back as before."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.box.box import Box
from tests.box.connection import connect
from tests.box.fixtures import GuestFactory
from tests.box.witness import Media, Witness

from .client import Client, new_client
from .host_state import unchanged
from .moments import say_everywhere, write_notes

pytestmark = pytest.mark.system

PASSWORD = "opensesm"  # noqa: S105 - VNC takes eight characters
STORE = "/var/lib/libvirt/images/rebuilt"
BRANCHES = {"root": None, "a": "root", "a1": "a", "b": "root"}


@contextlib.contextmanager
def user(box: Box) -> Iterator[Client]:
    """Somebody with a new catalog, for the store that only this module uses."""
    with new_client(box.uri) as made:
        made.configure(f'[store]\npath = "{STORE}"')
        yield made


@pytest.fixture(scope="module")
def client(box: Box) -> Iterator[Client]:
    with user(box) as made:
        yield made


@pytest.fixture(scope="module")
def grown(box: Box, client: Client, module_guest: GuestFactory) -> Witness:
    """A guest with two disks and a screen with a password, and the checkpoints of `BRANCHES`; it stands on a1."""
    guest = module_guest(media=Media(disks=2), boot=False)
    with connect(box.uri) as connection:
        domain = connection.lookupByName(guest.name)
        screen = f"<graphics type='vnc' port='-1' autoport='yes' passwd='{PASSWORD}'/>"
        connection.defineXML(domain.XMLDesc().replace("</devices>", f"{screen}</devices>"))
    guest.boot()
    for name, parent in BRANCHES.items():
        if parent:
            client.do("rollback", guest.name, parent, "-y")
        write_notes(guest, name)
        client.do("checkpoint", guest.name, name, "-t", f"tag-{name}", "-d", f"as of {name}, wörtlich")
    client.do("rollback", guest.name, "a1", "-y")
    return guest


@pytest.fixture
def another(box: Box) -> Iterator[Client]:
    with user(box) as made:
        yield made


def told(client: Client, guest: Witness) -> tuple[Any, ...]:
    """All that a catalog says of a guest, but for its XML: a memory image has it in another form."""
    shown = [client.do("show", guest.name, name) for name in ("root", "a1")]
    for each in shown:
        assert each.pop("domain_xml").startswith("<domain")
    return client.do("tree", guest.name), shown


def test_rebuild_lost_catalog_is_the_same(client: Client, grown: Witness) -> None:
    before = told(client, grown)
    for file in client.catalog.parent.glob("catalog.sqlite*"):
        file.unlink()
    assert client.do("list") == []
    done = client.do("catalog", "adopt", "-y")
    assert (done["skipped"], done["headless"]) == ([], [])
    assert told(client, grown) == before


def test_rollback_with_rebuilt_catalog_restores_every_checkpoint(
    client: Client, another: Client, grown: Witness
) -> None:
    another.do("catalog", "adopt", "-y")
    for name in ("b", "root", "a1", "a"):
        another.do("rollback", grown.name, name, "-y")
        assert say_everywhere(grown, name)
    verified = another.do("verify", "--deep")
    assert [each["sound"] for each in verified["checkpoints"]] == [True] * len(BRANCHES)
    assert another.run("doctor").code == 0


def test_no_password_is_in_the_store_or_in_a_catalog(box: Box, client: Client, another: Client, grown: Witness) -> None:
    another.do("catalog", "adopt", "-y")
    for made in (client, another):
        assert "passwd" not in made.do("show", grown.name, "a")["domain_xml"]
    manifests = box.run_inside("sh", "-c", f"cat {STORE}/*/*/manifest.json").stdout
    assert "memory.save" in manifests
    assert PASSWORD not in manifests
    images = box.run_inside("sh", "-c", f"grep -l {PASSWORD} {STORE}/*/*/memory.save").stdout.split()
    assert len(images) == len(BRANCHES)  # where libvirt keeps it: a restored screen still has its password


def test_a_manifest_is_for_the_owner_only(box: Box, grown: Witness) -> None:
    modes = box.run_inside("sh", "-c", f"stat -c %a {STORE}/*/*/manifest.json").stdout.split()
    assert set(modes) == {"600"}


def test_rebuild_of_what_another_catalog_owns_is_refused(
    box: Box, client: Client, another: Client, grown: Witness
) -> None:
    another.do("catalog", "adopt", "-y")
    with unchanged(box, client):
        assert "belongs to the catalog" in client.refusal(6, "catalog", "rebuild")


def test_rebuild_incomplete_checkpoint_is_left_out_with_a_note(box: Box, another: Client, grown: Witness) -> None:
    paths = {each["checkpoint"]: each["memory"] for each in manifests(box)}
    hidden = "/var/lib/libvirt/hidden"
    box.run_inside("mv", paths["b"], hidden)
    box.run_inside("cp", "-p", paths["a"], f"{hidden}.a")
    box.run_inside("cp", paths["root"], paths["a"])
    try:
        done = another.run("catalog", "adopt", "-y")
        assert (done.code, done.stdout) == (0, f"{STORE} adopted: 2 checkpoints of {grown.name}\n")
        assert sorted(each["name"] for each in another.do("list")) == ["a1", "root"]
        left_out = [line for line in done.stderr.splitlines() if line.startswith("left out: ")]
        assert sorted(line.partition(" (")[2] for line in left_out) == [
            "a): its memory image is of another domain",
            "b): its memory image is missing",
        ]
    finally:
        box.run_inside("mv", hidden, paths["b"])
        box.run_inside("mv", f"{hidden}.a", paths["a"])


def manifests(box: Box) -> list[dict[str, str]]:
    """Checkpoint and memory image of each directory that has one."""
    text = box.run_inside("sh", "-c", f"for f in {STORE}/*/*/manifest.json; do cat $f; printf '\\036'; done").stdout
    found = [json.loads(part) for part in text.split("\x1e") if part.strip()]
    recorded = [each["record"]["checkpoint"] for each in found if each["record"]]
    return [{"checkpoint": each["labels"]["name"], "memory": each["memory"]["path"]} for each in recorded]
