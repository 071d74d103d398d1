"""Each test of this suite runs twice: on the twin, and (mark `system`) on libvirt in a box."""

import os
from collections.abc import Iterator

import pytest

from tests.box.box import Box
from tests.box.fixtures import GuestFactory
from tests.contract.hosts import BoxContractHost, ContractHost, TwinContractHost

BOTH = ["twin", pytest.param("box", marks=pytest.mark.system)]


@pytest.fixture(params=BOTH)
def host(request: pytest.FixtureRequest) -> Iterator[ContractHost]:
    """A hypervisor that saves as fast as it can."""
    yield from _host(request, "box")


@pytest.fixture(params=BOTH)
def fragile_host(request: pytest.FixtureRequest) -> Iterator[ContractHost]:
    """A hypervisor whose saves can be held up and whose daemon can be killed."""
    yield from _host(request, "fragile_box")


@pytest.fixture(scope="session")
def fragile_box() -> Iterator[Box]:
    box = Box(f"fragile-{os.getpid()}")
    try:
        yield box.up(slow_save=True)
    finally:
        box.down()


def _host(request: pytest.FixtureRequest, box_fixture: str) -> Iterator[ContractHost]:
    if request.param == "twin":
        yield TwinContractHost()
        return
    box: Box = request.getfixturevalue(box_fixture)
    factory = GuestFactory(box)
    host = BoxContractHost(box, factory)
    try:
        yield host
    finally:
        host.close()
        factory.remove_all()
