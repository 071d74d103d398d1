"""The store's file system is full when something is to be written: everything is as it was, and nothing is left."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.box import layout
from tests.box.box import Box

from .client import go_on
from .guest_under_test import GuestUnderTest

pytestmark = pytest.mark.system

SMALL = f"{layout.IMAGES}/small"
FILLER = f"{SMALL}/filler"
FILL = f"fallocate --length $(($(stat --file-system --format '%a * %S' {SMALL}) - {{left}})) {FILLER}"
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def arguments(box: Box, subject: GuestUnderTest) -> Iterator[tuple[str, ...]]:
    """What makes the store a file system with room for one checkpoint."""
    box.mount_tmpfs(SMALL, "256m")
    configuration = subject.client.home / "small.toml"
    configuration.write_text(f'[store]\npath = "{SMALL}"\nreserve_mib = 0\n')
    yield "--config", str(configuration)
    box.run_inside("umount", SMALL)


@pytest.mark.parametrize(
    ("verb", "point", "left"),
    [
        ("checkpoint", "prepared.before", 0),
        ("checkpoint", "saved.before", 8 * MIB),
        ("rollback", "prepared.before", 0),
    ],
)
def test_full_store_at_a_point_is_settled(
    box: Box, subject: GuestUnderTest, arguments: tuple[str, ...], verb: str, point: str, left: int
) -> None:
    attempt = subject.attempt(verb)
    process = subject.client.freeze_at(point, *subject.arguments(attempt), *arguments)
    box.run_inside("sh", "-c", FILL.format(left=left))
    result = go_on(process)
    assert result.code == 1, result
    subject.settle(attempt, result)
    box.run_inside("rm", FILLER)
    assert box.run_inside("find", SMALL, "-mindepth", "2").stdout == ""
