"""SIGKILL at the fault points of a collapse: by a helper, and by the QEMU of the running guest."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from itertools import count

import pytest

from tests.box.box import Box
from tests.box.fixtures import GuestFactory
from tests.box.witness import Witness
from tests.system.client import new_client
from tests.system.moments import say_everywhere, write_notes

from .client import SignalledClient

pytestmark = pytest.mark.system

STEPS = ("marked", "streamed", "committed", "described", "removed")
POINTS = [f"{step}.{side}" for step in STEPS for side in ("before", "after")]
SOME = ("streamed.after", "committed.after")
"""In the middle of the stream there is more: see test_in_mid_stream."""


class Tree:
    """A guest that stands on `root`; each `leave_…` makes one layer that a collapse can do without."""

    def __init__(self, client: SignalledClient, guest: Witness) -> None:
        self.client = client
        self.guest = guest
        self._numbers = count(1)
        write_notes(guest, "root")
        client.do("checkpoint", guest.name, "root")

    def leave_below_a_frozen_layer(self) -> str:
        """The name of the checkpoint whose layer stands on it; the guest is elsewhere."""
        middle, leaf = self._checkpoint(), self._checkpoint()
        self.client.do("rollback", self.guest.name, "root", "-y")
        self.client.do("delete", self.guest.name, middle, "-y", "--no-collapse")
        return leaf

    def leave_below_the_guest(self) -> None:
        below = self._checkpoint()
        write_notes(self.guest, "present")
        self.client.do("delete", self.guest.name, below, "-y", "--no-collapse")

    def collapse_and_be_killed(self, box: Box, point: str) -> None:
        """At that point; then recovery, after which everything holds."""
        killed = self.client.run_to(point, "collapse", self.guest.name)
        assert killed.code == -signal.SIGKILL, killed
        self.client.do("recover")
        assert self.client.do("recover") == []
        assert not [name for name, _ in box.domains() if name.startswith("snapctl-")]
        self.client.do("collapse", self.guest.name)
        self.client.do("verify", self.guest.name, "--deep")

    def _checkpoint(self) -> str:
        name = f"c{next(self._numbers)}"
        write_notes(self.guest, name)
        self.client.do("checkpoint", self.guest.name, name)
        return name


@pytest.fixture
def tree(box: Box, guest: GuestFactory) -> Iterator[Tree]:
    with new_client(box.uri) as user:
        yield Tree(SignalledClient(box.uri, user.home), guest())


def kill_a_helper_s(tree: Tree, box: Box, point: str) -> None:
    leaf = tree.leave_below_a_frozen_layer()
    tree.collapse_and_be_killed(box, point)
    tree.client.do("rollback", tree.guest.name, leaf, "-y")
    assert say_everywhere(tree.guest, leaf), point
    tree.client.do("rollback", tree.guest.name, "root", "-y")
    assert say_everywhere(tree.guest, "root"), point
    tree.client.do("delete", tree.guest.name, leaf, "-y")


def kill_the_guest_s_own(tree: Tree, box: Box, point: str) -> None:
    tree.leave_below_the_guest()
    tree.collapse_and_be_killed(box, point)
    assert say_everywhere(tree.guest, "present"), point
    tree.client.do("rollback", tree.guest.name, "root", "-y")
    assert say_everywhere(tree.guest, "root"), point


@pytest.mark.parametrize("kill", [kill_a_helper_s, kill_the_guest_s_own])
def test_collapse_killed_at_some_points_is_settled(
    tree: Tree, box: Box, kill: Callable[[Tree, Box, str], None]
) -> None:
    for point in SOME:
        kill(tree, box, point)


@pytest.mark.long
@pytest.mark.parametrize("kill", [kill_a_helper_s, kill_the_guest_s_own])
def test_collapse_killed_at_each_point_is_settled(tree: Tree, box: Box, kill: Callable[[Tree, Box, str], None]) -> None:
    for point in POINTS:
        kill(tree, box, point)
