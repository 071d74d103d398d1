"""SIGKILL at the fault points of checkpoint and rollback, and of the recovery from that."""

from __future__ import annotations

import signal
from itertools import count
from random import Random

import pytest

from .scene import Scene

pytestmark = pytest.mark.system

VERBS = ("checkpoint", "rollback")


@pytest.mark.parametrize("verb", VERBS)
def test_killed_before_or_after_each_step(scene: Scene, verb: str, seed: str) -> None:
    """Before or after, as it is drawn."""
    draw = Random(f"{seed}, {verb}")
    points = scene.points(verb)
    for sides in zip(points[::2], points[1::2], strict=True):
        attempt = scene.attempt(verb)
        result = scene.count(scene.client.run_to(draw.choice(sides), *scene.arguments(attempt)))
        scene.settle(attempt, result)


@pytest.mark.long
@pytest.mark.parametrize("verb", VERBS)
def test_killed_at_each_point_and_again_at_each_point_of_the_recovery(scene: Scene, verb: str) -> None:
    for point in scene.points(verb):
        for again in count(1):
            attempt = scene.attempt(verb)
            result = scene.count(scene.client.run_to(point, *scene.arguments(attempt)))
            recovery = scene.count(scene.client.run_to(again, "recover"))
            scene.settle(attempt, result)
            if recovery.code != -signal.SIGKILL:
                break
