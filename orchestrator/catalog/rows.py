"""Rows to the model's values and back. The catalog is input: no row is believed unseen.

Every value that leaves the catalog is checked against the model's types (msgspec): a wrong enum,
number, time or JSON text raises `CatalogError` and names the row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

import msgspec

from ..errors import CatalogError
from ..model import (
    Artifact,
    ArtifactKind,
    Checkpoint,
    CheckpointDisk,
    CheckpointState,
    CheckpointSummary,
    Head,
    Labels,
    Layer,
    LayerKind,
    MemberRecord,
    MemoryImage,
    OperationRecord,
    Origin,
    Owner,
    shown_state,
)
from ..store.layout import is_directory_of, is_made_by
from .tables import ArtifactRow, CheckpointRow, DocumentRow, HeadRow, LayerRow, MemberRow, OperationRow

T = TypeVar("T")

_Instant: Any = Annotated[datetime, msgspec.Meta(tz=True)]


def timestamp(time: datetime) -> str:
    """RFC 3339, UTC, of fixed width, so that text sorts as the times do."""
    return time.astimezone(UTC).isoformat(timespec="microseconds")


def instant(what: str, text: str) -> datetime:
    """The time that `timestamp` wrote. Raises `CatalogError` naming `what` when it is none, or has no zone."""
    try:
        time: datetime = msgspec.convert(text, _Instant)
    except msgspec.ValidationError as error:
        raise _damaged(what, error) from error
    return time


def _instant_or_none(what: str, text: str | None) -> datetime | None:
    return instant(what, text) if text is not None else None


def json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def checked(kind: type[T], what: str, value: object) -> T:
    """`value` as a `kind`. Raises `CatalogError` naming `what` when it is none."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise _damaged(what, error) from error


def parsed(kind: type[T], what: str, text: str) -> T:
    """The `kind` that the JSON `text` holds."""
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, TypeError, UnicodeError) as error:
        raise _damaged(what, error) from error


def _check_place(what: str, path: object, domain_uuid: str, operation_id: str) -> None:
    """No other file may pass for one of ours: those are deleted some day."""
    if not is_made_by(path, domain_uuid, operation_id):
        raise _damaged(what, ValueError(f"{path!r} is not a path that snapctl gives a file"))


def _damaged(what: str, error: Exception) -> CatalogError:
    return CatalogError(
        f"the catalog's row of {what} is damaged: {error}",
        effect="it was not used",
        hint="restore the catalog from a backup",
    )


# --------------------------------------------------------------------------- layers


def layer(row: LayerRow, backing: str | None) -> Layer:
    return checked(Layer, f"layer {row.path}", _layer(row, backing))


def _layer(row: LayerRow, backing: str | None) -> dict[str, Any]:
    if row.operation_id is not None:
        _check_place(f"layer {row.path}", row.path, row.domain_uuid, row.operation_id)
        if row.kind != LayerKind.FILE:
            raise _damaged(f"layer {row.path}", ValueError("snapctl creates only files"))
    return {
        "path": row.path,
        "target": row.target,
        "format": row.format,
        "capacity": row.capacity,
        "kind": row.kind,
        "backing": backing,
        "operation_id": row.operation_id,
        "physical": row.physical,
        "allocation": row.allocation,
        "mtime": row.mtime,
        "fingerprint": row.fingerprint,
        "sha256": row.sha256,
        "rewritten_by": row.rewritten_by,
    }


# --------------------------------------------------------------------------- checkpoints

_SAME = (
    "id",
    "operation_id",
    "host_uuid",
    "domain_uuid",
    "domain_name",
    "parent_id",
    "mode",
    "state",
    "directory",
    "damage",
)
_LABELS = ("name", "description", "protected")
_ORIGIN = ("persistent", "machine", "emulator", "qemu_version", "libvirt_version")
"""Columns that bear the name of the field they hold: of a checkpoint, its labels and its origin."""

