"""A client stands still for longer than its lease, and another takes over: it changes nothing when it wakes up."""

from __future__ import annotations

import time

import pytest

from tests.system.client import Result
from tests.system.world import rows

from .client import DoomedClient, go_on
from .scene import Scene

pytestmark = pytest.mark.system

BUSY = 4


def recover_when_permitted(client: DoomedClient) -> Result:
    """Nobody else may, for as long as the lease lasts."""
    while (result := client.run("-o", "json", "recover")).code == BUSY:
        time.sleep(0.2)
    return result


def freeze_at(scene: Scene, verb: str, point: str) -> None:
    attempt = scene.attempt(verb)
    process = scene.client.freeze_at(point, *scene.arguments(attempt))
    recovered = recover_when_permitted(scene.client)
    assert recovered.code == 0, (point, recovered)
    fate = recovered.json[0]["state"] if recovered.json else "done"
    scene.require_sound(attempt, fate)

    before = rows(scene.client.catalog)
    awake = go_on(process)
    assert awake.code == BUSY, (point, awake)
    assert rows(scene.client.catalog) == before
    scene.require_sound(attempt, fate)


@pytest.mark.parametrize(("verb", "point"), [("checkpoint", "saved.before"), ("rollback", "repointed.after")])
def test_who_wakes_up_too_late_changes_nothing(scene: Scene, verb: str, point: str) -> None:
    freeze_at(scene, verb, point)


@pytest.mark.long
@pytest.mark.parametrize("verb", ["checkpoint", "rollback"])
def test_who_wakes_up_too_late_at_any_point_changes_nothing(scene: Scene, verb: str) -> None:
    for point in scene.points(verb):
        freeze_at(scene, verb, point)
