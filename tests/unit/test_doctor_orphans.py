"""What may be deleted, and everything that may not."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from orchestrator.model import Layer, Level, NewOverlay, OperationKind, Unsettled
from orchestrator.reports.doctor.facts import DoctorFacts
from orchestrator.reports.doctor.leftovers import leftovers
from orchestrator.reports.doctor.orphans import SETTLED_AFTER, Orphans, find_orphans
from orchestrator.store import manifest
from orchestrator.store.contents import Directory, StoreContents
from orchestrator.store.manifest import Manifest
from tests.unit.builders import (
    BASE,
    CLEAN,
    CREATED,
    DOMAIN,
    HOST,
    NEXT,
    STORE,
    checkpoint,
    disk,
    domain,
    in_store,
    layer,
    memory_image,
)
from tests.unit.file_builders import MIB, file_facts
from tests.unit.test_doctor import catalogued, facts, operation, place, standing

OLD, OTHER = "0d9b2d1c-7d5f-4b6a-8a3e-5f0c1d2e3f40", "0e9b2d1c-7d5f-4b6a-8a3e-5f0c1d2e3f40"
"""Operations that nobody remembers."""
OVERLAY = in_store(OLD, "vda.qcow2")
XML = f"<domain><name>web01</name><uuid>{DOMAIN}</uuid></domain>"


def manifest_of(operation_id: str, backing: str = BASE, **changes: Any) -> Manifest:
    path = in_store(operation_id, "vda.qcow2")
    overlay = NewOverlay(target="vda", path=path, backing=backing, backing_format="qcow2", capacity=1)
    made = Manifest(
        host_uuid=HOST,
        host_name="hv1",
        domain_uuid=DOMAIN,
        domain_name="web01",
        operation_id=operation_id,
        kind=OperationKind.ROLLBACK,
        created=CREATED,
        stands_on=CLEAN,
        overlays=(overlay,),
    )
    return replace(made, **changes)


def directory(operation_id: str, *names: str, backing: str | None = BASE, **changes: Any) -> Directory:
    """As a rollback made it, but with those files only."""
    files = [
        file_facts(in_store(operation_id, name), backing=backing, physical=196608, capacity=1)
        for name in ("manifest.json", *names)
    ]
    made = Directory(
        path=f"{STORE}/{DOMAIN}/{operation_id}",
        mode=0o711,
        files=tuple(files),
        manifest=manifest_of(operation_id, backing or BASE),
    )
    return replace(made, **changes)


def with_checkpoint(operation_id: str, *names: str, frozen: Layer | None = None) -> Directory:
    """As a checkpoint made it, but with those files only."""
    image = memory_image(path=in_store(operation_id, "memory.save"))
    recorded = checkpoint(frozen or layer(), id=operation_id, name="lost", memory=image, domain_xml=XML)
    begun = manifest_of(operation_id, kind=OperationKind.CHECKPOINT, stands_on=operation_id)
    whole = manifest.with_checkpoint(begun, recorded, None, [[frozen or layer()]])
    return directory(operation_id, *names, manifest=whole)


KNOWN = with_checkpoint(CLEAN, "vda.qcow2", "memory.save")
"""The directory of the checkpoint that web01 stands on."""


def world(*directories: Directory, **changes: Any) -> DoctorFacts:
    contents = StoreContents(
        path=STORE, itself=place(STORE), domains=(place(f"{STORE}/{DOMAIN}"),), directories=(KNOWN, *directories)
    )
    return facts(store=contents, **changes)


def removable(*directories: Directory, **changes: Any) -> list[str]:
    return [each.operation_id for each in find_orphans(world(*directories, **changes)).removable]


def kept(*directories: Directory, **changes: Any) -> str:
    """Why the only orphan is not removable."""
    orphans = find_orphans(world(*directories, **changes))
    assert (orphans.removable, orphans.checkpoints) == ((), ())
    ((_, reason),) = orphans.kept
    return reason


def test_find_orphans_catalogued_directory_is_none() -> None:
    assert find_orphans(world()) == Orphans(checkpoints=(), removable=(), kept=())


@pytest.mark.parametrize("names", [(), ("vda.qcow2",)], ids=["only a manifest", "an overlay"])
def test_find_orphans_unused_directory_is_removable(names: tuple[str, ...]) -> None:
    assert removable(directory(OLD, *names)) == [OLD]


def test_find_orphans_remains_of_deleted_checkpoint_are_removable() -> None:
    assert removable(with_checkpoint(OLD, "vda.qcow2")) == [OLD]


def test_find_orphans_chain_is_removable_as_a_whole_or_not() -> None:
    below, above = directory(OLD, "vda.qcow2"), directory(OTHER, "vda.qcow2", backing=OVERLAY)
    assert removable(below, above) == [OLD, OTHER]
    in_use = {DOMAIN: domain(disk(path=in_store(OTHER, "vda.qcow2")))}
    assert removable(below, above, domains=in_use) == []
    assert removable(below, replace(above, manifest=None)) == []


def test_find_orphans_kept_directory_keeps_backing_files_of_all_its_files() -> None:
    above = directory(OTHER, "vda.qcow2", "vdb.qcow2")
    marked, vda, vdb = above.files
    above = replace(above, files=(marked, vda, replace(vdb, backing=OVERLAY)), manifest=two_disks(OTHER))
    in_use = {DOMAIN: domain(disk(path=vda.path))}
    assert removable(directory(OLD, "vda.qcow2"), above) == [OLD, OTHER]
    assert removable(directory(OLD, "vda.qcow2"), above, domains=in_use) == []


def two_disks(operation_id: str) -> Manifest:
    made = manifest_of(operation_id)
    (first,) = made.overlays
    return replace(made, overlays=(first, replace(first, target="vdb", path=in_store(operation_id, "vdb.qcow2"))))


# --------------------------------------------------------------------------- what stays


def test_find_orphans_directory_without_manifest_is_kept() -> None:
    assert kept(directory(OLD, "vda.qcow2", manifest=None, problem="is missing")) == "its manifest is missing"


@pytest.mark.parametrize("name", ["memory.save", "notes.txt"])
def test_a_file_that_the_manifest_does_not_name_keeps_all(name: str) -> None:
    assert kept(directory(OLD, "vda.qcow2", name)) == f"its manifest does not name {in_store(OLD, name)}"


def test_find_orphans_overlay_with_data_is_kept() -> None:
    """It may be the present disk of a guest that is undefined, off and transient, migrated, or another catalog's."""
    whole = directory(OLD, "vda.qcow2")
    marked, overlay = whole.files
    written = replace(whole, files=(marked, replace(overlay, physical=2 * MIB, allocation=MIB)))
    assert kept(written) == "there is data in vda.qcow2, 1024 KiB"
    ((level, _, what),) = said(written)
    assert (level, "(2 files, " in what, "there is data" in what) == (Level.NOTE, True, True)


