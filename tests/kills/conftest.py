"""The scene that most of these tests share: thousands of operations later it is still the same boot of the guest."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.box.box import Box

from .scene import Scene, Tally, new_scene


@pytest.fixture(scope="session")
def tally(figure: Callable[[str], None]) -> Iterator[Tally]:
    tally = Tally()
    yield tally
    figure(tally.line())


@pytest.fixture(scope="package")
def scene(box: Box, tally: Tally) -> Iterator[Scene]:
    with new_scene(box, tally) as made:
        yield made
