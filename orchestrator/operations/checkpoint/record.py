"""A checkpoint as the catalog records it, put together from its plan and from the evidence of its steps."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from ...model import (
    Chain,
    Checkpoint,
    CheckpointDisk,
    CheckpointState,
    Disk,
    FileInfo,
    Layer,
    LayerKind,
    MemoryImage,
    Source,
)
from ...ports import Catalog, Hypervisor
from .plan import CheckpointPlan


def checkpoint(plan: CheckpointPlan, evidence: Mapping[str, Any], catalog: Catalog) -> Checkpoint:
    """`evidence` is that of the capture: time, memory image if any, and the file information of the frozen layers."""
    frozen = msgspec.convert(evidence["frozen"], dict[str, FileInfo | None])
    return Checkpoint(
        id=plan.checkpoint_id,
        operation_id=plan.operation_id,
        host_uuid=plan.host.uuid,
        domain_uuid=plan.domain_uuid,
        domain_name=plan.domain_name,
        parent_id=plan.parent_id,
        created=datetime.fromisoformat(evidence["created"]),
        mode=plan.mode,
        state=CheckpointState.READY,
        directory=plan.directory,
        labels=plan.labels,
        origin=plan.origin,
        memory=msgspec.convert(evidence.get("memory"), MemoryImage | None),
        disks=tuple(_disk(plan, disk, frozen, catalog) for disk in plan.disks),
    )


def chains(plan: CheckpointPlan, checkpoint: Checkpoint, hypervisor: Hypervisor) -> list[Layer]:
    """The frozen layers, and what is below those that are the user's own: the catalog sees it for the first time."""
    layers = list(checkpoint.layers.values())
    for disk in plan.disks:
        if disk.writable and checkpoint.layers[disk.target].operation_id is None:
            layers += _below(disk, hypervisor)
    return layers


def _disk(plan: CheckpointPlan, disk: Disk, frozen: Mapping[str, FileInfo | None], catalog: Catalog) -> CheckpointDisk:
    return CheckpointDisk(
        target=disk.target,
        device=disk.device,
        readonly=disk.readonly,
        path=disk.path,
        format=disk.source.format if disk.source else None,
        source_type=disk.source_type,
        layer=_frozen_layer(plan, disk, disk.source, frozen[disk.target], catalog)
        if disk.writable and disk.source
        else None,
    )


def _frozen_layer(plan: CheckpointPlan, disk: Disk, source: Source, info: FileInfo | None, catalog: Catalog) -> Layer:
    known = catalog.layer(source.path)
    return _layer(
        disk.target,
        source,
        disk.backing[0].path if disk.backing else None,
        info,
        kind=LayerKind.BLOCK if disk.source_type == "block" else LayerKind.FILE,
        capacity={overlay.target: overlay.capacity for overlay in plan.overlays}[disk.target],
        operation_id=known.operation_id if known else None,
    )


def _below(disk: Disk, hypervisor: Hypervisor) -> list[Layer]:
    """The layers below a disk's own, as the running guest had them open."""
    layers = []
    for source, below in Chain(disk.backing).pairs():
        info = hypervisor.storage.stat(source.path)
        layers.append(
            _layer(
                disk.target,
                source,
                below.path if below else None,
                info,
                kind=LayerKind.FILE if info else LayerKind.BLOCK,
                capacity=info.capacity if info else 0,
                operation_id=None,
            )
        )
    return layers


def _layer(
    target: str,
    source: Source,
    backing: str | None,
    info: FileInfo | None,
    *,
    kind: LayerKind,
    capacity: int,
    operation_id: str | None,
) -> Layer:
    return Layer(
        path=source.path,
        target=target,
        format=source.format,
        capacity=capacity,
        kind=kind,
        backing=backing,
        operation_id=operation_id,
        physical=info.physical if info else None,
        allocation=info.allocation if info else None,
        mtime=info.mtime if info else None,
    )