_STATES = frozenset(CheckpointState)

_ARTIFACT = ("kind", "target", "path", "format", "size", "sha256")
_DISK = ("target", "device", "readonly", "path", "format", "source_type", "size", "mtime", "fingerprint", "sha256")
_MEMORY = ("path", "size", "was_running", "version", "data_length", "sha256", "mtime")


def checkpoint_row(checkpoint: Checkpoint) -> CheckpointRow:
    expires = checkpoint.labels.expires
    return CheckpointRow(
        created=timestamp(checkpoint.created),
        expires=timestamp(expires) if expires else None,
        **{name: getattr(checkpoint, name) for name in _SAME},
        **{name: getattr(checkpoint.labels, name) for name in _LABELS},
        **{name: getattr(checkpoint.origin, name) for name in _ORIGIN},
    )


def document_row(checkpoint: Checkpoint) -> DocumentRow:
    origin = checkpoint.origin
    return DocumentRow(checkpoint_id=checkpoint.id, cpu=origin.cpu, domain_xml=origin.domain_xml)


def artifact_rows(checkpoint: Checkpoint, layer_ids: Mapping[str, int]) -> Iterator[ArtifactRow]:
    """`layer_ids` are those of the frozen layers, by path."""
    columns = [
        *([_memory_columns(checkpoint.memory)] if checkpoint.memory is not None else []),
        *(_disk_columns(disk, layer_ids) for disk in checkpoint.disks),
        *(_values(each, _ARTIFACT) for each in checkpoint.sidecars),
    ]
    for position, each in enumerate(columns):
        yield ArtifactRow(checkpoint_id=checkpoint.id, position=position, **each)


def _memory_columns(memory: MemoryImage) -> dict[str, Any]:
    return {"kind": ArtifactKind.MEMORY, "format": memory.compression, **_values(memory, _MEMORY)}


def _disk_columns(disk: CheckpointDisk, layer_ids: Mapping[str, int]) -> dict[str, Any]:
    layer_id = layer_ids[disk.layer.path] if disk.layer is not None else None
    return {"kind": ArtifactKind.DISK, "layer_id": layer_id, **_values(disk, _DISK)}


def _values(of: object, names: Iterable[str]) -> dict[str, Any]:
    return {name: getattr(of, name) for name in names}


def checkpoint(
    row: CheckpointRow,
    document: DocumentRow,
    tags: Sequence[str],
    artifacts: Sequence[tuple[ArtifactRow, LayerRow | None, str | None]],
) -> Checkpoint:
    what = f"checkpoint {row.id}"
    if not is_directory_of(row.directory, row.domain_uuid, row.operation_id):
        raise _damaged(what, ValueError(f"{row.directory!r} is not a path that snapctl gives a directory"))
    by_kind: dict[str, list[tuple[ArtifactRow, LayerRow | None, str | None]]] = {kind: [] for kind in ArtifactKind}
    for each in artifacts:
        by_kind.setdefault(each[0].kind, []).append(each)
    if unknown := by_kind.keys() - set(ArtifactKind):
        raise _damaged(what, ValueError(f"{min(unknown)!r} is not a kind of artifact"))
    memory = [_memory(what, row, image) for image, *_ in by_kind[ArtifactKind.MEMORY]]
    if len(memory) > 1:
        raise _damaged(what, ValueError("it has two memory images"))
    labels = {"tags": tags, "expires": _instant_or_none(what, row.expires), **_values(row, _LABELS)}
    origin = {"cpu": document.cpu, "domain_xml": document.domain_xml, **_values(row, _ORIGIN)}
    values = _values(row, _SAME) | {
        "created": instant(what, row.created),
        "labels": checked(Labels, what, labels),
        "origin": checked(Origin, what, origin),
        "memory": memory[0] if memory else None,
        "disks": [_disk(*disk) for disk in by_kind[ArtifactKind.DISK]],
        "sidecars": [_sidecar(what, row, each) for each, *_ in by_kind[ArtifactKind.SIDECAR]],
    }
    return checked(Checkpoint, what, values)


