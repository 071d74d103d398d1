"""Bytes to a manifest. They are input, perhaps from a foreign pen.

They are bounded, their types are checked, and what they say must fit the directory that they were found
in: no file elsewhere can be passed off as made by snapctl.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from posixpath import basename, dirname, join, normpath
from typing import TypeVar
from uuid import UUID

import msgspec

from ...errors import UsageError
from ...model import Checkpoint, CheckpointState, Layer, OperationKind, check_name
from ..layout import operation_directory
from .values import LONGEST, SCHEMA, Manifest, Record, path_in

T = TypeVar("T")


class BadManifest(ValueError):
    """The bytes are not the manifest of the directory that they were found in. Says "has …" or "is …"."""


def decode(content: bytes, directory: str) -> Manifest:
    """The manifest found in `directory`. Raises `BadManifest`."""
    if len(content) > LONGEST:
        raise BadManifest(f"is longer than {LONGEST} bytes")
    schema = _decoded(_Schema, content).schema
    if schema != SCHEMA:
        raise BadManifest(f"has schema {schema}, and this snapctl knows {SCHEMA}")
    manifest = _decoded(Manifest, content)
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
        raise BadManifest(f"is not one: {error}") from error


def _require(holds: bool, problem: str) -> None:
    if not holds:
        raise BadManifest(f"has {problem}")


def _check_values(value: object) -> None:
    """Numbers and texts that any database can hold."""
    for leaf in _leaves(value):
        if isinstance(leaf, str):
            _require("\0" not in leaf, "a text with a NUL")
        elif isinstance(leaf, int):
            _require(0 <= leaf < 1 << 63, "a number out of bounds")


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
    place = (basename(dirname(directory)), basename(directory))
    _require((manifest.domain_uuid, manifest.operation_id) == place, "another directory's ids")
    for identifier in (manifest.host_uuid, manifest.domain_uuid, manifest.operation_id, manifest.stands_on):
        _require(is_uuid(identifier), "an id that is no UUID")
    _require(manifest.created.tzinfo is not None, "a time without a zone")
    _require(manifest.kind in (OperationKind.CHECKPOINT, OperationKind.ROLLBACK), "the wrong kind of operation")
    own = manifest.stands_on == manifest.operation_id
    _require(own == (manifest.kind is OperationKind.CHECKPOINT), "overlays that stand on the wrong checkpoint")


def _check_overlays(manifest: Manifest, directory: str) -> None:
    targets = {overlay.target for overlay in manifest.overlays}
    _require(len(targets) == len(manifest.overlays), "two overlays of one disk")
    for overlay in manifest.overlays:
        own = overlay.path == join(directory, f"{overlay.target}.qcow2") and dirname(overlay.path) == directory
        _require(own, "an overlay of another directory")
        _require(_is_plain(overlay.path) and _is_plain(overlay.backing), "a path that is not absolute and plain")


def _check_collapsed(manifest: Manifest) -> None:
    """They are of this directory, and say nothing that the catalog alone knows."""
    own = {overlay.path for overlay in manifest.overlays}
    for layer in manifest.collapsed:
        _require(layer.path in own and layer.operation_id == manifest.operation_id, "a layer of another directory")
        _require(layer.backing is None or _is_plain(layer.backing), "a path that is not absolute and plain")
        _require(layer.rewritten_by is None, "a layer that is being rewritten")


def _check_record(manifest: Manifest, record: Record, directory: str) -> None:
    checkpoint = record.checkpoint
    own = (manifest.operation_id, manifest.host_uuid, manifest.domain_uuid)
    _require((checkpoint.id, checkpoint.host_uuid, checkpoint.domain_uuid) == own, "another directory's checkpoint")
    _require(manifest.kind is OperationKind.CHECKPOINT, "a checkpoint that its operation did not make")
    _require(checkpoint.created.tzinfo is not None, "a time without a zone")
    _require(checkpoint.state is CheckpointState.READY, "a checkpoint that is not ready")
    _require(not checkpoint.domain_xml, "a domain XML")
    memory = checkpoint.memory.path
    _require(dirname(memory) == directory and _is_plain(memory), "a memory image of another directory")
    _require(memory not in {path_in(directory), *(each.path for each in manifest.overlays)}, "two files of one name")
    _check_names(checkpoint)
    _check_layers(record, dirname(dirname(directory)))


def _check_names(checkpoint: Checkpoint) -> None:
    try:
        for name in (checkpoint.name, *checkpoint.tags):
            check_name(name, "checkpoint or tag")
    except UsageError as error:
        raise BadManifest(f"has a wrong name: {error.problem}") from error


def _check_layers(record: Record, store: str) -> None:
    layers = {layer.path: layer for layer in record.layers}
    _require(len(layers) == len(record.layers), "a layer twice")
    frozen = record.checkpoint.layers.values()
    _require(all(layers.get(layer.path) == layer for layer in frozen), "a frozen layer that is not among its layers")
    for layer in record.layers:
        _require(_is_plain(layer.path), "a path that is not absolute and plain")
        _require(
            layer.operation_id is None or _is_made_by(layer, record.checkpoint.domain_uuid, store),
            "a layer that no operation on this domain made",
        )
        _require(layer.backing is None or layer.backing in layers, "a layer whose backing file is not among its layers")
    _check_chains(layers)


def _is_made_by(layer: Layer, domain_uuid: str, store: str) -> bool:
    """Whether a layer lies where the operation that it names would have made it."""
    identifier = layer.operation_id or ""
    return is_uuid(identifier) and dirname(layer.path) == operation_directory(store, domain_uuid, identifier)


def _check_chains(layers: Mapping[str, Layer]) -> None:
    ended: set[str] = set()  # layers below which all is well
    for path in layers:
        walked: set[str] = set()
        below: str | None = path
        while below is not None and below not in ended:
            _require(below not in walked, "a layer that stands on itself")
            walked.add(below)
            below = layers[below].backing
        ended |= walked


def _is_plain(path: str) -> bool:
    return path.startswith("/") and "/" + normpath(path).lstrip("/") == path


def is_uuid(text: str) -> bool:
    """Whether it is a UUID written as libvirt and snapctl write it."""
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
