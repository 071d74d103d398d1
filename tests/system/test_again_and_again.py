"""The main job: one checkpoint is rolled back to as often as one likes, and each time all of it is back."""

from __future__ import annotations

import os
import random
import time

import pytest

from orchestrator import Coordinator
from tests.box.box import Box
from tests.box.fixtures import GuestFactory
from tests.box.witness import Media, Witness

from .client import Client
from .moments import halt_counter, let_it_count, moment, say_everywhere, write_notes

pytestmark = pytest.mark.system

SEED = int(os.environ.get("SNAPCTL_TEST_SEED") or time.time_ns() % 2**32)
BRANCHES = {"a": "root", "a1": "a", "a2": "a", "b": "root", "b1": "b", "c": "root"}
"""Checkpoint -> parent. Three branches, one of which forks again."""


@pytest.fixture(scope="module")
def web(module_guest: GuestFactory) -> Witness:
    """A booted witness with two disks."""
    return module_guest(media=Media(disks=2))


def checksums(box: Box, *paths: str) -> str:
    return box.run_inside("sha256sum", *paths).stdout


def test_one_image_is_restored_ten_times(box: Box, client: Client, web: Witness) -> None:
    halt_counter(web)
    write_notes(web, "as saved")
    web.sh("head -c 4000000 /dev/urandom | tee /tmp/blob /mnt/blob >/mnt2/blob; sync")
    blobs = web.sh("md5sum /tmp/blob /mnt/blob /mnt2/blob")
    saved = moment(web)
    assert saved.counter > 0
    assert set(saved.on_disks) == {"/mnt", "/mnt2"}
    client.do("checkpoint", web.name, "again")
    shown = client.do("show", web.name, "again")
    relied_on = [shown["memory"]["path"], *(disk["layer"]["path"] for disk in shown["disks"])]
    frozen = checksums(box, *relied_on)
    assert frozen.split()[0] == shown["memory"]["sha256"]

    for turn in range(10):
        write_notes(web, f"lost, {turn}")
        web.sh("rm /mnt/blob; echo x >/mnt2/blob; echo x >/tmp/blob; sync")
        let_it_count(web)
        meanwhile = moment(web)
        assert meanwhile.counter > saved.counter
        assert all(int(number) > saved.counter for number in meanwhile.on_disks.values())

        client.do("rollback", web.name, "again", "-y")

        assert moment(web) == saved, f"turn {turn}"
        assert web.sh("md5sum /tmp/blob /mnt/blob /mnt2/blob") == blobs
    assert checksums(box, *relied_on) == frozen


@pytest.fixture(scope="module")
def forest(library: Coordinator, module_guest: GuestFactory) -> Witness:
    """A witness with the checkpoints of `BRANCHES`, in each of which it says that checkpoint's name."""
    guest = module_guest(media=Media(disks=2))
    for name, parent in [("root", None), *BRANCHES.items()]:
        if parent:
            library.rollback(guest.name, parent)
        write_notes(guest, name)
        library.checkpoint(guest.name, name)
    return guest


def walk(library: Coordinator, guest: Witness, steps: int) -> None:
    print(f"SNAPCTL_TEST_SEED={SEED}")
    chance = random.Random(SEED)
    boot = guest.report()["boot"]
    for _ in range(steps):
        name = chance.choice(["root", *BRANCHES])
        library.rollback(guest.name, name)
        assert say_everywhere(guest, name)
        write_notes(guest, f"after {name}")
    assert guest.report()["boot"] == boot
    assert guest.report()["mismatches"] == "0"


def test_a_tree_is_walked_in_random_order(library: Coordinator, forest: Witness) -> None:
    walk(library, forest, steps=8)


@pytest.mark.long
def test_a_tree_is_walked_for_long(library: Coordinator, forest: Witness) -> None:
    walk(library, forest, steps=150)


def test_the_tree_is_listed_as_it_grew(library: Coordinator, forest: Witness) -> None:
    library.rollback(forest.name, "a2")
    listed = library.list(forest.name)
    assert {each.name: each.parent for each in listed} == {"root": None, **BRANCHES}
    assert [each.name for each in listed if each.current] == ["a2"]


def test_rollback_without_a_name_restores_current_checkpoint(library: Coordinator, forest: Witness) -> None:
    library.rollback(forest.name, "b1")
    write_notes(forest, "a moment later")
    assert library.rollback(forest.name).checkpoint == "b1"
    assert say_everywhere(forest, "b1")
