"""All that today's catalog says, in the words of f92f7f5: what an upgrade must have carried over.

The JSON beside the fixtures was recorded by `fixtures/telling.py`, on the model of that commit. This is the one
place that knows how today's model differs from it.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from posixpath import dirname
from typing import Any

from sqlalchemy import select

from orchestrator.catalog import SqlCatalog, journal, layers, open_catalog
from orchestrator.catalog.database import Database
from orchestrator.catalog.tables import CheckpointRow, DomainRow, HostRow, LayerRow, OperationRow
from orchestrator.model import Checkpoint, CheckpointSummary, Direction, Head, Host, Layer, OperationRecord

Values = dict[str, Any]
Told = dict[str, list[Values]]
"""Values by what they are of: checkpoints, layers, ..."""

KEYS = {
    "hosts": ("uuid",),
    "domains": ("host_uuid", "uuid"),
    "checkpoints": ("id",),
    "summaries": ("id",),
    "heads": ("host_uuid", "domain_uuid"),
    "layers": ("host_uuid", "path"),
    "operations": ("id",),
}


def in_order(told: Told) -> Told:
    """Free of the order in which a database gives its rows."""
    return {
        what: sorted(values, key=lambda each, names=KEYS[what]: [each[name] for name in names])  # type: ignore[misc]
        for what, values in told.items()
    }


def tell(url: str) -> Told:
    """What a catalog of the newest schema says."""
    database = Database(url)
    with database.read() as session:
        hosts = [
            Host(uuid=row.uuid, name=row.name, uri=row.uri, libvirt_version="", qemu_version="")
            for row in session.scalars(select(HostRow))
        ]
        domains = [
            {"host_uuid": row.host_uuid, "uuid": row.uuid, "name": row.name, "seen": row.seen}
            for row in session.scalars(select(DomainRow))
        ]
        found_layers = [
            _layer(layers.find(session, row.host_uuid, row.path), row) for row in session.scalars(select(LayerRow))
        ]
        operations = [
            _operation(journal.get(session, row.id), row.closed) for row in session.scalars(select(OperationRow))
        ]
        ids = list(session.execute(select(CheckpointRow.host_uuid, CheckpointRow.id)))
    database.close()
    told: Told = {
        "hosts": [{"uuid": host.uuid, "name": host.name, "uri": host.uri} for host in hosts],
        "domains": domains,
        "checkpoints": [],
        "summaries": [],
        "heads": [],
        "layers": found_layers,
        "operations": operations,
    }
    for host in hosts:
        catalog = open_catalog(url, host)
        told["checkpoints"] += [_checkpoint(catalog, id_) for host_uuid, id_ in ids if host_uuid == host.uuid]
        told["summaries"] += [_summary(each) for each in catalog.summaries()]
        heads = [catalog.head(each["uuid"]) for each in domains if each["host_uuid"] == host.uuid]
        told["heads"] += [_head(head) for head in heads if head is not None]
        catalog.close_connection()
    return in_order(told)


# --------------------------------------------------------------------------- today's values in the words of f92f7f5


def _checkpoint(catalog: SqlCatalog, checkpoint_id: str) -> Values:
    found: Checkpoint | None = catalog.checkpoint_by_id(checkpoint_id)
    assert found is not None, checkpoint_id
    values = asdict(found)
    assert values.pop("operation_id") == values["id"]
    assert found.memory is not None and values.pop("directory") == dirname(found.memory.path)
    assert values.pop("sidecars") == ()
    assert values["memory"].pop("mtime") is None
    for disk in values["disks"]:
        assert [disk.pop(name) for name in ("size", "mtime", "fingerprint", "sha256")] == [None] * 4
        disk["layer"] = _without_kind(disk["layer"]) if disk["layer"] else None
    labels, origin = values.pop("labels"), values.pop("origin")
    return _fields({**values, **labels, **origin})


def _without_kind(layer: Values) -> Values:
    """What f92f7f5 said of a block device was that a file of the user's own had no length."""
    kind = layer.pop("kind")
    assert layer.pop("fingerprint") is None
    assert kind == ("block" if layer["physical"] is None and layer["operation_id"] is None else "file")
    return layer


def _summary(summary: CheckpointSummary) -> Values:
    return _fields(asdict(summary))


def _head(head: Head) -> Values:
    return _fields(asdict(head))


def _layer(layer: Layer | None, row: LayerRow) -> Values:
    assert layer is not None, row.path
    beside = {"host_uuid": row.host_uuid, "domain_uuid": row.domain_uuid, "discarded_by": row.discarded_by}
    return _fields({**_without_kind(asdict(layer)), **beside})


def _operation(operation: OperationRecord, closed: str | None) -> Values:
    """One of f92f7f5 has one member, and is decided as it was settled; an open one is not."""
    values = asdict(operation)
    (member,) = values.pop("members")
    member["facts"] = member.pop("results")
    decided = {"done": Direction.FORWARD, "undone": Direction.UNDO, "open": None}
    assert values.pop("decision") is decided[operation.state]
    assert values.pop("version") == 1
    assert values["owner"].pop("machine_id") == ""
    return _fields({**values, **member, "closed": closed})


def _fields(values: Values) -> Values:
    return {name: _plain(value) for name, value in values.items()}


def _plain(value: Any) -> Any:
    """As JSON has it."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.isoformat() if isinstance(value, datetime) else value
