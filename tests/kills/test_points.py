"""SIGKILL at the fault points of checkpoint and rollback (also one that keeps the present state: "keep"), and of the
recovery from that."""

from __future__ import annotations

import signal
from itertools import count
from random import Random

import pytest

from .guest_under_test import GuestUnderTest

pytestmark = pytest.mark.system

VERBS = ("checkpoint", "rollback", "keep")


@pytest.mark.parametrize("verb", VERBS)
def test_killed_before_or_after_each_step(subject: GuestUnderTest, verb: str, seed: str) -> None:
    """Before or after, as it is drawn."""
    draw = Random(f"{seed}, {verb}")
    points = subject.points(verb)
    for sides in zip(points[::2], points[1::2], strict=True):
        attempt = subject.attempt(verb)
        result = subject.count(subject.client.run_to(draw.choice(sides), *subject.arguments(attempt)))
        subject.settle(attempt, result)


@pytest.mark.long
@pytest.mark.parametrize("verb", VERBS)
def test_killed_at_each_point_and_again_at_each_point_of_the_recovery(subject: GuestUnderTest, verb: str) -> None:
    for point in subject.points(verb):
        for again in count(1):
            attempt = subject.attempt(verb)
            result = subject.count(subject.client.run_to(point, *subject.arguments(attempt)))
            recovery = subject.count(subject.client.run_to(again, "recover"))
            subject.settle(attempt, result)
            if recovery.code != -signal.SIGKILL:
                break
