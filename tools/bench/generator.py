"""Catalogs with thousands of checkpoints, as if operations had made them: rows only, no files.

Each domain has a tree of up to `PER_DOMAIN` checkpoints. Its first froze the domain's own disks,
every other one overlays on what its parent froze. The journal has the operation of each.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from posixpath import basename, dirname, join
from uuid import NAMESPACE_DNS, uuid5

from sqlalchemy import select

from orchestrator.catalog import open_catalog, owner_process, rows
from orchestrator.catalog.database import Database
from orchestrator.catalog.tables import (
    ArtifactRow,
    Base,
    CheckpointRow,
    DocumentRow,
    DomainRow,
    HeadDiskRow,
    HeadRow,
    HostRow,
    LayerRow,
    MemberRow,
    OperationRow,
    TagRow,
)
from orchestrator.model import (
    CaptureMode,
    Checkpoint,
    CheckpointDisk,
    CheckpointState,
    Device,
    Direction,
    Host,
    Labels,
    Layer,
    MemoryImage,
    OperationKind,
    OperationState,
    Origin,
)
from orchestrator.store.layout import memory_path, operation_directory

PER_DOMAIN = 100
BRANCH_EVERY = 10
"""So many checkpoints after one another; the next one hangs on one from half way back."""

STORE = "/var/lib/libvirt/images/snapctl"
DISKS = ("vda", "vdb")
DOMAIN_XML = f"<domain>{' ' * 4000}</domain>"  # as long as that of a guest with a few devices
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)

_TABLES: tuple[type[Base], ...] = (
    *(HostRow, DomainRow, OperationRow, MemberRow, LayerRow),
    *(CheckpointRow, DocumentRow, ArtifactRow, TagRow, HeadRow, HeadDiskRow),
)
"""Each after those that its rows refer to."""


def fill(url: str, host: Host, checkpoints: int) -> None:
    """Make a catalog at `url`, and put that many checkpoints of domains of `host` in it."""
    made = _Rows(host)
    for first in range(0, checkpoints, PER_DOMAIN):
        name = f"guest{first // PER_DOMAIN:03}"
        made.add_head(name, made.add_domain(name, uuid_of(name), min(PER_DOMAIN, checkpoints - first)))
    _save(url, host, made)


def fill_one(url: str, host: Host, checkpoints: int, *, name: str, uuid: str) -> None:
    """Make a catalog at `url` with so many checkpoints of that domain; it stands on none of them."""
    made = _Rows(host)
    made.add_domain(name, uuid, checkpoints)
    _save(url, host, made)


def adopt(url: str, store: str) -> None:
    """Let all catalogued layers in the store pass for ones that an operation made: that of their directory."""
    database = Database(url)
    try:
        with database.write() as session:
            for layer in session.scalars(select(LayerRow).where(LayerRow.path.startswith(f"{store}/"))):
                layer.operation_id = basename(dirname(layer.path))
    finally:
        database.close()


def _save(url: str, host: Host, made: _Rows) -> None:
    open_catalog(url, host).close_connection()
    database = Database(url)
    try:
        with database.write() as session:
            for table in _TABLES:
                session.bulk_save_objects(made.of[table])
    finally:
        database.close()


# --------------------------------------------------------------------------- values


def tree(host: Host, domain: str, uuid: str, size: int) -> Iterator[Checkpoint]:
    """The checkpoints of a domain, each after its parent."""
    made: list[Checkpoint] = []
    for number in range(size):
        made.append(_checkpoint(host, domain, uuid, number, made[_parent(number)] if made else None))
        yield made[-1]


def _parent(number: int) -> int:
    return number // 2 if number % BRANCH_EVERY == 0 else number - 1


def _checkpoint(host: Host, domain: str, uuid: str, number: int, parent: Checkpoint | None) -> Checkpoint:
    id_ = uuid_of(f"{domain}/{number}")
    directory = operation_directory(STORE, uuid, id_)
    memory = MemoryImage(
        path=memory_path(directory),
        size=120_000_000,
        was_running=True,
        version=2,
        compression="raw",
        data_length=119_000_000,
        sha256="0" * 64,
    )
    return Checkpoint(
        id=id_,
        operation_id=id_,
        host_uuid=host.uuid,
        domain_uuid=uuid,
        domain_name=domain,
        parent_id=parent.id if parent else None,
        created=BEGAN + timedelta(minutes=number),
        mode=CaptureMode.SAVE,
        state=CheckpointState.READY,
        directory=directory,
        labels=Labels(name=f"state-{number:03}", tags=("generated",)),
        origin=Origin(
            domain_xml=DOMAIN_XML,
            persistent=True,
            machine="pc",
            cpu="",
            emulator="/usr/bin/qemu-system-x86_64",
            qemu_version=host.qemu_version,
            libvirt_version=host.libvirt_version,
        ),
        memory=memory,
        disks=tuple(_disk(_layer(domain, uuid, id_, target, parent)) for target in DISKS),
    )


def _disk(layer: Layer) -> CheckpointDisk:
    return CheckpointDisk(
        target=layer.target, device=Device.DISK, readonly=False, path=layer.path, format=layer.format, layer=layer
    )


def _layer(domain: str, uuid: str, made_by: str, target: str, below: Checkpoint | None) -> Layer:
    """An overlay on what the checkpoint `below` froze; without one, the domain's own disk."""
    directory = operation_directory(STORE, uuid, made_by) if below else "/var/lib/libvirt/images"
    return Layer(
        path=join(directory, f"{target}.qcow2" if below else f"{domain}-{target}.qcow2"),
        target=target,
        format="qcow2",
        capacity=1 << 30,
        backing=below.layers[target].path if below else None,
        operation_id=made_by if below else None,
        physical=4_000_000,
        allocation=4_000_000,
        mtime="1767225600.000000000",
    )


