"""What somebody wrote after the word was given is kept: its file and all below it. The catalog has it no more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.errors import SnapctlError
from orchestrator.formats import domainxml
from orchestrator.model import Source
from tests.crash.test_foreign_acts import kill, rollback_a
from tests.crash.twin_host import TwinHost


@pytest.fixture
def host(quick_directory: Path, request: pytest.FixtureRequest) -> Iterator[TwinHost]:
    """a - b; the guest has counted on since, on what b froze."""
    host = TwinHost(quick_directory / f"{request.node.name}.sqlite", disks=1)
    host.checkpoint("a")
    host.checkpoint("b")
    host.guest.tick(10)
    yield host
    host.close()


def rescue(host: TwinHost, path: str) -> int:
    """A rescue system works on that disk; nothing refers to it afterwards."""
    other = host.world.add("rescue")
    source = {"vda": Source(path=path, format="qcow2")}
    host.world.define(domainxml.on_disks(other.machine.persistent_xml or "", source))
    worked = other.start().tick(1000)
    other.shut_down()
    host.world.undefine(other.uuid)
    return worked


def require_kept(host: TwinHost, path: str, worked: int) -> None:
    assert host.world.files.read(path, "counter") == worked
    assert host._catalog.layer(path) is None
    host.session().doctor(clean=True)
    for summary in host.session().list():
        host.session().delete("web01", [summary.name], collapse=False, force=True)
    assert host.world.files.read(path, "counter") == worked
    assert all(below in host.world.files.files for below in host.world.files.chain(path))


@pytest.mark.parametrize("running", [False, True])
def test_rollback_killed_after_its_commit_former_memory_was_started(host: TwinHost, *, running: bool) -> None:
    """libvirt's managed-save image stays whole until the new state is committed: virsh start restores it."""
    top = host.guest.machine.tops()["vda"]
    host.guest.managed_save()
    kill(host, rollback_a, after="deciding")
    host.guest.destroy()
    host.guest.start()
    worked = host.guest.tick(1000)
    if running:
        with pytest.raises(SnapctlError, match="outside snapctl"):
            host.session().recover()
        host.guest.destroy()  # as the hint says
    else:
        host.guest.shut_down()

    (recovered,) = host.session().recover()

    assert f"{top} was kept: it was written to after its removal was agreed to" in recovered.detail
    require_kept(host, top, worked)


def test_rollback_killed_after_its_commit_former_disk_was_written_to(host: TwinHost) -> None:
    top = host.guest.machine.tops()["vda"]
    kill(host, rollback_a, after="deciding")
    worked = rescue(host, top)

    (recovered,) = host.session().recover()

    assert f"{top} was kept" in recovered.detail
    require_kept(host, top, worked)


def test_rollback_former_disk_was_written_to_keeps_what_was_to_go_with_it(host: TwinHost) -> None:
    top = host.guest.machine.tops()["vda"]
    host.session().delete("web01", ["b"], collapse=False)
    kill(host, rollback_a, after="deciding")
    worked = rescue(host, top)

    host.session().recover()

    require_kept(host, top, worked)


def test_delete_killed_when_it_was_hidden_its_layer_was_written_to(host: TwinHost) -> None:
    host.checkpoint("c")
    (layer,) = host.checkpoints()[-1].layers.values()
    host.rollback("a")
    kill(host, lambda session: session.delete("web01", ["c"]), after="deciding")
    worked = rescue(host, layer.path)

    (recovered,) = host.session().recover()

    assert f"{layer.path} was kept" in recovered.detail
    require_kept(host, layer.path, worked)


def test_delete_layer_that_was_damaged_before_goes(host: TwinHost) -> None:
    host.checkpoint("c")
    (layer,) = host.checkpoints()[-1].layers.values()
    host.rollback("a")
    host.world.files.write(layer.path, "counter", 7)

    outcomes = host.session().delete("web01", ["c"])

    assert layer.path not in host.world.files.files
    assert outcomes[0].note is None