def _memory(what: str, row: CheckpointRow, image: ArtifactRow) -> MemoryImage:
    _check_place(what, image.path, row.domain_uuid, row.operation_id)
    return checked(MemoryImage, what, {"compression": image.format, **_values(image, _MEMORY)})


def _sidecar(what: str, row: CheckpointRow, artifact: ArtifactRow) -> Artifact:
    _check_place(what, artifact.path, row.domain_uuid, row.operation_id)
    return checked(Artifact, what, _values(artifact, _ARTIFACT))


def _disk(row: ArtifactRow, layer: LayerRow | None, backing: str | None) -> dict[str, Any]:
    return {**_values(row, _DISK), "layer": _layer(layer, backing) if layer else None}


def summary(columns: Mapping[str, Any], tags: Sequence[str], kept_bytes: int) -> CheckpointSummary:
    """From columns named as the fields, `unhashed` and `damage`; `kept_bytes` are those of layers it alone keeps."""
    what, state = f"checkpoint {columns['id']}", columns["state"]
    if state not in _STATES:
        raise _damaged(what, ValueError(f"{state!r} is not a state"))
    state = shown_state(CheckpointState(state), columns["damage"], bool(columns["unhashed"]))
    values = {**columns, "created": instant(what, columns["created"]), "state": state, "tags": tags}
    values["expires"] = _instant_or_none(what, columns["expires"])
    memory = columns["memory_bytes"]
    values["exclusive_bytes"] = memory + kept_bytes if isinstance(memory, int) else memory
    return checked(CheckpointSummary, what, values)


def head(row: HeadRow, overlays: object) -> Head:
    values = {
        "host_uuid": row.host_uuid,
        "domain_uuid": row.domain_uuid,
        "checkpoint_id": row.checkpoint_id,
        "overlays": overlays,
        "kept_id": row.kept_id,
    }
    return checked(Head, f"head of domain {row.domain_uuid}", values)


# --------------------------------------------------------------------------- the journal


def owner_columns(owner: Owner) -> dict[str, Any]:
    return {f"owner_{name}": value for name, value in asdict(owner).items()}


def member_row(operation_id: str, host_uuid: str, position: int, member: MemberRecord) -> MemberRow:
    return MemberRow(
        operation_id=operation_id,
        domain_uuid=member.domain_uuid,
        host_uuid=host_uuid,
        position=position,
        open=True,
        step=member.step,
        completed=json(member.completed),
        plan=json(member.plan),
        results=json(member.results),
    )


def operation(row: OperationRow, members: Sequence[tuple[MemberRow, str]]) -> OperationRecord:
    """Each member comes with the name of its domain."""
    what = f"operation {row.id}"
    values = {
        "id": row.id,
        "kind": row.kind,
        "host_uuid": row.host_uuid,
        "state": row.state,
        "version": row.version,
        "decision": row.decision,
        "members": [_member(what, *member) for member in members],
        "token": row.token,
        "owner": {
            "user": row.owner_user,
            "host": row.owner_host,
            "machine_id": row.owner_machine_id,
            "boot_id": row.owner_boot_id,
            "pid": row.owner_pid,
            "pid_start": row.owner_pid_start,
        },
        "opened": instant(what, row.opened),
        "lease_until": instant(what, row.lease_until),
        "error": row.error,
    }
    return checked(OperationRecord, what, values)


def _member(what: str, row: MemberRow, domain_name: str) -> dict[str, Any]:
    return {
        "domain_uuid": row.domain_uuid,
        "domain_name": domain_name,
        "plan": parsed(dict[str, Any], what, row.plan),
        "step": row.step,
        "completed": parsed(tuple[str, ...], what, row.completed),
        "results": parsed(dict[str, Any], what, row.results),
    }