def uuid_of(name: str) -> str:
    """The same for the same name: of a domain, or of what is named after one."""
    return str(uuid5(NAMESPACE_DNS, name))


# --------------------------------------------------------------------------- rows


class _Rows:
    """Rows by table."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._layer_ids: dict[str, int] = {}  # by path
        self.of: dict[type[Base], list[Base]] = defaultdict(list)
        self._add(HostRow(uuid=host.uuid, name=host.name, uri=host.uri))

    def add_domain(self, name: str, uuid: str, size: int) -> Checkpoint:
        """A domain with its checkpoints; returns the last one."""
        place = {"host_uuid": self.host.uuid, "domain_uuid": uuid}
        self._add(DomainRow(host_uuid=self.host.uuid, uuid=uuid, name=name, seen=rows.timestamp(BEGAN)))
        for checkpoint in tree(self.host, name, uuid, size):
            self._add_checkpoint(place, checkpoint)
        return checkpoint

    def add_head(self, name: str, checkpoint: Checkpoint) -> None:
        """The checkpoint's domain stands on it."""
        uuid = checkpoint.domain_uuid
        place = {"host_uuid": self.host.uuid, "domain_uuid": uuid}
        self._add(HeadRow(**place, checkpoint_id=checkpoint.id))
        for target in DISKS:
            layer_id = self._add_layer(place, _layer(name, uuid, uuid_of(f"{name}/head"), target, checkpoint))
            self._add(HeadDiskRow(**place, target=target, layer_id=layer_id))

    def _add_checkpoint(self, place: dict[str, str], checkpoint: Checkpoint) -> None:
        self._add_operation(place, checkpoint)
        self._add(rows.checkpoint_row(checkpoint))
        self._add(rows.document_row(checkpoint))
        frozen = {layer.path: self._add_layer(place, layer) for layer in checkpoint.layers.values()}
        for artifact in rows.artifact_rows(checkpoint, frozen):
            self._add(artifact)
        for position, tag in enumerate(checkpoint.labels.tags):
            self._add(TagRow(checkpoint_id=checkpoint.id, tag=tag, position=position))

    def _add_operation(self, place: dict[str, str], checkpoint: Checkpoint) -> None:
        """Its row in the journal: done, with the plan as long as plans are."""
        time = rows.timestamp(checkpoint.created)
        self._add(
            OperationRow(
                **rows.owner_columns(owner_process.this_process()),
                id=checkpoint.id,
                kind=OperationKind.CHECKPOINT,
                host_uuid=place["host_uuid"],
                state=OperationState.DONE,
                version=1,
                decision=Direction.FORWARD,
                token=1,
                opened=time,
                lease_until=time,
                closed=time,
            )
        )
        self._add(
            MemberRow(
                **place,
                operation_id=checkpoint.id,
                position=0,
                open=False,
                step="hashed",
                completed=rows.json(["hashed"]),
                plan=rows.json({"domain_xml": DOMAIN_XML}),
                results=rows.json({}),
            )
        )

    def _add_layer(self, place: dict[str, str], layer: Layer) -> int:
        id_ = self._layer_ids[layer.path] = len(self._layer_ids) + 1
        values = {
            name: getattr(layer, name) for name in ("path", "target", "format", "capacity", "kind", "operation_id")
        }
        facts = {name: getattr(layer, name) for name in ("physical", "allocation", "mtime")}
        below = self._layer_ids[layer.backing] if layer.backing is not None else None
        self._add(LayerRow(**place, **values, **facts, id=id_, backing_id=below))
        return id_

    def _add(self, row: Base) -> None:
        self.of[type(row)].append(row)
