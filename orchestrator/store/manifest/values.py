"""What a manifest says, and its bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from posixpath import join

import msgspec

from ...formats import imagexml
from ...model import Checkpoint, Layer, NewOverlay, OperationKind

NAME = "manifest.json"


SCHEMA = 1


LONGEST = 16 * 1024 * 1024
"""Bytes. Chains of 200 layers on each of 100 disks stay below it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A whole checkpoint. Its `domain_xml` is empty: that is in the memory image."""

    checkpoint: Checkpoint
    parent: str | None  # the parent's name
    layers: tuple[Layer, ...]  # the frozen layers and all below them, the user's own included
    definition_sha256: str  # `digest` of its domain XML

    @property
    def files(self) -> frozenset[str]:
        """All that the checkpoint cannot be without, but for block devices."""
        return frozenset(
            (self.checkpoint.memory.path, *(layer.path for layer in self.layers if layer.physical is not None))
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """`stands_on` is the checkpoint that the overlays are on top of."""

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
    collapsed: tuple[Layer, ...] = ()  # overlays here that others were pulled into: as they are since


def path_in(directory: str) -> str:
    return join(directory, NAME)


def with_checkpoint(
    begun: Manifest, checkpoint: Checkpoint, parent: str | None, chains: Iterable[Sequence[Layer]]
) -> Manifest:
    """The manifest once its checkpoint is whole; `chains` are its frozen layers, each with all below it."""
    return replace(
        begun,
        record=Record(
            checkpoint=replace(checkpoint, domain_xml="", damage=None),
            parent=parent,
            layers=tuple({layer.path: layer for chain in chains for layer in chain}.values()),
            definition_sha256=digest(checkpoint.domain_xml),
        ),
    )


def without_checkpoint(whole: Manifest) -> Manifest:
    """The manifest of a directory whose checkpoint was deleted, and some of whose overlays are still needed."""
    return replace(whole, record=None)


def with_collapsed(before: Manifest, layer: Layer) -> Manifest:
    """The manifest of a directory in which `layer` was rewritten."""
    others = (each for each in before.collapsed if each.path != layer.path)
    return replace(before, collapsed=(*others, layer))


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
