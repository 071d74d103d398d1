"""What snapctl made at f92f7f5 is today's: its catalog is upgraded, its checkpoints and manifests work as before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.box.box import Box
from tests.box.fixtures import GuestFactory
from tests.box.witness import Media, Witness
from tests.children import Child
from tests.migrations import old

from .client import BECOME_NOBODY, Client, new_client
from .moments import say_everywhere, write_notes

pytestmark = pytest.mark.system

STORE = "/var/lib/libvirt/images/f92f7f5"


class OldClient(Client):
    """A user of the old snapctl; its catalog is where today's looks for it."""

    def __init__(self, uri: str, home: Path) -> None:
        super().__init__(uri, home)
        self._code = old.unpack(home)

    def start(self, *arguments: str) -> Child:
        environment = old.environment(self._code, self.environment)
        return Child([*BECOME_NOBODY, *old.command(*arguments)], cwd=self.home, env=environment)


@pytest.fixture
def store() -> str:
    """One that both users of a test have."""
    return f"{STORE}-{uuid4()}"


@pytest.fixture
def client(box: Box, store: str) -> Iterator[Client]:
    with new_client(box.uri) as made:
        made.configure(f'[store]\npath = "{store}"')
        yield made


@pytest.fixture
def another(box: Box, store: str) -> Iterator[Client]:
    with new_client(box.uri) as made:
        made.configure(f'[store]\npath = "{store}"')
        yield made


def names(client: Client, guest: Witness) -> list[str]:
    return [each["name"] for each in client.do("list", guest.name)]


def test_checkpoints_of_the_old_one_are_carried_over(
    box: Box, client: Client, another: Client, module_guest: GuestFactory
) -> None:
    guest = module_guest(media=Media(disks=2))
    before = OldClient(box.uri, client.home)
    for name in ("older", "newer"):
        write_notes(guest, name)
        before.do("checkpoint", guest.name, name, "-t", f"tag-{name}", "-d", f"as of {name}, wörtlich")
    write_notes(guest, "lost")
    recorded = {each["name"]: each for each in before.do("list", guest.name)}
    revision = before.do("catalog", "info")["revision"]
    assert revision == "0004"

    if client.do("catalog", "info")["newest_revision"] != revision:
        assert "has the older schema 0004" in client.refusal(3, "list")
    done = client.do("catalog", "upgrade")
    assert (done["before"], done["after"]) == (revision, client.do("catalog", "info")["newest_revision"])
    carried = {each["name"]: each for each in client.do("list", guest.name)}
    assert {name: {key: each[key] for key in recorded[name]} for name, each in carried.items()} == recorded
    assert all(each["sound"] for each in client.do("verify", guest.name, "--deep")["checkpoints"])

    client.do("rollback", guest.name, "older", "-y")
    assert say_everywhere(guest, "older")
    client.do("delete", guest.name, "newer", "-y")
    assert names(client, guest) == ["older"]
    write_notes(guest, "newest")
    client.do("checkpoint", guest.name, "newest")

    for checkpoint in ("older", "newest"):
        client.do("rollback", guest.name, checkpoint, "-y")
        assert say_everywhere(guest, checkpoint)
    assert client.run("doctor").code == 0

    _rebuilt_from_manifests(another, guest, made=["older", "newest"])


def test_manifests_of_the_old_one_are_enough(
    box: Box, client: Client, another: Client, module_guest: GuestFactory
) -> None:
    """Nothing but the store is left of what the old one recorded: every manifest is as it wrote it."""
    guest = module_guest(media=Media(disks=2))
    before = OldClient(box.uri, client.home)
    for name in ("older", "newer"):
        write_notes(guest, name)
        before.do("checkpoint", guest.name, name)

    _rebuilt_from_manifests(another, guest, made=["older", "newer"])


def _rebuilt_from_manifests(client: Client, guest: Witness, *, made: list[str]) -> None:
    rebuilt = client.do("catalog", "adopt", "-y")
    assert [skipped for skipped in rebuilt["skipped"] if skipped["checkpoint"] in made] == []
    assert guest.name not in rebuilt["headless"]
    assert names(client, guest) == made
    for name in made:
        client.do("rollback", guest.name, name, "-y")
        assert say_everywhere(guest, name)
