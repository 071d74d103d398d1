"""Every kind of row that the schema before 0005 could hold, and what is in the tables of a catalog."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import inspect, text

from orchestrator.catalog.database import Database
from orchestrator.model import Host

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

OPENED = """
INSERT INTO operation (id, kind, host_uuid, domain_uuid, state, step, completed, plan, facts, token, owner_user,
  owner_host, owner_boot_id, owner_pid, owner_pid_start, opened, lease_until, closed)
VALUES ('open', 'checkpoint', 'h', 'd', 'open', 'prepared', '[]', '{}', '{}', 1, 'ann', 'desk', 'b', 1, '1',
  '2026-01-01T12:00:00.000000+00:00', '2099-01-01T12:00:00.000000+00:00', NULL)
"""
"""An operation that is open."""

LEFT = OPENED.replace("2099-", "2026-")
"""An open operation whose lease has run out."""
ELSEWHERE = """
INSERT INTO host VALUES ('gone', 'old-server', 'qemu:///system');
INSERT INTO domain VALUES ('gone', 'd', 'db', '2026-01-01T12:00:00.000000+00:00')""" + LEFT.replace(
    "INSERT", ";\nINSERT", 1
).replace("'open', 'checkpoint', 'h'", "'elsewhere', 'rollback', 'gone'")
"""Another one, on a host that is gone."""


@contextmanager
def make_old(url: str) -> Iterator[Database]:
    """A catalog of the schema before, with those rows."""
    database = Database(url, foreign_keys=False)
    try:
        database.make_file()
        go_to(database, "0004")
        execute(database, ROWS)
        yield database
    finally:
        database.close()


def execute(database: Database, statements: str) -> None:
    """In one transaction."""
    with database.write() as session:
        for statement in statements.split(";\n"):
            session.execute(text(statement.replace(":", r"\:")))


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
