"""A tree that is lived with: pruned, protected, renamed, pushed and popped, undone, flattened; by the command line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from posixpath import dirname

import pytest

from tests.box.box import Box
from tests.box.fixtures import GuestFactory
from tests.box.witness import Media, Witness

from .chains import depth
from .client import Client, new_client
from .host_state import unchanged
from .moments import moment, say_everywhere, write_notes

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


class User:
    """One who uses the guest and snapctl in turn."""

    def __init__(self, client: Client, guest: Witness) -> None:
        self.client = client
        self.guest = guest

    def do(self, verb: str, *arguments: str) -> list[str]:
        """The lines that a verb prints for people; it must succeed without a note."""
        result = self.client.run(verb, self.guest.name, *arguments)
        assert (result.code, result.stderr) == (0, ""), result
        return result.stdout.splitlines()

    def checkpoint(self, name: str, *options: str) -> None:
        """With its name as the words that the guest holds."""
        write_notes(self.guest, name)
        self.do("checkpoint", name, *options)

    def sees(self, words: str) -> bool:
        """Whether the guest holds these words in memory and on all disks, which belong together."""
        return say_everywhere(self.guest, words) and moment(self.guest).mismatches == 0

    def names(self) -> list[str]:
        return [each["name"] for each in self.client.do("list", self.guest.name)]


@pytest.fixture
def user(client: Client, booted: Witness) -> User:
    return User(client, booted)


def test_a_branching_tree_is_pruned(box: Box, user: User) -> None:
    for name in ("root", "left", "leaf"):
        user.checkpoint(name)
    user.do("rollback", "root", "-y")
    user.checkpoint("side")
    user.do("protect", "leaf")

    with unchanged(box, user.client):
        told = user.client.run("prune", user.guest.name, "--keep-last", "1", "--dry-run").stdout.splitlines()
    assert [tuple(re.split(r"\s{2,}", line)[::4]) for line in told[1:-1]] == [
        ("keep", "current, last 1 of 1"),
        ("keep", "protected"),
        ("remove", "no rule keeps it"),
        ("remove", "no rule keeps it"),
    ]
    assert [line.split()[1] for line in told[1:-1]] == ["side", "leaf", "left", "root"]
    assert told[-1].startswith("2 of 4 checkpoints to be removed (")

    write_notes(user.guest, "present")
    pruned = user.do("prune", "--keep-last", "1", "-y")
    assert [line.split(" in ")[0] for line in pruned[:2]] == [
        f"{user.guest.name}: checkpoint {name} deleted" for name in ("left", "root")
    ]
    assert user.names() == ["leaf", "side"]
    assert user.sees("present")
    for name in user.names():
        user.do("rollback", name, "-y")
        assert user.sees(name)
    assert user.client.do("verify", user.guest.name, "--deep")["checkpoints"]


def test_edit_changes_name_description_and_tags(user: User) -> None:
    user.checkpoint("draft", "-t", "daily")
    user.checkpoint("later")
    user.do("edit", "draft", "--name", "base", "-d", "all is well", "--tag", "keep", "--untag", "daily")
    (base, _) = user.client.do("list", user.guest.name)
    assert (base["name"], base["description"], base["tags"]) == ("base", "all is well", ["keep"])
    assert "draft" in user.client.refusal(REFUSED, "rollback", user.guest.name, "draft", "-y")

    assert user.client.do("prune", user.guest.name, "--keep-tag", "keep", "-y")["outcomes"] == []
    user.do("rollback", "base", "-y")
    assert user.sees("draft")
    assert len(user.client.do("prune", user.guest.name, "--keep-tag", "keep", "-y")["outcomes"]) == 1
    assert user.names() == ["base"]


def test_pop_restores_pushed_state_and_deletes_it(user: User) -> None:
    write_notes(user.guest, "before")
    user.do("push")
    for change in ("one change", "another change"):
        write_notes(user.guest, change)
    user.do("pop", "-y")
    assert user.sees("before")
    assert user.names() == []
    assert "has no pushed checkpoint" in user.client.refusal(REFUSED, "pop", user.guest.name, "-y")


def test_a_rollback_is_undone_memory_and_all(user: User) -> None:
    user.checkpoint("past")
    write_notes(user.guest, "present")
    lost = moment(user.guest)
    user.do("rollback", "past", "--keep-current", "kept")
    assert user.sees("past")
    write_notes(user.guest, "forgotten")
    user.do("undo", "-y")
    assert user.sees("present")
    again = moment(user.guest)
    assert again.boot == lost.boot and again.counter >= lost.counter
    assert "nothing to undo" in user.client.refusal(REFUSED, "undo", user.guest.name, "-y")


def test_checkpoint_flatten_leaves_no_backing_file_and_usage_counts_it(box: Box, user: User) -> None:
    user.checkpoint("deep")
    write_notes(user.guest, "flat")
    assert depth(box, user.guest) > 1
    user.do("checkpoint", "flat", "--flatten")
    assert depth(box, user.guest) == 2  # what it froze, and what the guest writes to

    place = dirname(dirname(str(user.client.do("show", user.guest.name, "flat")["memory"]["path"])))
    deep, flat = user.client.do("usage", user.guest.name)["checkpoints"]
    assert (deep["name"], flat["name"]) == ("deep", "flat")
    before = taken(box, place)
    user.do("delete", "deep", "-y")
    assert before - taken(box, place) >= deep["exclusive_bytes"] > 0
    write_notes(user.guest, "lost")
    user.do("rollback", "flat", "-y")
    assert user.sees("flat")
    assert flat["exclusive_bytes"] == user.client.do("usage", user.guest.name)["checkpoints"][0]["exclusive_bytes"]


def taken(box: Box, place: str) -> int:
    """Bytes on disk of all that is below."""
    return 512 * sum(map(int, box.run_inside("find", place, "-type", "f", "-printf", "%b\\n").stdout.split()))
