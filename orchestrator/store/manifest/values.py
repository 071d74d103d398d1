"""What a manifest says, and its bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import msgspec

from ...formats import imagexml
from ...model import Checkpoint, Layer, NewOverlay, OperationKind

SCHEMA = 2
"""Of the manifests that are written. `reading` knows the earlier ones, too."""

LONGEST = 16 * 1024 * 1024
"""Bytes. Chains of 200 layers on each of 100 disks stay below it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A whole checkpoint. Its domain XML is empty if it has a memory image: there it is."""

    checkpoint: Checkpoint
    parent: str | None  # the parent's name
    layers: tuple[Layer, ...]  # the frozen layers and all below them, the user's own included
    definition_sha256: str  # `digest` of its domain XML
    ancestors: tuple[str, ...] | None = None  # its parent first; None: not recorded, by earlier versions

    @property
    def files(self) -> frozenset[str]:
        """All that the checkpoint cannot be without, but for block devices."""
        return frozenset((*self.checkpoint.own_files, *(layer.path for layer in self.layers if layer.is_frozen_file)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """`stands_on` is the checkpoint that the overlays are on top of.

    `line` is what the head of a domain on them needs: its current checkpoint and the ancestors of that, nearest first,
    as they were when this was written. Checkpoints are only ever taken out of such a line, when they are deleted: the
    first of it that is left is the current one. Nor do the backing files tell, once a layer was flattened.
    None is what earlier versions wrote. `kept_id` is the checkpoint that an undo of the last rollback leads to.
    """

    schema: int = SCHEMA
    host_uuid: str
    host_name: str
    domain_uuid: str
    domain_name: str
    operation_id: str
    kind: OperationKind
    created: datetime
    stands_on: str
    overlays: tuple[NewOverlay, ...]
    record: Record | None = None
    collapsed: tuple[Layer, ...] = ()  # overlays here that absorbed others, as they are since
    line: tuple[str, ...] | None = None
    kept_id: str | None = None


def with_checkpoint(
    begun: Manifest,
    checkpoint: Checkpoint,
    parent: str | None,
    chains: Iterable[Iterable[Layer]],
    ancestors: Sequence[str] | None = None,
) -> Manifest:
    """The manifest once its checkpoint is whole; `chains` are its frozen layers, each with all below it."""
    origin = replace(checkpoint.origin, domain_xml="") if checkpoint.memory is not None else checkpoint.origin
    return replace(
        begun,
        record=Record(
            checkpoint=replace(checkpoint, origin=origin, damage=None),
            parent=parent,
            layers=tuple({layer.path: layer for chain in chains for layer in chain}.values()),
            definition_sha256=digest(checkpoint.origin.domain_xml),
            ancestors=tuple(ancestors) if ancestors is not None else None,
        ),
    )


def without_checkpoint(whole: Manifest) -> Manifest:
    """The manifest of a directory whose checkpoint was deleted, and some of whose overlays are still needed."""
    return replace(whole, record=None)


def with_collapsed(before: Manifest, layer: Layer) -> Manifest:
    """The manifest of a directory in which `layer` was rewritten."""
    others = (each for each in before.collapsed if each.path != layer.path)
    return replace(before, collapsed=(*others, layer))


def on_host(before: Manifest, host_uuid: str) -> Manifest:
    """The manifest as one of the host that is known under that UUID, whatever it was known under then."""
    record = before.record
    if record is not None:
        record = replace(record, checkpoint=replace(record.checkpoint, host_uuid=host_uuid))
    return replace(before, host_uuid=host_uuid, record=record)


def digest(domain_xml: str) -> str:
    """SHA-256 of what a domain XML says that must be the same in the XML that libvirt put into the memory image.

    Raises `HypervisorError` for what is no domain XML.
    """
    claims = imagexml.named(domain_xml).exact
    ordered = sorted((what, sorted(values)) for what, values in claims.items())
    return hashlib.sha256(msgspec.json.encode(ordered)).hexdigest()


def encode(manifest: Manifest) -> bytes:
    """The file: JSON to be read by people, too. The same manifest always gives the same bytes."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
