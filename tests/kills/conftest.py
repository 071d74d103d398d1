"""The scene that most of these tests share: thousands of operations later it is still the same boot of the guest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.box.box import Box
from tests.box.witness import Media, Witness
from tests.system.client import new_client

from .client import DoomedClient
from .scene import Scene, Tally


@pytest.fixture(scope="session")
def tally(figure: Callable[[str], None]) -> Iterator[Tally]:
    tally = Tally()
    yield tally
    figure(tally.line())


@pytest.fixture(scope="package")
def scene(box: Box, tally: Tally) -> Iterator[Scene]:
    with new_scene(box, tally) as made:
        yield made


@contextmanager
def new_scene(box: Box, tally: Tally) -> Iterator[Scene]:
    """A guest with two disks, at work, and one checkpoint of it."""
    guest = Witness.define(box.uri, "doomed", media=Media(disks=2))
    try:
        guest.boot()
        with new_client(box.uri) as user:
            scene = Scene(box, guest, DoomedClient(box.uri, user.home), tally)
            scene.points("checkpoint")
            yield scene
    finally:
        box.up()  # a test may have left it without libvirtd
        guest.remove()