def test_find_orphans_raw_file_is_kept_whatever_its_length() -> None:
    whole = directory(OLD, "vda.qcow2")
    marked, overlay = whole.files
    assert "there is data" in kept(replace(whole, files=(marked, replace(overlay, format="raw"))))


# --------------------------------------------------------------------------- layers that were discarded while in use


def left_over(*above: Directory, **changes: Any) -> Orphans:
    """Of a layer with data that this catalog discarded, and what is above it."""
    whole = directory(OLD, "vda.qcow2")
    written = replace(whole, files=tuple(replace(info, physical=2 * MIB) for info in whole.files))
    kept_layer = layer(OVERLAY, operation_id=OLD)
    return find_orphans(world(written, *above, left_over=(kept_layer,), **changes))


def test_find_orphans_discarded_layer_is_removable_once_nothing_uses_it() -> None:
    assert left_over() == Orphans(checkpoints=(), removable=(), kept=(), layers=(OVERLAY,))


def test_find_orphans_discarded_layer_in_use_is_kept() -> None:
    in_use = {NEXT: domain(disk(path="/clone"), uuid=NEXT)}
    found = left_over(domains=in_use, outside={"/clone": OVERLAY})
    assert (found.layers, found.layers_in_use) == ((), (OVERLAY,))


def test_find_orphans_discarded_layer_below_a_kept_directory_is_kept() -> None:
    above = directory(OTHER, "vda.qcow2", backing=OVERLAY, manifest=None, problem="is missing")
    assert left_over(above).layers == ()


