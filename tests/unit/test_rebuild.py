"""What of the store comes into a rebuilt catalog, and what is left out."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from orchestrator.model import Domain, Layer, NewOverlay, OperationKind, Rebuilt, RebuiltDomain
from orchestrator.reports.rebuild import RebuildFacts, assemble
from orchestrator.store import manifest
from orchestrator.store.contents import Directory, StoreContents
from orchestrator.store.manifest import Manifest
from tests.unit.builders import (
    BASE,
    CREATED,
    DOMAIN,
    HOST,
    STORE,
    checkpoint,
    device_layer,
    disk,
    domain,
    in_store,
    layer,
    memory_image,
)
from tests.unit.file_builders import file_facts

A, B, C, R = (f"{letter * 8}-7d5f-4b6a-8a3e-5f0c1d2e3f40" for letter in "abcd")
"""Three checkpoints, and a rollback."""
XML = f"<domain><name>web01</name><uuid>{DOMAIN}</uuid></domain>"
BASE_LAYER = layer()


def overlay_of(operation_id: str) -> str:
    return in_store(operation_id, "vda.qcow2")


def frozen(operation_id: str, backing: str = BASE) -> Layer:
    """The overlay that an operation made, as a later checkpoint froze it."""
    return layer(overlay_of(operation_id), operation_id=operation_id, backing=backing)


def begun(operation_id: str, kind: OperationKind, stands_on: str, backing: str, minute: int) -> Manifest:
    overlay = NewOverlay(
        target="vda", path=overlay_of(operation_id), backing=backing, backing_format="qcow2", capacity=1
    )
    return Manifest(
        host_uuid=HOST,
        host_name="hv1",
        domain_uuid=DOMAIN,
        domain_name=f"web01 at {minute}",
        operation_id=operation_id,
        kind=kind,
        created=CREATED + timedelta(minutes=minute),
        stands_on=stands_on,
        overlays=(overlay,),
    )


def directory(found: Manifest | None, *names: str, operation_id: str = "", **changes: Any) -> Directory:
    identifier = found.operation_id if found else operation_id
    files = [file_facts(in_store(identifier, name)) for name in ("manifest.json", *names)]
    made = Directory(path=f"{STORE}/{DOMAIN}/{identifier}", mode=0o711, files=tuple(files), manifest=found)
    return replace(made, **changes)


def made(
    operation_id: str,
    *chain: Layer,
    name: str = "",
    parent: str | None = None,
    ancestors: tuple[str, ...] | None = None,
    minute: int = 0,
    xml: str = XML,
) -> Directory:
    """The directory of a checkpoint that froze the first layer of `chain`. `ancestors` None: of an earlier version."""
    chain = chain or (BASE_LAYER,)
    recorded = checkpoint(
        chain[0],
        id=operation_id,
        name=name or operation_id[0],
        parent_id=parent,
        created=CREATED + timedelta(minutes=minute),
        memory=memory_image(path=in_store(operation_id, "memory.save")),
        domain_xml=xml,
    )
    start = begun(operation_id, OperationKind.CHECKPOINT, operation_id, chain[0].path, minute)
    return directory(manifest.with_checkpoint(start, recorded, None, [chain], ancestors), "memory.save", "vda.qcow2")


def rolled_back(
    to: str, backing: str, minute: int = 9, line: tuple[str, ...] | None = None, kept_id: str | None = None
) -> Directory:
    start = begun(R, OperationKind.ROLLBACK, to, backing, minute)
    return directory(replace(start, line=line, kept_id=kept_id), "vda.qcow2")


def flattened(found: Directory) -> Directory:
    """The directory since its overlay was flattened, which was active then and is still."""
    assert found.manifest is not None
    alone = replace(frozen(found.operation_id), backing=None, physical=None, allocation=None, mtime=None)
    return replace(found, manifest=manifest.with_collapsed(found.manifest, alone))


def facts(*directories: Directory, on: str | None = None, **changes: Any) -> RebuildFacts:
    """A store with these directories, and web01 running on the disk `on`."""
    running = {DOMAIN: domain(disk(path=on))} if on else {}
    images = [each.memory.path for each in directories if each.memory]
    seen = RebuildFacts(
        store=StoreContents(path=STORE, itself=None, directories=directories),
        domains=running,
        missing=frozenset(),
        saved_xml=dict.fromkeys(images, XML),
    )
    return replace(seen, **changes)


def rebuilt(seen: RebuildFacts) -> RebuiltDomain:
    (one,), skipped = assemble(seen)
    assert skipped == []
    return one


def reasons(seen: RebuildFacts) -> dict[str, str]:
    """Why something is left out, by the first letter of its directory."""
    return {each.directory.rpartition("/")[2][0]: each.reason for each in assemble(seen)[1]}


def names(seen: RebuildFacts) -> list[str]:
    return [each.name for one in assemble(seen)[0] for each in one.checkpoints]


def test_assemble_tree_with_layers_and_head() -> None:
    on_a = frozen(A)
    one = rebuilt(
        facts(
            made(C, on_a, BASE_LAYER, parent=A, minute=3),
            made(A),
            made(B, frozen(R), BASE_LAYER, parent=A, minute=2),
            on=overlay_of(C),
        )
    )
    assert [(each.name, each.parent_id) for each in one.checkpoints] == [("a", None), ("b", A), ("c", A)]
    assert {each.origin.domain_xml for each in one.checkpoints} == {XML}
    assert {each.path for each in one.layers} == {BASE, overlay_of(A), overlay_of(R)}
    assert one.head is not None
    assert (one.head.checkpoint_id, one.head.overlays) == (C, {"vda": overlay_of(C)})
    assert [(each.path, each.backing, each.operation_id, each.physical) for each in one.overlays] == [
        (overlay_of(C), overlay_of(A), C, None)
    ]


def test_the_name_is_the_last_one_it_had() -> None:
    one = rebuilt(facts(made(A), rolled_back(A, BASE)))
    assert (one.name, one.seen) == ("web01 at 9", CREATED + timedelta(minutes=9))


def test_assemble_head_is_the_checkpoint_rolled_back_to() -> None:
    one = rebuilt(facts(made(A), made(B, frozen(A), BASE_LAYER, parent=A), rolled_back(A, BASE), on=overlay_of(R)))
    assert one.head is not None
    assert (one.head.checkpoint_id, one.overlays[0].operation_id) == (A, R)


@pytest.mark.parametrize("on", [None, BASE, overlay_of(C), in_store(A, "other.qcow2")])
def test_a_domain_elsewhere_has_no_head(on: str | None) -> None:
    assert rebuilt(facts(made(A), on=on)).head is None


def test_an_overlay_on_something_else_is_no_head() -> None:
    assert rebuilt(facts(made(A), rolled_back(A, "/elsewhere"), on=overlay_of(R))).head is None


def test_assemble_head_of_deleted_checkpoint_is_the_nearest_ancestor() -> None:
    found = rebuilt(facts(made(A), rolled_back(B, BASE), on=overlay_of(R))).head
    assert found is not None and found.checkpoint_id == A


def test_a_head_needs_all_disks() -> None:
    seen = facts(made(A), on=overlay_of(A))
    both: Domain = domain(disk(path=overlay_of(A)), disk("vdb", "/new.qcow2"))
    assert rebuilt(replace(seen, domains={DOMAIN: both})).head is not None
    other = domain(disk("vdb", overlay_of(A)))
    assert rebuilt(replace(seen, domains={DOMAIN: other})).head is None


# --------------------------------------------------------------------------- what backing files do not tell


def where(seen: RebuildFacts) -> tuple[str | None, str | None]:
    """The current checkpoint of web01, and the one that was kept."""
    head = rebuilt(seen).head
    assert head is not None
    return head.checkpoint_id, head.kept_id


def test_assemble_flattened_head_is_the_first_of_its_line_that_is_left() -> None:
    tree = (made(A, ancestors=()), made(B, frozen(A), BASE_LAYER, parent=A, ancestors=(A,), minute=1))
    assert where(facts(*tree, flattened(rolled_back(B, BASE, line=(B, A), kept_id=B)), on=overlay_of(R))) == (B, B)
    assert where(facts(*tree, flattened(rolled_back(C, BASE, line=(C, A), kept_id=C)), on=overlay_of(R))) == (A, None)
    assert where(facts(*tree, flattened(rolled_back(C, BASE, line=(C,))), on=overlay_of(R))) == (None, None)


def test_assemble_parent_is_the_first_ancestor_that_is_left() -> None:
    alone = replace(frozen(R), backing=None)
    one = rebuilt(facts(made(A, ancestors=()), made(C, alone, parent=B, ancestors=(B, A), minute=2)))
    assert [(each.id, each.parent_id) for each in one.checkpoints] == [(A, None), (C, A)]
    assert one.unparented == ()


def test_assemble_earlier_version_says_what_cannot_be_determined() -> None:
    """Where the parent was deleted, and nothing is below the layer any more."""
    alone = replace(frozen(R), backing=None)
    assert rebuilt(facts(made(A), made(C, alone, parent=B))).unparented == ("c",)
    assert rebuilt(facts(made(A), made(C, parent=B))).unparented == ()  # nothing but the base was ever below it
    assert rebuilt(facts(made(A), flattened(rolled_back(B, BASE)), on=overlay_of(R))).head is None
    assert where(facts(made(A), flattened(rolled_back(A, BASE)), on=overlay_of(R))) == (A, None)


def test_assemble_domain_without_checkpoints_has_its_head() -> None:
    deleted = directory(replace(begun(A, OperationKind.CHECKPOINT, A, BASE, 0), line=(A,)), "vda.qcow2")
    one = rebuilt(facts(deleted, on=overlay_of(A), bases={BASE: BASE_LAYER}))
    assert (one.checkpoints, one.layers) == ((), (BASE_LAYER,))
    assert one.head is not None
    assert (one.head.checkpoint_id, one.head.overlays) == (None, {"vda": overlay_of(A)})


def test_assemble_base_that_nothing_describes_gives_no_head() -> None:
    deleted = directory(replace(begun(A, OperationKind.CHECKPOINT, A, BASE, 0), line=(A,)), "vda.qcow2")
    one = rebuilt(facts(deleted, on=overlay_of(A)))
    assert (one.name, one.head, one.layers) == ("web01 at 0", None, ())
    assert assemble(facts(deleted)) == ([], [])


# --------------------------------------------------------------------------- what is left out


def test_assemble_checkpoint_without_memory_image_is_skipped() -> None:
    gone = replace(made(A), files=(file_facts(in_store(A, "manifest.json")),))
    seen = facts(gone, made(B, parent=A))
    assert reasons(seen) == {"a": "its memory image is missing"}
    assert [(each.name, each.parent_id) for each in assemble(seen)[0][0].checkpoints] == [("b", None)]


def test_assemble_checkpoint_without_a_layer_is_skipped() -> None:
    seen = facts(made(A), made(B, frozen(A), BASE_LAYER, parent=A), missing=frozenset({overlay_of(A)}))
    assert reasons(seen) == {"b": f"{overlay_of(A)} is missing"}
    assert names(seen) == ["a"]
    assert names(facts(made(A), missing=frozenset({BASE}))) == []


def test_a_block_device_is_not_missed() -> None:
    device = device_layer("/dev/vg/web01", mtime=None)
    assert names(facts(made(A, device))) == ["a"]
    assert names(facts(made(A, device), missing=frozenset({"/dev/vg/web01"}))) == ["a"]


@pytest.mark.parametrize("xml", [None, "", "<network/>", XML.replace("web01", "web02")])
def test_with_the_memory_image_of_another(xml: str | None) -> None:
    seen = facts(made(A), saved_xml={in_store(A, "memory.save"): xml})
    assert reasons(seen) == {"a": "its memory image is of another domain"}


def test_assemble_several_checkpoints_of_one_name_newest_wins() -> None:
    seen = facts(made(A, name="x", minute=1), made(B, name="x", minute=2), made(C, name="x"))
    assert reasons(seen) == {"a": "a newer checkpoint has the same name", "c": "a newer checkpoint has the same name"}
    assert [each.id for each in assemble(seen)[0][0].checkpoints] == [B]


def test_assemble_directory_without_manifest_is_skipped() -> None:
    unmarked = directory(None, "memory.save", operation_id=A, problem="is missing")
    assert reasons(facts(unmarked)) == {"a": "its manifest is missing"}


def test_a_memory_image_of_no_recorded_checkpoint_is_pointed_out() -> None:
    """It may be all there is of a guest that was being checkpointed."""
    unfinished = directory(begun(A, OperationKind.CHECKPOINT, A, BASE, 0), "memory.save", "vda.qcow2")
    assert reasons(facts(unfinished)) == {"a": f"no manifest describes a checkpoint for {in_store(A, 'memory.save')}"}
    assert reasons(facts(rolled_back(A, BASE))) == {}


# --------------------------------------------------------------------------- manifests that contradict one another


def test_parents_in_a_circle_are_cut() -> None:
    one = rebuilt(facts(made(A, parent=C), made(B, parent=A), made(C, parent=B), made(R, parent=R)))
    parents = {each.id: each.parent_id for each in one.checkpoints}
    seen: list[str] = []
    for each in one.checkpoints:
        assert each.parent_id is None or each.parent_id in seen
        seen.append(each.id)
    assert sorted(parents) == [A, B, C, R]
    assert sum(parent is not None for parent in parents.values()) == 2


def test_the_older_record_of_a_layer_counts() -> None:
    lie = replace(BASE_LAYER, physical=1)
    one = rebuilt(facts(made(B, lie, minute=5), made(A)))
    assert one.layers == (BASE_LAYER,)


def test_assemble_contradicting_records_make_no_cycle() -> None:
    up, down = frozen(A), frozen(B, backing=overlay_of(A))
    turned = replace(up, backing=overlay_of(B)), replace(down, backing=None)
    one = rebuilt(facts(made(A, up, BASE_LAYER), made(B, down, up, BASE_LAYER, minute=1), made(C, *turned, minute=2)))
    backing = {each.path: each.backing for each in one.layers}
    path: str | None = overlay_of(B)
    for _ in backing:
        path = backing[path] if path else None
    assert path is None


def test_assemble_empty_store_gives_nothing() -> None:
    assert assemble(facts()) == ([], [])
    assert Rebuilt(checkpoints=(), headless=(), skipped=())
