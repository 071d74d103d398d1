"""pytest fixtures: one box for the session, witnesses on request.

Load them with ``pytest_plugins = ["tests.box.fixtures"]`` in the top conftest.py.
"""

import contextlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.box.box import Box
from tests.box.errors import BoxError
from tests.box.kernel import kernel
from tests.box.witness import DEFAULT_MEMORY, ONE_DISK, Media, Witness

PREFIX = "pytest-"

_numbers = itertools.count(1)


class GuestFactory:
    """Makes booted witnesses with unused names, and removes them all at the end."""

    def __init__(self, box: Box) -> None:
        self._box = box
        self._made: list[Witness] = []

    def __call__(
        self,
        *,
        media: Media = ONE_DISK,
        memory_mib: int = DEFAULT_MEMORY,
        persistent: bool = True,
        boot: bool = True,
    ) -> Witness:
        """Define a witness and, with `boot`, wait until its shell answers (about 3 s)."""
        witness = Witness(self._box.uri, f"witness{next(_numbers)}")
        self._made.append(witness)
        Witness.define(witness.uri, witness.name, media=media, memory_mib=memory_mib, persistent=persistent)
        if boot:
            if persistent:
                witness.start()
            witness.wait_for_shell()
        return witness

    def remove_all(self) -> None:
        """Remove what was made; a test may have left the box without libvirtd."""
        self._box.up()
        for witness in self._made:
            witness.remove()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Download the guests' kernel now, once for ever: a slow download must not count as a test that hangs."""
    wanted = any("box" in getattr(item, "fixturenames", ()) for item in session.items)
    if wanted and not session.config.option.collectonly:
        with contextlib.suppress(BoxError):  # the first test that needs it says why it has none
            kernel()


@pytest.fixture(scope="session")
def box() -> Iterator[Box]:
    """The session's own hypervisor."""
    _clear_up_after_killed_sessions()
    box = Box(f"{PREFIX}{os.getpid()}")
    try:
        yield box.up()
    finally:
        box.down()


@pytest.fixture(scope="session")
def box_uri(box: Box) -> str:
    """The libvirt URI of the session's hypervisor."""
    return box.uri


@pytest.fixture
def guest(box: Box) -> Iterator[GuestFactory]:
    """``guest(media=Media(disks=2))``: witnesses that live as long as the test."""
    yield from _factory(box)


@pytest.fixture(scope="module")
def module_guest(box: Box) -> Iterator[GuestFactory]:
    """The same, for witnesses that all tests of a module share."""
    yield from _factory(box)


def _factory(box: Box) -> Iterator[GuestFactory]:
    factory = GuestFactory(box)
    try:
        yield factory
    finally:
        factory.remove_all()


def _clear_up_after_killed_sessions() -> None:
    for box in Box.all():
        owner = box.name.removeprefix(PREFIX)
        if owner != box.name and owner.isdigit() and not Path("/proc", owner).exists():
            box.down()