def test_find_orphans_young_directory_is_kept() -> None:
    now = CREATED + SETTLED_AFTER - timedelta(seconds=1)
    assert "less than an hour old" in kept(directory(OLD), now=now)
    assert removable(directory(OLD), now=CREATED + SETTLED_AFTER) == [OLD]


def test_an_open_operation_keeps_its_directory() -> None:
    is_open = Unsettled(record=operation(id=OLD), in_progress=False, guests=("web01 is running",))
    assert find_orphans(world(directory(OLD, "vda.qcow2"), operations=(is_open,))) == Orphans(
        checkpoints=(), removable=(), kept=()
    )


def test_a_whole_checkpoint_is_never_removed() -> None:
    lost = with_checkpoint(OLD, "vda.qcow2", "memory.save")
    orphans = find_orphans(world(lost))
    assert (orphans.checkpoints, orphans.removable, orphans.kept) == ((lost,), (), ())


def test_find_orphans_layer_of_uncatalogued_checkpoint_is_kept() -> None:
    frozen = layer(OVERLAY, operation_id=OLD)
    lost = with_checkpoint(OTHER, "memory.save", frozen=frozen)
    assert find_orphans(world(directory(OLD, "vda.qcow2"), lost)).removable == ()
    gone = with_checkpoint(OTHER, frozen=frozen)
    assert removable(directory(OLD, "vda.qcow2"), gone) == [OLD, OTHER]


@pytest.mark.parametrize(
    "changes",
    [
        {"domains": {NEXT: domain(disk(path=OVERLAY), name="stranger", uuid=NEXT)}},
        {"domains": {NEXT: domain(disk(), persistent_disks=(disk(path=OVERLAY),), uuid=NEXT)}},
        {"domains": {NEXT: domain(disk(path=f"{STORE}/./{DOMAIN}/{OLD}//vda.qcow2"), uuid=NEXT)}},
        {"domains": {NEXT: domain(disk(path=OVERLAY, readonly=True), uuid=NEXT)}},
        {"domains": {NEXT: domain(disk(path="/clone", backing=(disk(path=OVERLAY).source,)), uuid=NEXT)}},
        {"domains": {NEXT: domain(disk(path="/clone"), uuid=NEXT)}, "outside": {"/clone": "/x", "/x": OVERLAY}},
        {"checkpoints": (catalogued(layer(OVERLAY)),)},
        {"standings": (standing(layer(OVERLAY)),)},
    ],
    ids=["live", "persistent", "other spelling", "read-only", "below", "below, outside", "frozen", "below a head"],
)
def test_find_orphans_directory_in_use_is_kept(changes: dict[str, Any]) -> None:
    orphans = find_orphans(world(directory(OLD, "vda.qcow2"), **changes))
    assert orphans.removable == ()


def test_find_orphans_backing_file_of_a_file_in_the_store_is_kept() -> None:
    foreign = Directory(
        path=f"{STORE}/x/y", mode=0o711, files=(file_facts(f"{STORE}/x/y/z", backing=OVERLAY),), manifest=None
    )
    assert removable(directory(OLD, "vda.qcow2"), foreign) == []


# --------------------------------------------------------------------------- what is said of it


def said(*directories: Directory, cleaned: bool = False, **changes: Any) -> list[tuple[Level, int, str]]:
    seen = world(*directories, **changes)
    return [(each.level, each.exit_code, each.what) for each in leftovers(seen, find_orphans(seen), cleaned=cleaned)]


