"""Ctrl-C, and libvirtd or the helper killed, in the middle of a stream: of a helper's, and of the guest's own QEMU.

The streams are slow ones (`slowly`), so that there is a middle. Whatever happens, every chain is whole, what
depends on it sees the same bytes, and the guest keeps running.
"""

from __future__ import annotations

import re
import signal
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestrator.formats import domainxml
from tests.box.box import Box
from tests.box.connection import connect
from tests.box.fixtures import GuestFactory
from tests.box.witness import Witness
from tests.children import Child
from tests.system.chains import depth, digest, layers
from tests.system.client import BECOME_NOBODY, Client, finish, new_client
from tests.system.moments import moment, say_everywhere, write_notes
from tests.waiting import wait_until

pytestmark = pytest.mark.system

SLOWLY = Path(__file__).with_name("slowly.py")
FAILED, INTERRUPTED = 1, 130
BULK_MIB = 16
WRITE_BULK = f"dd if=/dev/urandom of=/mnt/bulk bs=1M count={BULK_MIB} 2>/dev/null; sync"
GO_ON = "seen=$(cat /mnt/counter); until [ $(cat /mnt/counter) -gt $((seen + 1)) ]; do usleep 20000; done"


def restart_daemon(box: Box) -> None:
    box.kill_libvirtd()
    box.start_libvirtd()


class Stream(ABC):
    """Something that moves the bulk of what a checkpoint's guest wrote; `names` are the checkpoints there are."""

    verb: str
    names: tuple[str, ...]
    qemu: str  # the name of the domain whose QEMU does it, as soon as it is in progress

    def __init__(self, box: Box, client: Client, guest: Witness) -> None:
        self.box = box
        self.client = client
        self.guest = guest
        write_notes(guest, "root")
        client.do("checkpoint", guest.name, "root")
        guest.sh(WRITE_BULK)
        self._leave()
        guest.sh("witness start; until [ -s /mnt/counter ]; do usleep 20000; done")
        self.boot = moment(guest).boot
        self._layers = [layer for name in self.names for layer in layers(client, guest, name)]
        self.seen = self._content()

    @abstractmethod
    def _leave(self) -> None:
        """Make the chains; the guest says "present" everywhere then."""

    @abstractmethod
    def is_whole(self) -> bool:
        """Whether what was to be pulled has been."""

    @property
    @abstractmethod
    def _prefix(self) -> str:
        """Of that name."""

    def _content(self) -> list[str]:
        """Of the disks of each checkpoint."""
        return [digest(self.box, layer) for layer in self._layers]

    @contextmanager
    def under_way(self) -> Iterator[Child]:
        command = [*BECOME_NOBODY, sys.executable, "-P", SLOWLY, self.verb, self.guest.name]
        with Child(command, cwd=self.client.home, env=self.client.environment) as process:
            wait_until(self._is_under_way, what="the middle of the stream", process=process)
            yield process

    def _is_under_way(self) -> bool:
        with connect(self.box.uri) as connection:
            for domain in connection.listAllDomains():
                if domain.name().startswith(self._prefix):
                    self.qemu = domain.name()
                    target = domainxml.disks(domain.XMLDesc())[0].target
                    done = domain.blockJobInfo(target)
                    return bool(done) and 0 < done["cur"] < done["end"]
        return False

    def carry_to_its_end(self) -> None:
        """Undisturbed; then each checkpoint can be rolled back to."""
        assert not self.is_whole()
        self.client.do(self.verb, self.guest.name)
        assert self.is_whole()
        self.require_unchanged()
        for name in self.names:
            self.client.do("rollback", self.guest.name, name, "-y")
            assert say_everywhere(self.guest, name)
            assert moment(self.guest).mismatches == 0

    def require_unchanged(self) -> None:
        """Nobody can tell that something was begun, and nothing is left to settle."""
        assert not [name for name, _ in self.box.domains() if name.startswith("snapctl-")]
        self.guest.sh(GO_ON)
        now = moment(self.guest)
        assert (now.boot, now.mismatches, set(now.notes.values())) == (self.boot, 0, {"present"})
        assert self.client.do("recover") == []
        assert self._content() == self.seen
        self.client.do("verify", self.guest.name, "--deep")


class HelperStream(Stream):
    """The guest is elsewhere; below `leaf` is a layer that nothing else needs."""

    verb = "collapse"
    names = ("root", "leaf")
    _prefix = "snapctl-helper-"

    def _leave(self) -> None:
        self.client.do("checkpoint", self.guest.name, "middle")
        write_notes(self.guest, "leaf")
        self.client.do("checkpoint", self.guest.name, "leaf")
        self.client.do("rollback", self.guest.name, "root", "-y")
        self.client.do("delete", self.guest.name, "middle", "-y", "--no-collapse")
        write_notes(self.guest, "present")

    def is_whole(self) -> bool:
        return self.client.do("collapse", self.guest.name, "--dry-run") == []  # type: ignore[no-any-return]


class GuestStream(Stream):
    """The guest's own disk, which stands on all that there is."""

    verb = "flatten"
    names = ("root", "leaf")

    def _leave(self) -> None:
        write_notes(self.guest, "leaf")
        self.client.do("checkpoint", self.guest.name, "leaf")
        write_notes(self.guest, "present")

    @property
    def _prefix(self) -> str:
        return self.guest.name

    def is_whole(self) -> bool:
        return depth(self.box, self.guest) == 1


def press_ctrl_c(stream: Stream) -> None:
    with stream.under_way() as process:
        process.send_signal(signal.SIGINT)
        assert "interrupted" in finish(process).error(INTERRUPTED)


def restart_the_daemon(stream: Stream) -> None:
    """snapctl itself takes back what it had begun."""
    with stream.under_way() as process:
        restart_daemon(stream.box)
        assert "undone" in finish(process).error(FAILED)


def kill_snapctl_and_restart_the_daemon(stream: Stream) -> None:
    with stream.under_way() as process:
        process.kill()
        finish(process)
        restart_daemon(stream.box)
    (recovered,) = stream.client.do("recover")
    assert (recovered["operation"], recovered["state"]) == (stream.verb, "undone")


def kill_the_helper(stream: Stream) -> None:
    if isinstance(stream, GuestStream):
        return  # it would be the guest's memory that is lost
    with stream.under_way() as process:
        stream.box.kill_qemu(stream.qemu)
        # The helper domain is gone, or libvirt has not yet noticed that its monitor is closed.
        error = finish(process).error(FAILED)
        assert re.search(
            r"the QEMU process that .* ended; undone: |its QEMU process ended \(.* monitor.*\); undone: ", error
        )


INTERRUPTIONS = (press_ctrl_c, kill_the_helper, restart_the_daemon, kill_snapctl_and_restart_the_daemon)


@pytest.fixture(params=[HelperStream, pytest.param(GuestStream, marks=pytest.mark.long)])
def stream(box: Box, guest: GuestFactory, request: pytest.FixtureRequest) -> Iterator[Stream]:
    with new_client(box.uri) as user:
        kind: type[Stream] = request.param
        yield kind(box, user, guest())


@pytest.mark.timeout(300)  # 112 s on a machine with other work to do
def test_interrupted_again_and_again_and_then_carried_to_its_end(stream: Stream) -> None:
    for interrupt in INTERRUPTIONS:
        interrupt(stream)
        stream.require_unchanged()
    stream.carry_to_its_end()
