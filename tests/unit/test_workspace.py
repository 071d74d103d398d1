"""An operation's directory: what is made in it is made once, and goes only while nobody has a use for it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from orchestrator.errors import HypervisorError, IntegrityError
from orchestrator.formats.saveimage import PARTIAL
from orchestrator.model import Disk, FileInfo, NewOverlay, OperationKind
from orchestrator.store import layout
from orchestrator.store.manifest import Manifest
from orchestrator.store.workspace import (
    discard_overlays,
    make_overlays,
    read_tops,
    renew_overlays,
    restore_final_mark,
    see_overlays,
    written_since,
)
from tests.twin import Guest, TwinHypervisor, World
from tests.twin.files import File
from tests.twin.world import CAPACITY
from tests.unit.builders import CLEAN, CREATED, NEXT, cdrom, disk, memory_image
from tests.unit.file_builders import header_bytes

DIRECTORY = f"/store/web01/{NEXT}"


@pytest.fixture
def twin(world: World) -> TwinHypervisor:
    return TwinHypervisor(world)


@pytest.fixture
def web01(twin: TwinHypervisor) -> Guest:
    guest = twin.world.add("web01", disks=2).start()
    guest.tick()
    return guest


@pytest.fixture
def described(twin: TwinHypervisor, web01: Guest) -> Manifest:
    """The manifest of a directory for overlays on what web01 has for its disks."""
    return Manifest(
        host_uuid=twin.host.uuid,
        host_name=twin.host.name,
        domain_uuid=web01.uuid,
        domain_name=web01.name,
        operation_id=NEXT,
        kind=OperationKind.CHECKPOINT,
        created=CREATED,
        stands_on=CLEAN,
        overlays=tuple(
            NewOverlay(
                target=disk, path=f"{DIRECTORY}/{disk}.qcow2", backing=top, backing_format="qcow2", capacity=CAPACITY
            )
            for disk, top in web01.machine.tops().items()
        ),
    )


@pytest.fixture
def lengths(twin: TwinHypervisor, described: Manifest) -> Mapping[str, int]:
    """Of the overlays, which are made."""
    make_overlays(twin, DIRECTORY, described)
    evidence = see_overlays(twin, DIRECTORY, described)
    assert evidence is not None
    found: Mapping[str, int] = evidence["overlay_lengths"]
    return found


def facts(twin: TwinHypervisor, described: Manifest) -> list[FileInfo | None]:
    return [twin.storage.stat(overlay.path) for overlay in described.overlays]


def write_to(twin: TwinHypervisor, overlay: NewOverlay) -> None:
    twin.world.files.write(overlay.path, "counter", 7)


def discard(twin: TwinHypervisor, described: Manifest, lengths: Mapping[str, int]) -> None:
    discard_overlays(twin, described.domain_uuid, DIRECTORY, described, lengths)


# --------------------------------------------------------------------------- made


def test_make_overlays_creates_and_see_overlays_finds_all(
    twin: TwinHypervisor, described: Manifest, lengths: Mapping[str, int]
) -> None:
    found = [each for each in facts(twin, described) if each is not None]

    assert [each.backing for each in found] == [overlay.backing for overlay in described.overlays]
    assert lengths == dict(zip(["vda", "vdb"], [each.physical for each in found], strict=True))


@pytest.mark.parametrize("missing", ["vda.qcow2", "vdb.qcow2", layout.MANIFEST])
def test_make_overlays_after_kill_creates_the_missing_ones(
    twin: TwinHypervisor, described: Manifest, lengths: Mapping[str, int], missing: str
) -> None:
    before = facts(twin, described)
    twin.storage.remove(f"{DIRECTORY}/{missing}")
    assert see_overlays(twin, DIRECTORY, described) is None

    make_overlays(twin, DIRECTORY, described)

    assert see_overlays(twin, DIRECTORY, described) == {"overlay_lengths": lengths}
    kept = [found for found in facts(twin, described) if found and not found.path.endswith(missing)]
    assert [found for found in kept if found not in before] == []


def test_an_overlay_on_another_layer_is_no_evidence(
    twin: TwinHypervisor, described: Manifest, lengths: Mapping[str, int]
) -> None:
    twin.world.files.image(described.overlays[1].path).backing = described.overlays[0].backing

    with pytest.raises(IntegrityError, match=r"vdb\.qcow2 is not backed by"):
        see_overlays(twin, DIRECTORY, described)


# --------------------------------------------------------------------------- renewed


@pytest.mark.parametrize("opened", [False, True], ids=["never open", "once open"])
def test_renew_overlays_written_overlay_is_refused(
    twin: TwinHypervisor, described: Manifest, lengths: Mapping[str, int], opened: bool
) -> None:
    """Order rule 5: it is the only copy of what was written."""
    write_to(twin, described.overlays[1])
    before = facts(twin, described)

    with pytest.raises(IntegrityError) as refused:
        renew_overlays(twin, described.domain_uuid, described.overlays[1:], lengths, opened=opened)

    assert refused.value.problem == f"the new overlay {DIRECTORY}/vdb.qcow2 was written to"
    assert refused.value.effect == "it was not changed"
    assert facts(twin, described) == before


def test_renew_overlays_recreates_empty_overlay_only_if_opened(
    twin: TwinHypervisor, web01: Guest, described: Manifest, lengths: Mapping[str, int]
) -> None:
    web01.destroy()
    made = [twin.world.files.image(overlay.path) for overlay in described.overlays]

    for opened in (False, True):
        renew_overlays(twin, described.domain_uuid, described.overlays, lengths, opened=opened)
        now = [twin.world.files.image(overlay.path) for overlay in described.overlays]
        assert [new is old for new, old in zip(now, made, strict=True)] == [not opened] * 2


def test_renew_overlays_guest_is_active_is_refused(
    twin: TwinHypervisor, described: Manifest, lengths: Mapping[str, int]
) -> None:
    before = facts(twin, described)

    with pytest.raises(HypervisorError, match="web01 was started outside snapctl; its disks were not changed"):
        renew_overlays(twin, described.domain_uuid, described.overlays, lengths, opened=True)

    assert facts(twin, described) == before


def test_renew_overlays_missing_overlay_is_created(
    twin: TwinHypervisor, web01: Guest, described: Manifest, lengths: Mapping[str, int]
) -> None:
    web01.destroy()
    twin.storage.remove(described.overlays[0].path)

    renew_overlays(twin, described.domain_uuid, described.overlays, lengths, opened=False)

    assert see_overlays(twin, DIRECTORY, described) == {"overlay_lengths": lengths}


# --------------------------------------------------------------------------- discarded


def test_discard_overlays_removes_directory_and_can_be_repeated(
    twin: TwinHypervisor, described: Manifest, lengths: Mapping[str, int]
) -> None:
    discard(twin, described, lengths)
    discard(twin, described, lengths)

    assert twin.storage.files(DIRECTORY) is None


@pytest.mark.parametrize("which", [0, 1])
def test_discard_overlays_with_one_written_keeps_all(
    twin: TwinHypervisor, described: Manifest, lengths: Mapping[str, int], which: int
) -> None:
    write_to(twin, described.overlays[which])
    before = twin.storage.files(DIRECTORY)

    with pytest.raises(IntegrityError, match=rf"{described.overlays[which].target}\.qcow2 was written to"):
        discard(twin, described, lengths)

    assert twin.storage.files(DIRECTORY) == before


def test_overlays_that_were_never_seen_whole_are_discarded(twin: TwinHypervisor, described: Manifest) -> None:
    """A kill among them: nobody can have been given them."""
    make_overlays(twin, DIRECTORY, described)
    twin.storage.remove(described.overlays[1].path)

    discard(twin, described, {})

    assert twin.storage.files(DIRECTORY) is None


def test_an_overlay_that_the_domain_has_for_its_disk_is_not_deleted(
    twin: TwinHypervisor, web01: Guest, described: Manifest, lengths: Mapping[str, int]
) -> None:
    machine = web01.machine
    assert machine.persistent_xml is not None
    machine.persistent_xml = machine.persistent_xml.replace(machine.tops()["vda"], described.overlays[0].path)

    with pytest.raises(IntegrityError, match="is a disk of the domain and was not removed"):
        discard(twin, described, lengths)

    assert None not in facts(twin, described)


def test_discard_overlays_directory_with_other_files_is_kept(
    twin: TwinHypervisor, described: Manifest, lengths: Mapping[str, int]
) -> None:
    twin.storage.write(f"{DIRECTORY}/memory.save", b"somebody's memory")

    discard(twin, described, lengths)

    assert [found.path for found in twin.storage.files(DIRECTORY) or ()] == [
        f"{DIRECTORY}/{name}" for name in ("manifest.json", "memory.save")
    ]


# --------------------------------------------------------------------------- whether it was written to


def disks(twin: TwinHypervisor, guest: Guest) -> tuple[Disk, ...]:
    domain = twin.domains.get(guest.uuid)
    assert domain is not None
    return domain.disks


def test_a_guest_that_ran_has_written_to_its_layers(twin: TwinHypervisor, web01: Guest) -> None:
    then = read_tops(twin, disks(twin, web01))
    assert sorted(then) == ["vda", "vdb"]
    assert not written_since(then, read_tops(twin, disks(twin, web01)))

    web01.tick()

    assert written_since(then, read_tops(twin, disks(twin, web01)))


def test_written_since_block_device_is_unknown(twin: TwinHypervisor) -> None:
    twin.world.files.make_directory("/dev")
    twin.world.files.put("/dev/data", File())
    device = disk("vda", "/dev/data", source_type="block")
    tops = read_tops(twin, [device, cdrom(), disk("vdb", None)])

    assert tops == {"vda": None}
    assert not written_since(tops, tops)


def test_written_since_missing_layer_is_changed(twin: TwinHypervisor, web01: Guest) -> None:
    then = read_tops(twin, disks(twin, web01))

    assert written_since(then, {**then, "vdb": None})


@pytest.mark.parametrize(
    ("content", "repaired"),
    [
        (header_bytes(magic=PARTIAL), True),
        (header_bytes(), False),  # nothing is amiss
        (header_bytes(magic=PARTIAL)[:91], False),
        (header_bytes(magic=PARTIAL) + b"more", False),
        (header_bytes(magic=PARTIAL, data_length=70_001), False),
        (header_bytes(magic=b"LibvirtQemudSavE"), False),
    ],
)
def test_only_an_image_that_was_whole_gets_its_final_mark_back(
    twin: TwinHypervisor, content: bytes, repaired: bool
) -> None:
    path = "/images/memory.save"
    twin.storage.write(path, content)

    assert restore_final_mark(twin, memory_image(path=path, size=92)) is repaired
    assert (twin.storage.read(path, 0, 200) != content) is repaired
    assert not restore_final_mark(twin, memory_image(path="/images/none.save", size=92))
