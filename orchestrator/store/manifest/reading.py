"""Bytes to a manifest. They are untrusted: another program may have written them.

They are bounded, their types are checked, and what they say must fit the directory that they were found
in: no file elsewhere can be passed off as made by snapctl.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from posixpath import dirname
from typing import TypeVar
from uuid import UUID

import msgspec

from ...errors import UsageError
from ...model import ArtifactKind, Checkpoint, CheckpointState, Layer, OperationKind, check_name, walk
from .. import layout
from ..layout import is_plain
from . import earlier
from .values import LONGEST, SCHEMA, Manifest, Record

T = TypeVar("T")

MAKE_CHECKPOINTS = (OperationKind.CHECKPOINT, OperationKind.KEEPING_ROLLBACK)
MAKE_OVERLAYS = (*MAKE_CHECKPOINTS, OperationKind.ROLLBACK)


class BadManifest(ValueError):
    """The bytes are not the manifest of the directory that they were found in. Says "has …" or "is …"."""


def decode(content: bytes, directory: str) -> Manifest:
    """The manifest found in `directory`. Raises `BadManifest`."""
    if len(content) > LONGEST:
        raise BadManifest(f"is longer than {LONGEST} bytes")
    schema = _decoded(_Schema, content).schema
    if schema == earlier.SCHEMA:
        manifest = earlier.today(_decoded(earlier.Manifest, content), directory)
        own = manifest.stands_on == manifest.operation_id  # which was the checkpoint's id, too
        _require(own == (manifest.kind is OperationKind.CHECKPOINT), "overlays that are backed by the wrong checkpoint")
    elif schema == SCHEMA:
        manifest = _decoded(Manifest, content)
    else:
        raise BadManifest(f"has schema {schema}, and this snapctl supports {SCHEMA}")
    _check_values(msgspec.to_builtins(manifest))
    _check_place(manifest, directory)
    _check_overlays(manifest, directory)
    _check_collapsed(manifest)
    if manifest.record is not None:
        _check_record(manifest, manifest.record, directory)
    return manifest


class _Schema(msgspec.Struct):
    schema: int


def _decoded(kind: type[T], content: bytes) -> T:
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.MsgspecError, UnicodeError, RecursionError, OverflowError, ValueError) as error:
        raise BadManifest(f"is not valid: {error}") from error


def _require(holds: bool, problem: str) -> None:
    if not holds:
        raise BadManifest(f"has {problem}")


def _check_values(value: object) -> None:
    """Numbers and texts that any database can hold."""
    for leaf in _leaves(value):
        if isinstance(leaf, str):
            _require("\0" not in leaf, "a text with a NUL character")
        elif isinstance(leaf, int):
            _require(0 <= leaf < 1 << 63, "a number out of range")


def _leaves(value: object) -> Iterator[object]:
    if isinstance(value, Mapping):
        for each in value.values():
            yield from _leaves(each)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for each in value:
            yield from _leaves(each)
    else:
        yield value


def _check_place(manifest: Manifest, directory: str) -> None:
    place = (layout.domain_of(directory), layout.operation_of(directory))
    _require((manifest.domain_uuid, manifest.operation_id) == place, "the ids of another directory")
    named = (*(manifest.line or ()), *([manifest.kept_id] if manifest.kept_id is not None else []))
    for identifier in (manifest.host_uuid, manifest.domain_uuid, manifest.operation_id, manifest.stands_on, *named):
        _require(is_uuid(identifier), "an id that is not a UUID")
    _require(manifest.created.tzinfo is not None, "a time without a time zone")
    _require(manifest.kind in MAKE_OVERLAYS, "the wrong kind of operation")
    _require(_stands_right(manifest), "overlays that are backed by the wrong checkpoint")


def _stands_right(manifest: Manifest) -> bool:
    """A checkpoint's overlays are backed by its own layers; those of a rollback by another one's."""
    if manifest.kind is OperationKind.CHECKPOINT:
        return manifest.record is None or manifest.stands_on == manifest.record.checkpoint.id
    return manifest.stands_on != manifest.operation_id


def _check_overlays(manifest: Manifest, directory: str) -> None:
    targets = {overlay.target for overlay in manifest.overlays}
    _require(len(targets) == len(manifest.overlays), "two overlays of one disk")
    for overlay in manifest.overlays:
        own = overlay.path == layout.overlay_path(directory, overlay.target) and dirname(overlay.path) == directory
        _require(own, "an overlay of another directory")
        _require(is_plain(overlay.path) and is_plain(overlay.backing), "a path that is not absolute and plain")


def _check_collapsed(manifest: Manifest) -> None:
    """They are of this directory, and say nothing that the catalog alone knows."""
    own = {overlay.path for overlay in manifest.overlays}
    for layer in manifest.collapsed:
        _require(layer.path in own and layer.operation_id == manifest.operation_id, "a layer of another directory")
        _require(layer.backing is None or is_plain(layer.backing), "a path that is not absolute and plain")
        _require(layer.rewritten_by is None, "a layer that is being rewritten")


def _check_record(manifest: Manifest, record: Record, directory: str) -> None:
    checkpoint = record.checkpoint
    own = (manifest.operation_id, manifest.host_uuid, manifest.domain_uuid)
    made = (checkpoint.operation_id, checkpoint.host_uuid, checkpoint.domain_uuid)
    _require(made == own and checkpoint.directory == directory, "the checkpoint of another directory")
    _require(all(map(is_uuid, (checkpoint.id, *(record.ancestors or ())))), "an id that is not a UUID")
    _require(manifest.kind in MAKE_CHECKPOINTS, "a checkpoint that its operation did not create")
    _require(checkpoint.created.tzinfo is not None, "a time without a time zone")
    _require(checkpoint.state is CheckpointState.READY, "a checkpoint that is not ready")
    has_xml = bool(checkpoint.origin.domain_xml)
    _require(checkpoint.memory is None or not has_xml, "a domain XML")
    _require(checkpoint.memory is not None or has_xml, "neither a memory image nor a domain XML")
    _check_own_files(manifest, checkpoint, directory)
    _check_names(checkpoint)
    _check_layers(record, layout.store_of(directory))


def _check_own_files(manifest: Manifest, checkpoint: Checkpoint, directory: str) -> None:
    for artifact in checkpoint.artifacts:
        if artifact.path in checkpoint.own_files:
            own = dirname(artifact.path) == directory and is_plain(artifact.path)
            what = "memory image" if artifact.kind is ArtifactKind.MEMORY else str(artifact.kind)
            _require(own, f"a {what} of another directory")
    kinds = {sidecar.kind for sidecar in checkpoint.sidecars}
    _require(kinds <= {ArtifactKind.SIDECAR}, "a sidecar of the wrong kind")
    others = [layout.manifest_path(directory), *(each.path for each in manifest.overlays)]
    files = [*checkpoint.own_files, *others]
    _require(len(set(files)) == len(files), "two files with the same name")


def _check_names(checkpoint: Checkpoint) -> None:
    try:
        for name in (checkpoint.name, *checkpoint.labels.tags):
            check_name(name, "checkpoint or tag")
    except UsageError as error:
        raise BadManifest(f"has an invalid name: {error.problem}") from error


def _check_layers(record: Record, store: str) -> None:
    layers = {layer.path: layer for layer in record.layers}
    _require(len(layers) == len(record.layers), "a layer twice")
    frozen = record.checkpoint.layers.values()
    _require(all(layers.get(layer.path) == layer for layer in frozen), "a frozen layer that is not among its layers")
    for layer in record.layers:
        _require(is_plain(layer.path), "a path that is not absolute and plain")
        _require(
            layer.operation_id is None or _is_made_by(layer, record.checkpoint.domain_uuid, store),
            "a layer that no operation on this domain created",
        )
        _require(layer.backing is None or layer.backing in layers, "a layer whose backing file is not among its layers")
    _check_chains(layers)


def _is_made_by(layer: Layer, domain_uuid: str, store: str) -> bool:
    """Whether a layer lies where the operation that it names would have made it."""
    identifier = layer.operation_id or ""
    return (
        is_uuid(identifier)
        and not layer.is_block
        and dirname(layer.path) == layout.operation_directory(store, domain_uuid, identifier)
    )


def _check_chains(layers: Mapping[str, Layer]) -> None:
    seen: set[str] = set()
    for path in layers:
        walked = list(walk(path, lambda each: layers[each].backing, seen))
        _require(not walked or layers[walked[-1]].backing not in walked, "a layer that is in its own backing chain")


def is_uuid(text: str) -> bool:
    """Whether it is a UUID written as libvirt and snapctl write it."""
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
