"""Revision 0005, the checkpoints' half: every kind of row that the schema before it could hold, up and down again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import text

from orchestrator.catalog import SqlCatalog, open_catalog
from orchestrator.catalog.database import Database
from orchestrator.catalog.schema import NEWEST
from orchestrator.model import (
    ArtifactKind,
    CaptureMode,
    Checkpoint,
    CheckpointState,
    Device,
    Layer,
    LayerKind,
    MemoryImage,
)

from .rows import HOST, rows_of
from .test_migrations import go_to


@pytest.fixture
def catalog(url: str, old_catalog: Database) -> Iterator[SqlCatalog]:
    """The same, upgraded."""
    go_to(old_catalog, NEWEST)
    catalog = open_catalog(url, HOST)
    yield catalog
    catalog.close_connection()


def _checkpoint(catalog: SqlCatalog, name: str) -> Checkpoint:
    found = catalog.checkpoint("d", name)
    assert found is not None
    return found


def test_everything_is_there_after_an_upgrade(catalog: SqlCatalog) -> None:
    first, second = _checkpoint(catalog, "first"), _checkpoint(catalog, "second")
    assert [(each.id, each.operation_id, each.directory) for each in (first, second)] == [
        ("a", "a", "/s/d/a"),
        ("b", "b", "/s/d/b"),
    ]
    assert (first.mode, first.state, first.damage) == (CaptureMode.SAVE, CheckpointState.READY, None)
    assert (first.labels.name, first.labels.description, first.labels.tags) == ("first", "text", ("y", "x"))
    assert (first.labels.expires, first.labels.protected) == (None, False)
    assert (first.origin.domain_xml, first.origin.cpu, first.origin.machine) == ("<domain/>", "<cpu/>", "pc")
    assert (first.origin.persistent, first.origin.emulator) == (True, "/qemu")
    assert (first.origin.qemu_version, first.origin.libvirt_version) == ("7", "9")
    assert first.memory == MemoryImage(
        path="/s/d/a/memory.save",
        size=5,
        was_running=True,
        version=2,
        compression="raw",
        data_length=4,
        sha256="ab",
    )
    assert [(each.kind, each.target, each.path, each.size, each.sha256) for each in second.artifacts] == [
        (ArtifactKind.MEMORY, None, "/s/d/b/memory.save", 6, None),
        (ArtifactKind.DISK, "vda", "/s/d/a/vda.qcow2", 5, "cd"),
        (ArtifactKind.DISK, "vdb", "/s/d/a/vdb.qcow2", 7, None),
    ]
    assert (second.unhashed, second.parent_id, second.damage) == (True, "a", "a layer is missing")
    assert (second.labels.protected, second.labels.expires is not None) == (True, True)
    assert second.memory is not None
    assert (second.memory.was_running, second.memory.compression) == (False, "gzip")
    assert [(each.target, each.device, each.readonly, each.path, each.file) for each in second.disks] == [
        ("vda", Device.DISK, False, "/s/d/a/vda.qcow2", None),
        ("sda", Device.CDROM, True, "/cd.iso", "/cd.iso"),
        ("vdb", Device.DISK, False, "/s/d/a/vdb.qcow2", None),
    ]
    assert [(each.target, each.path, each.layer is None) for each in first.disks] == [
        ("vda", "/base", False),
        ("sda", None, True),
        ("vdb", "/dev/vg/data", False),
    ]
    going = _checkpoint(catalog, "going")
    assert (going.state, going.layers) == (CheckpointState.DELETING, {})


def test_every_layer_knows_what_it_is_after_an_upgrade(catalog: SqlCatalog) -> None:
    def layer(path: str) -> Layer:
        found = catalog.layer(path)
        assert found is not None
        return found

    kinds = {path: layer(path).kind for path in ("/base", "/dev/vg/data", "/s/d/a/vda.qcow2", "/s/d/b/vda.qcow2")}
    assert [path for path, kind in kinds.items() if kind is LayerKind.BLOCK] == ["/dev/vg/data"]
    assert layer("/base").is_frozen_file and layer("/s/d/a/vda.qcow2").is_frozen_file
    assert layer("/s/d/b/vda.qcow2").is_active
    assert layer("/s/d/a/vdb.qcow2").rewritten_by == "op"
    assert catalog.chain("/s/d/b/vdb.qcow2").paths == ("/s/d/b/vdb.qcow2", "/s/d/a/vdb.qcow2", "/dev/vg/data")


def test_lists_and_questions_about_files_work_after_an_upgrade(catalog: SqlCatalog) -> None:
    assert [(each.name, each.state, each.memory_bytes) for each in catalog.summaries("d")] == [
        ("first", "ready", 5),
        ("second", "damaged", 6),
        ("going", "deleting", 7),
    ]
    assert catalog.known_paths("/s/d/a") == ["/s/d/a/memory.save", "/s/d/a/vda.qcow2", "/s/d/a/vdb.qcow2"]
    assert [each.name for each in catalog.relying_on("/base")] == ["first", "second"]
    assert [each.name for each in catalog.relying_on("/s/d/a/memory.save")] == ["first"]
    assert [each.name for each in catalog.relying_on("/cd.iso")] == ["second"]
    assert [(each.name, each.memory) for each in catalog.inventory("d").checkpoints] == [
        ("first", "/s/d/a/memory.save"),
        ("second", "/s/d/b/memory.save"),
        ("going", "/s/d/c/memory.save"),
    ]
    head = catalog.head("d")
    assert head is not None and (head.checkpoint_id, head.kept_id) == ("b", "a")


def test_downgrade_restores_all_rows(old_catalog: Database) -> None:
    before = rows_of(old_catalog)
    go_to(old_catalog, "0005")
    go_to(old_catalog, "0004")
    assert rows_of(old_catalog) == before


@pytest.mark.parametrize(
    "newer",
    [
        "DELETE FROM artifact WHERE checkpoint_id = 'a' AND kind = 'memory'",
        "UPDATE checkpoint SET operation_id = 'z' WHERE id = 'a'",
        "INSERT INTO artifact (checkpoint_id, position, kind, path) VALUES ('a', 9, 'sidecar', '/s/d/a/nvram.sidecar')",
    ],
    ids=["no memory image", "another operation", "a sidecar"],
)
def test_downgrade_values_unknown_to_older_schema_is_refused(old_catalog: Database, newer: str) -> None:
    go_to(old_catalog, "0005")
    with old_catalog.write() as session:
        session.execute(text(newer))
    before = rows_of(old_catalog)
    with pytest.raises(RuntimeError, match="no words for"):
        go_to(old_catalog, "0004")
    assert rows_of(old_catalog) == before
