"""Revision 0005, the checkpoints' half: every kind of row that the schema before it could hold, up and down again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import inspect, text

from orchestrator.catalog import SqlCatalog, open_catalog
from orchestrator.catalog.database import Database
from orchestrator.model import (
    ArtifactKind,
    CaptureMode,
    Checkpoint,
    CheckpointState,
    Device,
    Host,
    Layer,
    LayerKind,
    MemoryImage,
)

from ..unit import postgresql
from .test_migrations import go_to

HOST = Host(uuid="h", name="hv", uri="qemu:///system", libvirt_version="9.0.0", qemu_version="7.2.0")
ROWS = """
INSERT INTO host VALUES ('h', 'hv', 'qemu:///system');
INSERT INTO domain VALUES ('h', 'd', 'web', '2026-01-01T12:00:00.000000+00:00');
INSERT INTO operation (id, kind, host_uuid, domain_uuid, state, step, completed, plan, facts, token, owner_user,
  owner_host, owner_boot_id, owner_pid, owner_pid_start, opened, lease_until, closed)
VALUES ('op', 'collapse', 'h', 'd', 'done', 'removed', '[]', '{}', '{}', 1, 'ann', 'desk', 'b', 1, '1',
  '2026-01-01T12:00:00.000000+00:00', '2026-01-01T12:00:00.000000+00:00', '2026-01-01T12:00:00.000000+00:00');
-- the user's own file and block device; frozen overlays; two active ones; one that is gone soon
INSERT INTO layer (id, host_uuid, domain_uuid, path, target, format, capacity, backing_id, operation_id,
  physical, allocation, mtime, sha256, discarded_by, rewritten_by)
