"""Values to fill a catalog with, and a small world that does what the operations do to it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import count

from orchestrator.catalog import SqlCatalog
from orchestrator.model import (
    CaptureMode,
    Checkpoint,
    CheckpointDisk,
    CheckpointState,
    Device,
    Head,
    Host,
    Labels,
    Layer,
    MemoryImage,
    OperationKind,
    OperationState,
    Origin,
)
from orchestrator.ports import OpenOperation

HOST = Host(uuid="host-1", name="hv1", uri="qemu:///system", libvirt_version="9.0.0", qemu_version="7.2.0")
NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)


def base(target: str = "vda", domain: str = "web") -> Layer:
    """A user's own file, as a checkpoint freezes it first."""
    return Layer(
        path=f"/images/{domain}-{target}.raw",
        target=target,
        format="raw",
        capacity=1 << 30,
        physical=1 << 30,
        allocation=4096,
        mtime="1.5",
    )


class World:
    """One domain of a catalog, with disks that have a base each; operations come with ids op1, op2, ..."""

    def __init__(self, catalog: SqlCatalog, name: str = "web", uuid: str = "dom-1", disks: Sequence[str] = ("vda",)):
        self.catalog = catalog
        self.name = name
        self.uuid = uuid
        self._numbers = count(1)
        self.tops: dict[str, Layer] = {target: base(target, name) for target in disks}
        self.current: str | None = None  # the checkpoint it stands on

    def open(self, kind: OperationKind = OperationKind.CHECKPOINT) -> OpenOperation:
        operation_id = f"{self.uuid}-op{next(self._numbers)}"
        return self.catalog.open_operation(
            operation_id=operation_id,
            kind=kind,
            domain_uuid=self.uuid,
            domain_name=self.name,
            plan={"why": "test"},
        )

    def close(self, lease: OpenOperation) -> None:
        lease.close(OperationState.DONE)

    def directory(self, operation_id: str) -> str:
        return f"/store/{self.uuid}/{operation_id}"

    def overlays(self, operation_id: str, on: Sequence[Layer]) -> list[Layer]:
        return [
            Layer(
                path=f"{self.directory(operation_id)}/{layer.target}.qcow2",
                target=layer.target,
                format="qcow2",
                capacity=layer.capacity,
                backing=layer.path,
                operation_id=operation_id,
            )
            for layer in on
        ]

    def head(self, overlays: Sequence[Layer], checkpoint_id: str | None) -> Head:
        return Head(
            host_uuid=HOST.uuid,
            domain_uuid=self.uuid,
            checkpoint_id=checkpoint_id,
            overlays={layer.target: layer.path for layer in overlays},
        )

    def value(self, lease: OpenOperation, name: str, tags: Sequence[str] = ()) -> Checkpoint:
        """The checkpoint that an operation would commit now: its frozen layers are the tops, with facts."""
        operation_id = lease.record.id
        frozen = [_frozen(layer) for layer in self.tops.values()]
        return Checkpoint(
            id=operation_id,
            operation_id=operation_id,
            host_uuid=HOST.uuid,
            domain_uuid=self.uuid,
            domain_name=self.name,
            parent_id=self.current,
            created=NOON + timedelta(seconds=int(operation_id.rpartition("op")[2])),
            mode=CaptureMode.SAVE,
            state=CheckpointState.READY,
            directory=self.directory(operation_id),
            labels=Labels(name=name, description="as installed", tags=tuple(tags)),
            origin=Origin(
                domain_xml="<domain/>",
                persistent=True,
                machine="pc-q35-7.2",
                cpu="<cpu mode='host-model'/>",
                emulator="/usr/bin/qemu-system-x86_64",
                qemu_version="7.2.0",
                libvirt_version="9.0.0",
            ),
            memory=MemoryImage(
                path=f"{self.directory(operation_id)}/memory.save",
                size=1000,
                was_running=True,
                version=2,
                compression="raw",
                data_length=900,
            ),
            disks=tuple(
                CheckpointDisk(
                    target=layer.target,
                    device=Device.DISK,
                    readonly=False,
                    path=layer.path,
                    format=layer.format,
                    layer=layer,
                )
                for layer in frozen
            ),
        )

    def checkpoint(self, name: str, tags: Sequence[str] = ()) -> Checkpoint:
        lease = self.open()
        made = self.value(lease, name, tags)
        overlays = self.overlays(made.id, list(made.layers.values()))
        lease.commit_checkpoint(made, list(made.layers.values()), self.head(overlays, made.id), overlays)
        lease.close()
        self.tops = {layer.target: layer for layer in overlays}
        self.current = made.id
        return made

    def rollback(self, to: Checkpoint) -> list[str]:
        """Returns the paths it discarded, after forgetting them."""
        lease = self.open(OperationKind.ROLLBACK)
        overlays = self.overlays(lease.record.id, list(to.layers.values()))
        discarded = lease.commit_rollback(self.head(overlays, to.id), overlays)
        lease.forget_layers(paths(discarded))
        lease.close()
        self.tops = {layer.target: layer for layer in overlays}
        self.current = to.id
        return paths(discarded)

    def delete(self, checkpoint: Checkpoint) -> list[str]:
        """Returns the paths it discarded, after forgetting them and the checkpoint."""
        return self.finish_delete(self.open(OperationKind.DELETE), checkpoint)

    def finish_delete(self, lease: OpenOperation, checkpoint: Checkpoint) -> list[str]:
        discarded = lease.hide_checkpoint(checkpoint.id)
        lease.forget_checkpoint(checkpoint.id)
        lease.forget_layers(paths(discarded))
        lease.close()
        if self.current == checkpoint.id:
            self.current = None
        return paths(discarded)


def paths(layers: Sequence[Layer]) -> list[str]:
    return [layer.path for layer in layers]


def _frozen(layer: Layer) -> Layer:
    """A top as it is when it freezes."""
    return Layer(
        path=layer.path,
        target=layer.target,
        format=layer.format,
        capacity=layer.capacity,
        backing=layer.backing,
        operation_id=layer.operation_id,
        physical=layer.physical or 2000,
        allocation=layer.allocation or 1500,
        mtime=layer.mtime or "2.25",
    )
