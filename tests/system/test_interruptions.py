"""Ctrl-C, a kill, a second client: while a guest is being saved, which lasts here for as long as a test likes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from unittest.mock import ANY

import libvirt
import libvirt_qemu
import pytest

from tests.box import layout
from tests.box.box import Box
from tests.box.connection import connect
from tests.box.witness import Media, Witness
from tests.children import Child
from tests.waiting import wait_until

from .client import Client, finish, new_client
from .host_state import files, observe
from .moments import say_everywhere, write_notes

pytestmark = pytest.mark.system

BUSY, UNFINISHED, INTERRUPTED = 4, 7, 130


@pytest.fixture(scope="module")
def slow() -> Iterator[Box]:
    """A box whose saves can be held."""
    box = Box(f"slow-{os.getpid()}")
    try:
        yield box.up(slow_save=True)
    finally:
        box.down()


@pytest.fixture(scope="module")
def web(slow: Box) -> Witness:
    guest = Witness.define(slow.uri, "web01", media=Media(disks=2))
    guest.boot()
    return guest


@pytest.fixture(scope="module")
def user(slow: Box) -> Iterator[Client]:
    """The guest's disks are in this user's store from the first checkpoint on: nobody else can have another."""
    with new_client(slow.uri) as made:
        yield made


@pytest.fixture
def client(user: Client, web: Witness) -> Iterator[Client]:
    """For a guest without checkpoints."""
    yield user
    if names := [each["name"] for each in user.do("list", web.name)]:
        user.do("delete", web.name, *names, "-y")


@pytest.fixture
def stranger(slow: Box) -> Iterator[Client]:
    """Somebody with a catalog of their own, who knows nothing of what the other one does."""
    with new_client(slow.uri) as made:
        yield made


@contextlib.contextmanager
def saving(box: Box, client: Client, guest: Witness, name: str) -> Iterator[Child]:
    """`snapctl checkpoint`, in the middle of its save for as long as the block lasts."""
    with connect(box.uri) as connection, box.hold_saves():
        domain = connection.lookupByName(guest.name)
        process = client.start("checkpoint", guest.name, name)
        try:
            wait_until(
                lambda: domain.jobStats().get("operation") == libvirt.VIR_DOMAIN_JOB_OPERATION_SAVE,
                what="the save",
                process=process,
            )
            yield process
        except BaseException:
            process.end()
            raise


ABORTED_SAVES = """
A daemon of libvirt 9.0 that aborts a save (virDomainAbortJob) while its compressor is held back crashes now and then,
or has a domain without a name afterwards: seen twice in some thirty runs. So these run in the long suite only; the
in-memory hypervisor has them in the short one.
"""


def wait_for_cancelling(box: Box, guest: Witness) -> None:
    """Until QEMU knows that its save is to be given up.

    Where it is in the midst of writing it stays at "cancelling" until its pipe to gzip is read on; where it had not
    begun to write it is at "cancelled" at once.
    """
    humans = libvirt_qemu.VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP
    with connect(box.uri) as connection:
        domain = connection.lookupByName(guest.name)
        wait_until(lambda: "cancel" in libvirt_qemu.qemuMonitorCommand(domain, "info migrate", humans))


def is_running(box: Box, guest: Witness) -> bool:
    with connect(box.uri) as connection:
        return bool(connection.lookupByName(guest.name).state()[0] == libvirt.VIR_DOMAIN_RUNNING)


def goes_on(guest: Witness, boot: str) -> bool:
    """Whether it still is that run of the guest, and nothing is wrong with it."""
    before = guest.report()
    guest.sh(f"until [ $(cat /tmp/counter) -gt {before['counter']} ]; do usleep 20000; done")
    after = guest.report()
    return (
        before["boot"] == after["boot"] == boot
        and int(after["counter"]) > int(before["counter"])
        and after["mismatches"] == "0"
    )


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGINT, id="SIGINT", marks=pytest.mark.long),  # libvirt 9.0, see ABORTED_SAVES
        pytest.param(signal.SIGTERM, id="SIGTERM", marks=pytest.mark.long),
        pytest.param(signal.SIGHUP, id="SIGHUP", marks=pytest.mark.long),
    ],
)
def test_interrupted_checkpoint_guest_runs_on(slow: Box, client: Client, web: Witness, number: signal.Signals) -> None:
    """Ctrl-C; `systemctl stop` or a CI timeout; a closed terminal or a lost ssh session."""
    boot = web.report()["boot"]
    client.do("checkpoint", web.name, "whole")
    before = files(slow, layout.IMAGES)
    with saving(slow, client, web, "never") as process:
        process.send_signal(number)
        wait_for_cancelling(slow, web)
    assert "interrupted" in finish(process).error(128 + number)
    assert is_running(slow, web)
    assert goes_on(web, boot)
    assert set(files(slow, layout.IMAGES)) == set(before)
    assert [each["name"] for each in client.do("list")] == ["whole"]
    assert client.do("recover") == []


def test_a_killed_checkpoint_is_finished(slow: Box, client: Client, web: Witness) -> None:
    """The daemon goes on saving, so there will be a whole image, and that is then the guest."""
    boot = web.report()["boot"]
    write_notes(web, "killed")
    with saving(slow, client, web, "killed") as process:
        process.kill()
        finish(process)
        assert f"{web.name}: unfinished checkpoint" in client.run("list").stderr
        recovery = client.start("-o", "json", "recover", web.name)
        with pytest.raises(subprocess.TimeoutExpired):
            recovery.wait(1)
    (recovered,) = finish(recovery).json
    assert (recovered["operation"], recovered["state"]) == ("checkpoint", "done")
    assert is_running(slow, web)
    assert goes_on(web, boot)

    write_notes(web, "lost")
    client.do("rollback", web.name, "killed", "-y")
    assert say_everywhere(web, "killed")
    assert client.do("recover") == []


@pytest.mark.long  # see ABORTED_SAVES
def test_a_killed_checkpoint_is_undone_if_the_save_was_aborted(slow: Box, client: Client, web: Witness) -> None:
    boot = web.report()["boot"]
    client.do("checkpoint", web.name, "whole")
    before = files(slow, layout.IMAGES)
    with saving(slow, client, web, "never") as process:
        process.kill()
        finish(process)
        with connect(slow.uri) as connection:
            connection.lookupByName(web.name).abortJob()
        wait_for_cancelling(slow, web)
    (recovered,) = client.do("recover")
    assert (recovered["operation"], recovered["state"]) == ("checkpoint", "undone")
    assert is_running(slow, web)
    assert goes_on(web, boot)
    assert set(files(slow, layout.IMAGES)) == set(before)
    assert [each["name"] for each in client.do("list")] == ["whole"]


def test_a_guest_that_ran_since_its_save_is_left_to_its_owner(slow: Box, client: Client, web: Witness) -> None:
    """Its disks are not those of the image any more, and the image may be all that is left of its memory."""
    client.do("checkpoint", web.name, "whole")
    with saving(slow, client, web, "never") as process:
        process.kill()
        finish(process)
    with connect(slow.uri) as connection:
        domain = connection.lookupByName(web.name)
        wait_until(lambda: not domain.isActive())
        domain.create()
        domain.destroy()
    before = observe(slow, client)
    line = client.refusal(UNFINISHED, "recover", web.name)
    assert "may have run after its memory was saved" in line
    assert observe(slow, client).files == before.files

    assert f"{client.virsh} start {web.name}" in line
    web.boot()
    (recovered,) = client.do("recover", web.name)
    assert recovered["state"] == "undone"
    client.do("rollback", web.name, "whole", "-y")
    assert web.report()["mismatches"] == "0"


def test_the_next_verb_settles_what_was_left(slow: Box, client: Client, web: Witness) -> None:
    with saving(slow, client, web, "first") as process:
        process.kill()
        finish(process)
    done = client.do("checkpoint", web.name, "second")
    assert [(each["operation"], each["state"]) for each in done["recovered"]] == [("checkpoint", "done")]
    assert [each["name"] for each in client.do("list")] == ["first", "second"]


def test_the_second_client_is_turned_away(slow: Box, client: Client, stranger: Client, web: Witness) -> None:
    with saving(slow, client, web, "first") as process:
        before = observe(slow, client), observe(slow, stranger)
        for arguments in (["checkpoint", web.name, "second"], ["rollback", web.name, "first", "-y"], ["recover"]):
            assert f"process {process.pid}" in client.refusal(BUSY, *arguments)
        assert "has a job in progress (save)" in stranger.refusal(BUSY, "checkpoint", web.name, "mine")
        # All clients share their pools: one that leaves takes them away, one that needs them has them made.
        assert (observe(slow, client), observe(slow, stranger)) == tuple(replace(each, pools=ANY) for each in before)
    assert finish(process).code == 0
    assert [each["name"] for each in client.do("list")] == ["first"]
    client.do("checkpoint", web.name, "second")


@pytest.mark.long
def test_ctrl_c_at_any_time_leaves_nothing_unfinished(client: Client, web: Witness) -> None:
    write_notes(web, "sound")
    client.do("checkpoint", web.name, "sound")
    boot = web.report()["boot"]
    ends = []
    for turn in range(40):
        verb = ["rollback", web.name, "sound", "-y"] if turn % 2 else ["checkpoint", web.name, f"turn-{turn}"]
        process = client.start(*verb)
        time.sleep(turn * 0.04)
        process.send_signal(signal.SIGINT)
        ends.append(finish(process).code)
        assert ends[-1] in (0, INTERRUPTED, -signal.SIGINT)  # the last: before Python was there to catch it
        assert client.do("recover") == []
        assert goes_on(web, boot)
        assert say_everywhere(web, "sound")
    print(f"interrupted {ends.count(INTERRUPTED)} of {len(ends)}")
    assert INTERRUPTED in ends
