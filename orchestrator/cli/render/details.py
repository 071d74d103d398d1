"""`snapctl show`: everything about one checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from ...model import CheckpointDetails, CheckpointDisk, CheckpointSummary, Device, MemoryImage, shown_state
from .columns import Column, align
from .marks import expiry
from .units import age, escaped, size


def summary(details: CheckpointDetails) -> CheckpointSummary:
    """The checkpoint as a list shows it, so that `show` and `list` cannot differ."""
    checkpoint = details.checkpoint
    return CheckpointSummary(
        domain=checkpoint.domain_name,
        domain_uuid=checkpoint.domain_uuid,
        name=checkpoint.name,
        id=checkpoint.id,
        parent=details.parent,
        parent_id=checkpoint.parent_id,
        created=checkpoint.created,
        mode=checkpoint.mode,
        tags=checkpoint.labels.tags,
        description=checkpoint.labels.description,
        current=details.current,
        memory_bytes=checkpoint.memory_bytes,
        disk_bytes=sum(layer.allocation or 0 for layer in checkpoint.layers.values() if layer.operation_id),
        state=shown_state(checkpoint.state, checkpoint.damage, checkpoint.unhashed),
        expires=checkpoint.labels.expires,
        protected=checkpoint.labels.protected,
        exclusive_bytes=details.exclusive_bytes,
    )


def details(found: CheckpointDetails, now: datetime) -> Iterator[str]:
    """A heading, then a name and a value a line."""
    checkpoint, memory, labels = found.checkpoint, found.checkpoint.memory, found.checkpoint.labels
    here = " (current)" if found.current else ""
    yield f"{escaped(checkpoint.domain_name)} {escaped(checkpoint.name)}{here}"
    rows = [
        ("id", checkpoint.id),
        ("state", summary(found).state),
        ("damage", escaped(checkpoint.damage or "")),
        ("created", f"{checkpoint.created:%Y-%m-%d %H:%M:%S} UTC ({age(checkpoint.created, now)})"),
        ("protected", "yes" if labels.protected else ""),
        ("expires", _expires(labels.expires, now) if labels.expires else ""),
        ("parent", escaped(found.parent or "")),
        ("children", escaped(", ".join(found.children))),
        ("tags", escaped(", ".join(labels.tags))),
        ("description", escaped(labels.description)),
        *(_memory(memory) if memory is not None else ()),
        *((f"disk {disk.target}", _disk(disk)) for disk in checkpoint.disks),
        *((f"sidecar {each.target or ''}".rstrip(), escaped(each.path)) for each in checkpoint.sidecars),
        ("space", _space(found)),
        ("machine", escaped(checkpoint.origin.machine)),
        ("host", f"{escaped(found.host.name)}, {found.host.uuid}"),
        ("created by", f"libvirt {checkpoint.origin.libvirt_version}, QEMU {checkpoint.origin.qemu_version}"),
    ]
    for line in align((Column(), Column()), [row for row in rows if row[1]], None):
        yield f"  {line}"


def _memory(memory: MemoryImage) -> Iterator[tuple[str, str]]:
    yield "guest was", "running" if memory.was_running else "paused"
    yield "memory", f"{size(memory.size)}, {escaped(memory.path)}"
    yield "sha256", memory.sha256 or ""


def _expires(expires: datetime, now: datetime) -> str:
    return f"{expires:%Y-%m-%d %H:%M:%S} UTC ({expiry(expires, now)})"


def _space(found: CheckpointDetails) -> str:
    frees = f"deleting only this checkpoint frees {size(found.exclusive_bytes)}"
    return f"{frees}; {size(found.shared_bytes)} shared with others"


def _disk(disk: CheckpointDisk) -> str:
    layer = disk.layer
    if layer is None:
        return f"{_unfrozen(disk)}: {escaped(disk.path or 'empty')}"
    taken = f"{size(layer.allocation)} of " if layer.allocation is not None else ""
    device = ", a block device, of which only samples are compared" if layer.is_block and layer.sha256 is None else ""
    return f"{layer.format}, {taken}{size(layer.capacity)}, {escaped(layer.path)}{device}"


def _unfrozen(disk: CheckpointDisk) -> str:
    kind = str(disk.device) + (", read-only" if disk.readonly else "")
    if disk.path is None:
        return f"{kind}, not frozen"
    if disk.device is Device.FLOPPY and not disk.readonly:
        return f"{kind}, writable and no part of the checkpoint"
    if disk.fingerprint is None:
        return f"{kind}, not frozen"
    how = "content" if disk.sha256 is not None else "samples, length and time" if disk.mtime is not None else "samples"
    return f"{kind}, not frozen, compared by {how}"
