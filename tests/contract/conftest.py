"""Each test of this suite runs twice: on the twin, and (mark `system`) on libvirt in a box."""

import os
from collections.abc import Iterator

import pytest

from tests.box.box import Box
from tests.box.fixtures import GuestFactory
from tests.contract.labs import BoxLab, Lab, TwinLab

BOTH = ["twin", pytest.param("box", marks=pytest.mark.system)]


@pytest.fixture(params=BOTH)
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A hypervisor that saves as fast as it can."""
    yield from _lab(request, "box")


@pytest.fixture(params=BOTH)
def fragile_lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A hypervisor whose saves can be held up and whose daemon can be killed."""
    yield from _lab(request, "fragile_box")


@pytest.fixture(scope="session")
def fragile_box() -> Iterator[Box]:
    box = Box(f"fragile-{os.getpid()}")
    try:
        yield box.up(slow_save=True)
    finally:
        box.down()


def _lab(request: pytest.FixtureRequest, box_fixture: str) -> Iterator[Lab]:
    if request.param == "twin":
        yield TwinLab()
        return
    box: Box = request.getfixturevalue(box_fixture)
    factory = GuestFactory(box)
    lab = BoxLab(box, factory)
    try:
        yield lab
    finally:
        lab.close()
        factory.remove_all()
