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
from .holding import HoldingBox
from .scene import Scene, Tally, new_scene

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
def scene(box: HoldingBox, tally: Tally) -> Iterator[Scene]:
    with new_scene(box, tally) as made:
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
    scene: Scene, box: HoldingBox, verb: str, job: str, snapctl_too: bool
) -> None:
    """A save comes to nothing, and the guest goes on; a restore is tried again."""
    attempt = scene.attempt(verb)
    with box.hold(job):
        process = scene.client.start(*scene.arguments(attempt))
        box.wait_for(job, scene.guest.name)
        if snapctl_too:
            process.kill()
        restart_daemon(box)
    result = scene.count(finish(process))
    expected = 1 if job == "save" else 0
    assert result.code == (-signal.SIGKILL if snapctl_too else expected), result
    scene.settle(attempt, result)


@pytest.mark.parametrize("verb", VERBS)
def test_the_daemon_is_restarted_between_two_steps(scene: Scene, box: HoldingBox, verb: str, seed: str) -> None:
    draw = Random(f"{seed}, {verb}")
    restart_at(scene, box, verb, draw.choice(scene.points(verb)))


@pytest.mark.long
@pytest.mark.parametrize("verb", VERBS)
def test_the_daemon_is_restarted_at_each_point(scene: Scene, box: HoldingBox, verb: str) -> None:
    for point in scene.points(verb):
        restart_at(scene, box, verb, point)


def restart_at(scene: Scene, box: HoldingBox, verb: str, point: str) -> None:
    """It goes on as if nothing had been; at worst it took everything back."""
    attempt = scene.attempt(verb)
    process = scene.client.freeze_at(point, *scene.arguments(attempt))
    restart_daemon(box)
    result = go_on(process)
    assert result.code in (0, 1), (point, result)
    scene.settle(attempt, result)


# --------------------------------------------------------------------------- QEMU


@pytest.mark.parametrize("verb", VERBS)
def test_a_guest_whose_qemu_is_killed_before_its_first_instruction_is_brought_back(
    scene: Scene, box: HoldingBox, verb: str
) -> None:
    attempt = scene.attempt(verb)
    process = scene.client.freeze_at("resumed.before", *scene.arguments(attempt))
    box.kill_qemu(scene.guest.name)
    result = go_on(process)
    assert result.code == 0, result
    scene.settle(attempt, result)


def test_a_guest_whose_qemu_is_killed_in_the_midst_of_a_save_keeps_its_disks(scene: Scene, box: HoldingBox) -> None:
    """Its memory is lost, through no fault of ours, and that is said. The last test of this boot of the guest."""
    attempt = scene.attempt("checkpoint")
    with box.hold("save"):
        process = scene.client.start(*scene.arguments(attempt))
        box.wait_for("save", scene.guest.name)
        box.kill_qemu(scene.guest.name)
    assert "went off before its memory was saved" in finish(process).error(1)
    assert scene.client.do("recover") == []
    said = catalogued.read(scene.client.catalog)
    assert (said.unsettled, said.checkpoints) == ([], list(scene.then))
    scene.require_files(said)

    scene.guest.boot()
    assert scene.guest.sh("cat /mnt/note /mnt2/note").split() == [scene.words] * 2
