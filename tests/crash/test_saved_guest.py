"""A guest that an operation has saved is in its image and on its disks alone, whatever its owner and others do until
the recovery."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pytest

from orchestrator.coordinator import Coordinator
from orchestrator.errors import SnapctlError, Unfinished
from orchestrator.formats import domainxml
from orchestrator.model import Disk, Source
from tests.crash.injectors import CallInjector
from tests.crash.test_failed_restores import domain_sources, fail_restores, files
from tests.crash.test_foreign_acts import kill
from tests.crash.twin_host import TwinHost
from tests.twin import Guest
from tests.twin.files import Image
from tests.twin.world import CAPACITY, IMAGES
from tests.twin.xml import domain_xml

Act = Callable[[Coordinator], object]

VERBS: dict[str, Act] = {
    "keep": lambda session: session.rollback("web01", "a", keep_current=True, keep_name="kept"),
    "checkpoint": lambda session: session.checkpoint("web01", "kept"),
    "rollback": lambda session: session.rollback("web01", "a"),
}
SAVING = ("keep", "checkpoint")


@pytest.fixture
def host(quick_directory: Path, request: pytest.FixtureRequest) -> Iterator[TwinHost]:
    host = TwinHost(quick_directory / f"{abs(hash(request.node.name))}.sqlite", disks=1)
    host.checkpoint("a")
    host.checkpoint("b")
    host.guest.tick(5)
    yield host
    host.close()


def images(host: TwinHost) -> set[str]:
    known = {each.memory.path for each in host.checkpoints() if each.memory is not None}
    return {path for path in files(host) if path.endswith("memory.save")} - known


def put(host: TwinHost, name: str, backing: str | None = None) -> Source:
    path = f"{IMAGES}/{name}"
    host.world.files.put(path, Image(capacity=CAPACITY, backing=backing, backing_format="qcow2" if backing else None))
    return Source(path=path, format="qcow2")


@pytest.mark.parametrize("verb", SAVING)
@pytest.mark.parametrize("after", ["save", "define", "restore"])
def test_recover_owner_started_it_on_a_rescue_disk_keeps_the_image(host: TwinHost, verb: str, after: str) -> None:
    """Its memory and its own disks are still a pair, and the image is the only copy."""
    kill(host, VERBS[verb], after=after)
    if host.guest.machine.active:
        host.guest.destroy()
    (image,) = images(host)
    rescue = {"vda": put(host, "rescue.qcow2")}
    host.world.define(domainxml.on_disks(host.guest.machine.persistent_xml or "", rescue))
    host.guest.start().tick()

    with pytest.raises(Unfinished):
        host.session().recover()

    assert image in host.world.files.files
    assert host.guest.machine.active


@pytest.mark.parametrize("verb", SAVING)
def test_recover_owner_resumed_it_and_took_a_snapshot_leaves_the_definition(host: TwinHost, verb: str) -> None:
    """virsh snapshot-create-as --disk-only --no-metadata, by a backup: the next start has to be on that."""
    kill(host, VERBS[verb], after="restore")
    host.guest.resume()
    host.guest.tick(10)
    machine = host.guest.machine
    new = {"vda": put(host, "backup.qcow2", machine.tops()["vda"])}
    machine.running_xml = domainxml.on_disks(machine.running_xml or "", new)
    machine.persistent_xml = domainxml.on_disks(machine.persistent_xml or "", new)
    worked = host.guest.tick(1000)

    host.session().recover()

    assert host.session().unfinished() == []
    host.guest.shut_down()
    assert host.guest.start().read("vda") == worked


def test_keep_current_defined_by_its_owner_meanwhile_is_not_overwritten(host: TwinHost) -> None:
    """It was undefined while it ran, so that it is off and unknown once it is saved."""
    present = host.counter
    host.world.undefine(host.guest.uuid)
    definition = domainxml.without_run_mark(host.guest.machine.running_xml or "")
    kill(host, VERBS["keep"], after="save")
    mine = definition.replace("</domain>", "<description>mine</description></domain>")
    host.world.define(mine)

    with suppress(SnapctlError):
        host.session().recover()

    assert "mine" in (host.guest.machine.persistent_xml or "")
    assert images(host) or host.counter == present


@pytest.mark.parametrize("verb", SAVING)
def test_abandon_of_a_committed_one_does_not_advise_to_restore_it_by_hand(host: TwinHost, verb: str) -> None:
    """That would write to what is frozen by then."""
    kill(host, VERBS[verb], after="deciding")
    (left,) = host.session().plan_abandon("web01")
    assert not any("virsh restore" in way for way in left.ways)


@pytest.mark.parametrize("fails", [False, True])
def test_delete_saved_guest_stands_on_a_layer_that_no_definition_names_keeps_it(
    host: TwinHost, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    """The checkpoint that it goes back to does not have that disk."""
    host.rollback("a")
    (leaf,) = (each.layers["vda"].path for each in host.checkpoints() if each.name == "b")
    clone = host.world.add("clone").start()
    clone.tick()
    host.session().checkpoint("clone", "c1")
    source = put(host, "more.qcow2", leaf)
    more = domain_xml("any", clone.uuid, [Disk(target="vdc", source=source)])
    machine = clone.machine
    machine.running_xml = domainxml.with_set(machine.running_xml or "", like=more, added=["vdc"], removed=[])
    machine.persistent_xml = domainxml.with_set(machine.persistent_xml or "", like=more, added=["vdc"], removed=[])
    clone.tick(20)
    kill(host, lambda session: session.rollback("clone", "c1", keep_current=True, keep_name="k"), after="define")

    (outcome,) = host.session().delete("web01", ["b"], collapse=False)

    assert leaf in host.world.files.files
    assert "the unfinished rollback --keep-current of clone needs it" in (outcome.note or "")
    if fails:
        fail_restores(host, monkeypatch, onto=lambda xml: source.path not in xml)
    host.session().recover()
    assert clone.machine.active and clone.agrees()


@pytest.mark.parametrize("verb", ["keep", "rollback"])
def test_recover_clone_stands_on_the_overlay_that_is_to_go_keeps_it(
    host: TwinHost, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    top = host.guest.machine.tops()["vda"]
    kill(host, VERBS[verb], after="define")
    overlay = domain_sources(host)["vda"] or ""
    clone = host.world.define(domain_xml("clone", str(uuid4()), [Disk(target="vda", source=put(host, "c", overlay))]))
    Guest(host.world, clone).start().tick(50)
    fail_restores(host, monkeypatch, onto=lambda xml: top not in xml)

    with pytest.raises(Unfinished, match="clone uses it for its disk vda"):
        host.session().recover()

    assert overlay in host.world.files.files


@pytest.mark.parametrize("verb", SAVING)
def test_recover_read_only_disk_was_written_to_restores_no_memory(quick_directory: Path, verb: str) -> None:
    path = f"{IMAGES}/shared.img"
    other = Disk(target="vdc", source=Source(path=path, format="raw"), readonly=True)
    host = TwinHost(quick_directory / f"read-only {verb}.sqlite", disks=1, others=[other])
    host.checkpoint("a")
    kill(host, VERBS[verb], after="save")
    host.world.files.write(path, "owner", 7)

    with pytest.raises(Unfinished, match="was written to or replaced"):
        host.session().recover()

    assert not host.guest.machine.active
    host.close()


def on_device(quick_directory: Path) -> TwinHost:
    """A guest whose disk is backed by a block device."""
    host = TwinHost(quick_directory / "device below.sqlite", disks=1)
    host.guest.shut_down()
    host.world.files.make_directory("/dev/vg")
    host.world.files.put("/dev/vg/base", Image(capacity=CAPACITY, format="raw"))
    top = put(host, "top.qcow2", "/dev/vg/base")
    host.world.files.image(top.path).backing_format = "raw"
    host.world.define(domainxml.on_disks(host.guest.machine.persistent_xml or "", {"vda": top}))
    host.guest.start().tick()
    return host


def test_recover_device_below_was_written_to_restores_no_memory(quick_directory: Path) -> None:
    """A device has no time of last change."""
    host = on_device(quick_directory)
    kill(host, VERBS["checkpoint"], after="save")
    host.world.files.image("/dev/vg/base").data["other"] = 1

    with pytest.raises(Unfinished, match="was written to or replaced"):
        host.session().recover()

    assert not host.guest.machine.active
    host.close()


@pytest.mark.parametrize("verb", SAVING)
@pytest.mark.parametrize("after", ["save", "complete", "define"])
@pytest.mark.parametrize("what", ["base", "active layer"])
def test_recover_disk_is_not_mounted_yet_is_finished_once_it_is(
    host: TwinHost, verb: str, after: str, what: str
) -> None:
    """As at boot. Nothing shows that it was changed, so no reason is given to discard the memory."""
    path = f"{IMAGES}/web01-vda.qcow2" if what == "base" else host.guest.machine.tops()["vda"]
    saved = host.counter
    kill(host, VERBS[verb], after=after, times=2 if after == "complete" else 1)
    disk = host.world.files.files.pop(path)

    with pytest.raises(Unfinished, match=f"{path} is missing") as raised:
        host.session().recover()
    assert raised.value.hint == "mount it, then: snapctl recover web01"

    host.world.files.files[path] = disk
    host.session().recover()
    host.session().rollback("web01", "kept")
    assert host.counter == saved
    assert not host.session().verify().damaged


def test_recover_device_below_is_not_there_yet_is_finished_once_it_is(quick_directory: Path) -> None:
    host = on_device(quick_directory)
    saved = host.counter
    kill(host, VERBS["checkpoint"], after="save")
    device = host.world.files.files.pop("/dev/vg/base")

    with pytest.raises(Unfinished, match="/dev/vg/base is missing"):
        host.session().recover()

    host.world.files.files["/dev/vg/base"] = device
    host.session().recover()
    assert host.guest.machine.active and host.counter == saved
    host.close()


def test_keep_current_guest_went_back_definition_went_back_at_once(
    host: TwinHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The catalog fails then. Until the recovery its owner works on; his next start is on the same disks."""
    top = host.guest.machine.tops()["vda"]

    def is_other(xml: str) -> bool:
        return top not in xml

    host.keep()
    fail_restores(host, monkeypatch, onto=is_other)
    injector = CallInjector()
    with suppress(SnapctlError):
        VERBS["keep"](host.session(injector))
    defines = [number for number, call in enumerate(injector.calls) if call == "define"]
    host.put_back()
    fail_restores(host, monkeypatch, onto=is_other)
    kill(host, VERBS["keep"], after="define", times=len(defines))
    assert domain_sources(host)["vda"] == top
    host.guest.resume()
    worked = host.guest.tick(1000)
    host.guest.shut_down()
    assert host.guest.start().read("vda") == worked
