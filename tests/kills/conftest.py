"""The subject that most of these tests share: thousands of operations later it is still the same boot of the guest."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.box.box import Box

from .guest_under_test import GuestUnderTest, KillCount, new_subject


@pytest.fixture(scope="session")
def kill_count(figure: Callable[[str], None]) -> Iterator[KillCount]:
    kill_count = KillCount()
    yield kill_count
    figure(kill_count.line())


@pytest.fixture(scope="package")
def subject(box: Box, kill_count: KillCount) -> Iterator[GuestUnderTest]:
    with new_subject(box, kill_count) as made:
        yield made