def test_an_orphan_is_warned_of_until_it_is_removed() -> None:
    orphan = directory(OLD, "vda.qcow2")
    ((level, code, what),) = said(orphan)
    assert (level, code) == (Level.WARNING, 1)
    assert orphan.path in what
    ((level, code, what),) = said(orphan, cleaned=True)
    assert (level, code, what.startswith(f"removed {orphan.path}")) == (Level.OK, 0, True)


def test_lost_checkpoints_are_counted_and_named() -> None:
    ((level, code, what),) = said(with_checkpoint(OLD, "memory.save"), with_checkpoint(OTHER, "memory.save"))
    assert (level, code) == (Level.WARNING, 1)
    assert what == "the store has 2 checkpoints that are not in the catalog: web01/lost, web01/lost (1400 MiB)"


def test_orphans_advice_on_kept_directory_is_a_note() -> None:
    ((level, code, _),) = said(directory(OLD, "notes.txt"))
    assert (level, code) == (Level.NOTE, 0)


@pytest.mark.parametrize("found", [None, manifest_of(CLEAN)], ids=["no manifest", "no checkpoint in it"])
def test_a_directory_that_could_not_be_rebuilt_from_is_noted(found: Manifest | None) -> None:
    seen = replace(world(), store=replace(world().store, directories=(replace(KNOWN, manifest=found),)))
    (one,) = leftovers(seen, find_orphans(seen), cleaned=False)
    assert (one.level, KNOWN.path in one.what) == (Level.NOTE, True)


def test_leftovers_extra_files_are_noted_if_no_operation_is_open() -> None:
    extra = file_facts(in_store(CLEAN, "notes.txt"))
    crowded = replace(KNOWN, files=(*KNOWN.files, extra))
    seen = replace(world(), store=replace(world().store, directories=(crowded,)))
    (one,) = leftovers(seen, find_orphans(seen), cleaned=False)
    assert (one.level, extra.path in one.what) == (Level.NOTE, True)
    busy = replace(seen, operations=(Unsettled(record=operation(), in_progress=True, guests=("web01 is running",)),))
    (one,) = leftovers(busy, find_orphans(busy), cleaned=False)
    assert one.level is Level.OK


@pytest.mark.parametrize("inside", ["nothing", "a file", "a directory"])
def test_an_empty_directory_of_no_domain_is_noted(inside: str) -> None:
    path = f"{STORE}/{OTHER}"
    contents = world().store
    contents = replace(contents, domains=(*contents.domains, place(path)))
    match inside:
        case "a file":
            contents = replace(contents, strays=(f"{path}/notes.txt",))
        case "a directory":
            within = Directory(path=f"{path}/{OLD}", mode=0o711, files=(), manifest=None, problem="is missing")
            contents = replace(contents, directories=(*contents.directories, within))
    seen = facts(store=contents)
    found = [each for each in leftovers(seen, find_orphans(seen), cleaned=True) if f"{path} is empty" in each.what]
    assert [(each.level, each.exit_code, each.advice.endswith(f"rmdir {path}")) for each in found] == (
        [(Level.NOTE, 0, True)] if inside == "nothing" else []
    )


@pytest.mark.parametrize("known_by", ["hypervisor", "catalog", "operation"])
def test_the_empty_directory_of_a_domain_waits_for_its_next_checkpoint(known_by: str) -> None:
    contents = StoreContents(path=STORE, itself=place(STORE), domains=(place(f"{STORE}/{DOMAIN}"),))
    unknown: dict[str, Any] = {"store": contents, "domains": {}, "checkpoints": (), "standings": ()}
    known: dict[str, Any] = {
        "hypervisor": {"domains": {DOMAIN: domain()}},
        "catalog": {"checkpoints": (catalogued(),)},
        "operation": {"operations": (Unsettled(record=operation(), in_progress=True, guests=("web01 is running",)),)},
    }
    for changes, levels in ((unknown, [Level.NOTE]), (unknown | known[known_by], [Level.OK])):
        seen = facts(**changes)
        assert [each.level for each in leftovers(seen, find_orphans(seen), cleaned=False)] == levels
