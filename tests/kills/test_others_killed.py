"""libvirtd or QEMU is killed, and libvirtd started again, while snapctl is at work."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from random import Random

import pytest

from tests.system.client import finish

from . import catalogued
from .client import go_on
from .guest_under_test import GuestUnderTest, KillCount, new_subject
from .holding import HoldingBox

pytestmark = pytest.mark.system

VERBS = ("checkpoint", "rollback")


@pytest.fixture(scope="module")
def box() -> Iterator[HoldingBox]:
    box = HoldingBox(f"holding-{os.getpid()}")
    try:
        yield box.up()
    finally:
        box.down()


@pytest.fixture(scope="module")
def subject(box: HoldingBox, kill_count: KillCount) -> Iterator[GuestUnderTest]:
    with new_subject(box, kill_count) as made:
        yield made


def restart_daemon(box: HoldingBox) -> None:
    box.kill_libvirtd()
    box.start_libvirtd()


# --------------------------------------------------------------------------- libvirtd


@pytest.mark.parametrize(
    ("verb", "job"),
    [("checkpoint", "save"), pytest.param("checkpoint", "restore", marks=pytest.mark.long), ("rollback", "restore")],
)
@pytest.mark.parametrize("snapctl_too", [False, pytest.param(True, marks=pytest.mark.long)])
def test_the_daemon_is_killed_in_the_midst_of_a_job(
    subject: GuestUnderTest, box: HoldingBox, verb: str, job: str, snapctl_too: bool
) -> None:
    """A save comes to nothing, and the guest keeps running; a restore is tried again."""
    attempt = subject.attempt(verb)
    with box.hold(job):
        process = subject.client.start(*subject.arguments(attempt))
        box.wait_for(job, subject.guest.name, process)
        if snapctl_too:
            process.kill()
        restart_daemon(box)
    result = subject.count(finish(process))
    expected = 1 if job == "save" else 0
    assert result.code == (-signal.SIGKILL if snapctl_too else expected), result
    subject.settle(attempt, result)


@pytest.mark.parametrize("verb", VERBS)
def test_the_daemon_is_restarted_between_two_steps(
    subject: GuestUnderTest, box: HoldingBox, verb: str, seed: str
) -> None:
    draw = Random(f"{seed}, {verb}")
    restart_at(subject, box, verb, draw.choice(subject.points(verb)))


@pytest.mark.long
@pytest.mark.parametrize("verb", VERBS)
def test_the_daemon_is_restarted_at_each_point(subject: GuestUnderTest, box: HoldingBox, verb: str) -> None:
    for point in subject.points(verb):
        restart_at(subject, box, verb, point)


def restart_at(subject: GuestUnderTest, box: HoldingBox, verb: str, point: str) -> None:
    """It goes on as if nothing had been; at worst it took everything back."""
    attempt = subject.attempt(verb)
    process = subject.client.freeze_at(point, *subject.arguments(attempt))
    restart_daemon(box)
    result = go_on(process)
    assert result.code in (0, 1), (point, result)
    subject.settle(attempt, result)


# --------------------------------------------------------------------------- QEMU


@pytest.mark.parametrize("verb", VERBS)
def test_a_guest_whose_qemu_is_killed_before_its_first_instruction_is_brought_back(
    subject: GuestUnderTest, box: HoldingBox, verb: str
) -> None:
    attempt = subject.attempt(verb)
    process = subject.client.freeze_at("resumed.before", *subject.arguments(attempt))
    box.kill_qemu(subject.guest.name)
    result = go_on(process)
    assert result.code == 0, result
    subject.settle(attempt, result)


def test_a_guest_whose_qemu_is_killed_in_the_midst_of_a_save_keeps_its_disks(
    subject: GuestUnderTest, box: HoldingBox
) -> None:
    """Its memory is lost, through no fault of ours, and that is said. The last test of this boot of the guest."""
    attempt = subject.attempt("checkpoint")
    with box.hold("save"):
        process = subject.client.start(*subject.arguments(attempt))
        box.wait_for("save", subject.guest.name, process)
        box.kill_qemu(subject.guest.name)
    assert "was shut off before its memory was saved" in finish(process).error(1)
    assert subject.client.do("recover") == []
    said = catalogued.read(subject.client.catalog)
    assert (said.unsettled, said.checkpoints) == ([], list(subject.then))
    subject.require_files(said)

    subject.guest.boot()
    assert subject.guest.sh("cat /mnt/note /mnt2/note").split() == [subject.words] * 2
