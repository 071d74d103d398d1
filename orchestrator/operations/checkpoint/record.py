"""A checkpoint as the catalog records it, put together from its plan and from the evidence of its steps."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from ...integrity.media import Medium
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
    is_device,
)
from ...ports import Catalog
from .frozen import changed
from .plan import CheckpointPlan

NO_MEDIUM = Medium(size=None, mtime=None, fingerprint=None)


def checkpoint(plan: CheckpointPlan, evidence: Mapping[str, Any], catalog: Catalog) -> Checkpoint:
    """`evidence` is that of the capture: time, memory image if any, and the file information of the frozen layers."""
    frozen = msgspec.convert(evidence["frozen"], dict[str, FileInfo | None])
    devices = msgspec.convert(evidence.get("devices", {}), dict[str, str | None])
    media = msgspec.convert(evidence.get("media", {}), dict[str, Medium])
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
        disks=tuple(_disk(plan, disk, frozen, devices, media, catalog) for disk in plan.disks),
    )


def chains(
    plan: CheckpointPlan,
    checkpoint: Checkpoint,
    below: Mapping[str, FileInfo | None],
    prints: Mapping[str, str | None],
    catalog: Catalog,
) -> list[Layer]:
    """The frozen layers, and what is `below` those whose chain the catalog does not have, or has otherwise, as one that
    was changed when no checkpoint relied on it. `prints`
    are the fingerprints of the block devices among that."""
    layers = list(checkpoint.layers.values())
    for disk in plan.disks:
        if not disk.writable:
            continue
        layer = checkpoint.layers[disk.target]
        known = catalog.chain(layer.path)
        is_as_planned = not known or layer.backing == _planned_backing(disk)
        is_another = known.paths != disk.chain.paths or changed(known.layers[1:], below, prints)
        if is_another and is_as_planned:
            layers += _below(disk, below, prints, catalog)
    return layers


def _planned_backing(disk: Disk) -> str | None:
    return disk.backing[0].path if disk.backing else None


def _backing(disk: Disk, info: FileInfo | None, known: Layer | None) -> str | None:
    """As it is: a layer that the catalog knows may have been flattened or pulled into since the plan was made."""
    return info.backing if info is not None and known is not None else _planned_backing(disk)


def _disk(
    plan: CheckpointPlan,
    disk: Disk,
    frozen: Mapping[str, FileInfo | None],
    devices: Mapping[str, str | None],
    media: Mapping[str, Medium],
    catalog: Catalog,
) -> CheckpointDisk:
    medium = media.get(disk.target, NO_MEDIUM)
    return CheckpointDisk(
        target=disk.target,
        device=disk.device,
        readonly=disk.readonly,
        path=disk.path,
        format=disk.source.format if disk.source else None,
        source_type=disk.source_type,
        layer=_frozen_layer(plan, disk, disk.source, frozen[disk.target], devices.get(disk.target), catalog)
        if disk.writable and disk.source
        else None,
        size=medium.size,
        mtime=medium.mtime,
        fingerprint=medium.fingerprint,
    )


def _frozen_layer(
    plan: CheckpointPlan,
    disk: Disk,
    source: Source,
    info: FileInfo | None,
    fingerprint: str | None,
    catalog: Catalog,
) -> Layer:
    known = catalog.layer(source.path)
    return _layer(
        disk.target,
        source,
        _backing(disk, info, known),
        info,
        kind=LayerKind.BLOCK if disk.source_type == "block" or is_device(source.path) else LayerKind.FILE,
        capacity={overlay.target: overlay.capacity for overlay in plan.overlays}[disk.target],
        operation_id=known.operation_id if known else None,
        fingerprint=fingerprint,
    )


def _below(
    disk: Disk, found: Mapping[str, FileInfo | None], prints: Mapping[str, str | None], catalog: Catalog
) -> list[Layer]:
    """The layers below a disk's own, as the running guest had them open."""
    layers = []
    for source, below in Chain(disk.backing).pairs():
        info, known = found.get(source.path), catalog.layer(source.path)
        is_block = info is None or is_device(source.path)
        layers.append(
            _layer(
                disk.target,
                source,
                below.path if below else None,
                None if is_block else info,
                kind=LayerKind.BLOCK if is_block else LayerKind.FILE,
                capacity=info.capacity if info else 0,
                operation_id=known.operation_id if known else None,
                fingerprint=prints.get(source.path),
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
    fingerprint: str | None,
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
        fingerprint=fingerprint,
    )