VALUES
  (1, 'h', 'd', '/base', 'vda', 'raw', 9, NULL, NULL, 1, 2, '3.4', NULL, NULL, NULL),
  (2, 'h', 'd', '/dev/vg/data', 'vdb', 'raw', 8, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
  (3, 'h', 'd', '/s/d/a/vda.qcow2', 'vda', 'qcow2', 9, 1, 'a', 5, 4, '5.6', 'cd', NULL, NULL),
  (4, 'h', 'd', '/s/d/a/vdb.qcow2', 'vdb', 'qcow2', 8, 2, 'a', 7, 6, '7.8', NULL, NULL, 'op'),
  (5, 'h', 'd', '/s/d/b/vda.qcow2', 'vda', 'qcow2', 9, 3, 'b', NULL, NULL, NULL, NULL, NULL, NULL),
  (6, 'h', 'd', '/s/d/b/vdb.qcow2', 'vdb', 'qcow2', 8, 4, 'b', NULL, NULL, NULL, NULL, NULL, NULL),
  (7, 'h', 'd', '/s/d/x/vda.qcow2', 'vda', 'qcow2', 9, 1, 'x', 3, 2, '1.2', NULL, 'op', NULL);
INSERT INTO checkpoint (id, host_uuid, domain_uuid, domain_name, name, parent_id, created, mode, state, description,
  persistent, machine, emulator, qemu_version, libvirt_version, memory_path, memory_size, memory_was_running,
  memory_version, memory_compression, memory_data_length, memory_sha256, damage, expires, protected)
VALUES
  ('a', 'h', 'd', 'web', 'first', NULL, '2026-01-01T12:00:00.000000+00:00', 'save', 'ready', 'text', true, 'pc',
    '/qemu', '7', '9', '/s/d/a/memory.save', 5, true, 2, 'raw', 4, 'ab', NULL, NULL, false),
  ('b', 'h', 'd', 'web', 'second', 'a', '2026-01-01T12:00:01.000000+00:00', 'save', 'ready', 'text', true, 'pc',
    '/qemu', '7', '9', '/s/d/b/memory.save', 6, false, 3, 'gzip', 5, NULL, 'a layer is missing',
    '2026-02-01T12:00:00.000000+00:00', true),
  ('c', 'h', 'd', 'web', 'going', 'b', '2026-01-01T12:00:02.000000+00:00', 'save', 'deleting', 'text', true, 'pc',
    '/qemu', '7', '9', '/s/d/c/memory.save', 7, true, 2, 'raw', 6, 'ef', NULL, NULL, false);
INSERT INTO checkpoint_document VALUES ('a', '<cpu/>', '<domain/>'), ('b', '', '<domain/>'), ('c', '', '<domain/>');
INSERT INTO checkpoint_tag VALUES ('a', 'x', 1), ('a', 'y', 0);
-- the layer of the last one was forgotten before it
INSERT INTO checkpoint_disk (checkpoint_id, target, position, device, readonly, path, format, source_type, layer_id)
VALUES
  ('a', 'vda', 0, 'disk', false, '/base', 'raw', 'file', 1),
  ('a', 'sda', 1, 'cdrom', true, NULL, NULL, 'file', NULL),
  ('a', 'vdb', 2, 'disk', false, '/dev/vg/data', 'raw', 'block', 2),
  ('b', 'vda', 0, 'disk', false, '/s/d/a/vda.qcow2', 'qcow2', 'file', 3),
  ('b', 'sda', 1, 'cdrom', true, '/cd.iso', 'raw', 'file', NULL),
  ('b', 'vdb', 2, 'disk', false, '/s/d/a/vdb.qcow2', 'qcow2', 'file', 4),
  ('c', 'vda', 0, 'disk', false, '/s/d/x/vda.qcow2', 'qcow2', 'file', NULL);
INSERT INTO head (host_uuid, domain_uuid, checkpoint_id, kept_id) VALUES ('h', 'd', 'b', 'a');
INSERT INTO head_disk VALUES ('h', 'd', 'vda', 5), ('h', 'd', 'vdb', 6)
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/catalog.db"
        return
    binaries = postgresql.programs()
    if binaries is None:
        pytest.skip("this machine has no PostgreSQL: apt-get install postgresql")
    with postgresql.server(binaries) as url:
        yield url


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    """Of the schema before, with all those rows."""
    database = Database(url, foreign_keys=False)
    database.make_file()
    go_to(database, "0004")
    with database.write() as session:
        for statement in ROWS.split(";\n"):
            session.execute(text(statement.replace(":", r"\:")))
    yield database
    database.close()


@pytest.fixture
def catalog(url: str, database: Database) -> Iterator[SqlCatalog]:
    """The same, upgraded."""
    go_to(database, "0005")
    catalog = open_catalog(url, HOST)
    yield catalog
    catalog.close_connection()


def rows_of(database: Database) -> dict[str, list[str]]:
    """All that is in the tables, free of the order of rows and columns."""
    with database.read() as session:
        names = set(inspect(session.connection()).get_table_names()) - {"alembic_version"}
        return {
            name: sorted(
                str(sorted(row.items()))
                for row in session.execute(text(f"SELECT * FROM {name}")).mappings()  # noqa: S608 - our own names
            )
            for name in names
        }


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
    assert [(each.name, each.memory) for each in catalog.holdings("d").checkpoints] == [
        ("first", "/s/d/a/memory.save"),
        ("second", "/s/d/b/memory.save"),
        ("going", "/s/d/c/memory.save"),
    ]
    head = catalog.head("d")
    assert head is not None and (head.checkpoint_id, head.kept_id) == ("b", "a")


def test_down_again_everything_is_as_it_was(database: Database) -> None:
    before = rows_of(database)
    go_to(database, "0005")
    go_to(database, "0004")
    assert rows_of(database) == before


@pytest.mark.parametrize(
    "newer",
    [
        "DELETE FROM artifact WHERE checkpoint_id = 'a' AND kind = 'memory'",
        "UPDATE checkpoint SET operation_id = 'z' WHERE id = 'a'",
        "INSERT INTO artifact (checkpoint_id, position, kind, path) VALUES ('a', 9, 'sidecar', '/s/d/a/nvram.sidecar')",
    ],
    ids=["no memory image", "another operation", "a sidecar"],
)
def test_what_the_older_schema_cannot_say_keeps_it_from_going_down(database: Database, newer: str) -> None:
    go_to(database, "0005")
    with database.write() as session:
        session.execute(text(newer))
    before = rows_of(database)
    with pytest.raises(RuntimeError, match="no words for"):
        go_to(database, "0004")
    assert rows_of(database) == before
