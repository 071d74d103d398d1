"""Manifests of schema 1, which had no checkpoint without a memory image, as what they say today.

There an operation and its one checkpoint had the same id, the checkpoint's directory was where its memory
image is, and a layer of the user's own without a length lay on a block device.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from ...model import (
    CaptureMode,
    Checkpoint,
    CheckpointDisk,
    CheckpointState,
    Labels,
    Layer,
    LayerKind,
    MemoryImage,
    NewOverlay,
    OperationKind,
    Origin,
)
from . import values

SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointOfThen:
    id: str
    host_uuid: str
    domain_uuid: str
    domain_name: str
    name: str
    parent_id: str | None
    created: datetime
    mode: CaptureMode
    state: CheckpointState
    memory: MemoryImage
    disks: tuple[CheckpointDisk, ...]
    domain_xml: str
    persistent: bool
    machine: str
    cpu: str
    emulator: str
    qemu_version: str
    libvirt_version: str
    tags: tuple[str, ...] = ()
    description: str = ""
    damage: str | None = None
    expires: datetime | None = None
    protected: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordOfThen:
    checkpoint: CheckpointOfThen
    parent: str | None
    layers: tuple[Layer, ...]
    definition_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    schema: int
    host_uuid: str
    host_name: str
    domain_uuid: str
    domain_name: str
    operation_id: str
    kind: OperationKind
    created: datetime
    stands_on: str
    overlays: tuple[NewOverlay, ...]
    record: RecordOfThen | None = None
    collapsed: tuple[Layer, ...] = ()


def today(manifest: Manifest, directory: str) -> values.Manifest:
    """The manifest found in `directory` as one of the present schema. What it says is still to be checked."""
    return values.Manifest(
        host_uuid=manifest.host_uuid,
        host_name=manifest.host_name,
        domain_uuid=manifest.domain_uuid,
        domain_name=manifest.domain_name,
        operation_id=manifest.operation_id,
        kind=manifest.kind,
        created=manifest.created,
        stands_on=manifest.stands_on,
        overlays=manifest.overlays,
        record=_record(manifest.record, directory) if manifest.record is not None else None,
        collapsed=tuple(map(_layer, manifest.collapsed)),
    )


def _record(record: RecordOfThen, directory: str) -> values.Record:
    return values.Record(
        checkpoint=_checkpoint(record.checkpoint, directory),
        parent=record.parent,
        layers=tuple(map(_layer, record.layers)),
        definition_sha256=record.definition_sha256,
    )


def _checkpoint(then: CheckpointOfThen, directory: str) -> Checkpoint:
    return Checkpoint(
        **_same(then, "id", "host_uuid", "domain_uuid", "domain_name", "parent_id", "created", "mode", "state"),
        operation_id=then.id,
        directory=directory,
        labels=Labels(**_same(then, "name", "description", "tags", "expires", "protected")),
        origin=Origin(
            **_same(then, "domain_xml", "persistent", "machine", "cpu", "emulator", "qemu_version", "libvirt_version")
        ),
        memory=then.memory,
        disks=tuple(replace(disk, layer=_layer(disk.layer)) if disk.layer is not None else disk for disk in then.disks),
        damage=then.damage,
    )


def _same(then: CheckpointOfThen, *names: str) -> Mapping[str, Any]:
    """Fields that are called what they were."""
    return {name: getattr(then, name) for name in names}


def _layer(then: Layer) -> Layer:
    is_block = then.physical is None and then.operation_id is None
    return replace(then, kind=LayerKind.BLOCK) if is_block else then
