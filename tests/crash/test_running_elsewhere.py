"""A domain is off here and runs on another host, on shared storage: it is not started twice, and keeps its files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.coordinator import Coordinator
from orchestrator.errors import Refused
from orchestrator.formats import domainxml
from orchestrator.model import OperationState, Source
from tests.crash.test_foreign_acts import kill, rollback_a
from tests.crash.twin_host import TwinHost
from tests.twin import Guest, TwinHypervisor
from tests.twin.files import Image
from tests.twin.world import CAPACITY


@pytest.fixture
def host(quick_directory: Path, request: pytest.FixtureRequest) -> Iterator[TwinHost]:
    """A guest on `b`, shut off, with the checkpoints `a` and `b`."""
    host = TwinHost(quick_directory / f"{abs(hash(request.node.name))}.sqlite", disks=1)
    host.checkpoint("a")
    host.checkpoint("b")
    host.guest.shut_down()
    yield host
    host.close()


def top(host: TwinHost) -> str:
    """The disk that the guest is defined with."""
    domain = TwinHypervisor(host.world).domains.get(host.guest.uuid)
    path = domain.sources()["vda"] if domain else None
    assert path is not None
    return path


def runs_elsewhere(host: TwinHost) -> str:
    path = top(host)
    host.world.open_elsewhere = {path}
    return path


def delete_a(session: Coordinator) -> object:
    return session.delete("web01", ["a"])


@pytest.mark.parametrize("act", [rollback_a, delete_a])
def test_domain_runs_elsewhere_is_refused_and_keeps_its_files(
    host: TwinHost, act: Callable[[Coordinator], object]
) -> None:
    runs_elsewhere(host)
    before = set(host.world.files.files)

    with pytest.raises(Refused, match="web01 is shut off here, but a QEMU"):
        act(host.session())

    assert not host.guest.machine.active
    assert set(host.world.files.files) == before
    assert list(host.world.machines) == [host.guest.uuid], "no helper is left"
    host.world.open_elsewhere = set()
    act(host.session())


def test_rollback_domain_that_is_off_everywhere_works(host: TwinHost) -> None:
    host.rollback("a")
    host.check()


@pytest.mark.parametrize("after", ["define", "commit_rollback"])
def test_recover_domain_was_started_elsewhere_since_keeps_its_files(host: TwinHost, after: str) -> None:
    path = top(host)
    kill(host, rollback_a, after=after)
    host.world.open_elsewhere = {path}

    if after == "define":
        (recovered,) = host.session().recover()
        assert recovered.state is OperationState.UNDONE
        assert "web01 is shut off here, but a" in recovered.detail
        assert not host.guest.machine.active
    else:
        (recovered,) = host.session().recover()
        assert "a QEMU process uses its disk" in recovered.detail

    assert path in host.world.files.files
    host.world.open_elsewhere = set()
    host.session().recover()
    assert not host.session().unfinished()


def test_rollback_header_that_a_guest_wrote_explains_no_lock(host: TwinHost) -> None:
    """Its raw disk says that it stands on the disk of a domain that runs here."""
    other = host.world.add("db01").uuid
    there = Guest(host.world, host.world.machine(other)).start().machine.tops()["vda"]
    host.world.files.put("/images/own.raw", Image(capacity=CAPACITY, backing=there, backing_format="qcow2"))
    machine = host.guest.machine
    own = Source(path="/images/own.raw", format="raw")
    machine.persistent_xml = domainxml.on_disks(machine.persistent_xml or "", {"vda": own})
    host.world.open_elsewhere = {own.path}

    with pytest.raises(Refused, match="web01 is shut off here, but a QEMU"):
        rollback_a(host.session())

    assert not machine.active
