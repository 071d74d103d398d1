"""`snapctl show`: everything about one checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from ...model import CheckpointDetails, CheckpointDisk, CheckpointSummary, shown_state
from .columns import Column, align
from .marks import expiry
from .units import age, shown, size


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
        tags=checkpoint.tags,
        description=checkpoint.description,
        current=details.current,
        memory_bytes=checkpoint.memory.size,
        disk_bytes=sum(layer.allocation or 0 for layer in checkpoint.layers.values() if layer.operation_id),
        state=shown_state(checkpoint.state, checkpoint.damage, checkpoint.memory.sha256),
        expires=checkpoint.expires,
        protected=checkpoint.protected,
        exclusive_bytes=details.exclusive_bytes,
    )


def document(details: CheckpointDetails) -> dict[str, Any]:
    """The object of `show -o json`: that of `list`, and all that the catalog knows beside it."""
    import msgspec

    checkpoint = details.checkpoint
    fields: dict[str, Any] = msgspec.to_builtins(summary(details))
    return fields | {
        "damage": checkpoint.damage,
        "children": details.children,
        "memory": checkpoint.memory,
        "disks": checkpoint.disks,
        "host": details.host,
        "persistent": checkpoint.persistent,
        "machine": checkpoint.machine,
        "cpu": checkpoint.cpu,
        "emulator": checkpoint.emulator,
        "qemu_version": checkpoint.qemu_version,
        "libvirt_version": checkpoint.libvirt_version,
        "domain_xml": checkpoint.domain_xml,
    }


def details(found: CheckpointDetails, now: datetime) -> Iterator[str]:
    """A heading, then a name and a value a line."""
    checkpoint, memory = found.checkpoint, found.checkpoint.memory
    here = " (you are here)" if found.current else ""
    yield f"{shown(checkpoint.domain_name)} {shown(checkpoint.name)}{here}"
    rows = [
        ("id", checkpoint.id),
        ("state", summary(found).state),
        ("damage", shown(checkpoint.damage or "")),
        ("created", f"{checkpoint.created:%Y-%m-%d %H:%M:%S} UTC ({age(checkpoint.created, now)})"),
        ("protected", "yes" if checkpoint.protected else ""),
        ("expires", _expires(checkpoint.expires, now) if checkpoint.expires else ""),
        ("parent", shown(found.parent or "")),
        ("children", shown(", ".join(found.children))),
        ("tags", shown(", ".join(checkpoint.tags))),
        ("description", shown(checkpoint.description)),
        ("guest was", "running" if memory.was_running else "paused"),
        ("memory", f"{size(memory.size)}, {shown(memory.path)}"),
        ("sha256", memory.sha256 or ""),
        *((f"disk {disk.target}", _disk(disk)) for disk in checkpoint.disks),
        ("space", _space(found)),
        ("machine", shown(checkpoint.machine)),
        ("host", f"{shown(found.host.name)}, {found.host.uuid}"),
        ("made with", f"libvirt {checkpoint.libvirt_version}, QEMU {checkpoint.qemu_version}"),
    ]
    for line in align((Column(), Column()), [row for row in rows if row[1]], None):
        yield f"  {line}"


def _expires(expires: datetime, now: datetime) -> str:
    return f"{expires:%Y-%m-%d %H:%M:%S} UTC ({expiry(expires, now)})"


def _space(found: CheckpointDetails) -> str:
    frees = f"frees {size(found.exclusive_bytes)} if deleted alone"
    return f"{frees}; {size(found.shared_bytes)} shared with others"


def _disk(disk: CheckpointDisk) -> str:
    layer = disk.layer
    if layer is None:
        kind = str(disk.device) + (", read-only" if disk.readonly else "")
        return f"{kind}, not frozen: {shown(disk.path or 'empty')}"
    taken = f"{size(layer.allocation)} of " if layer.allocation is not None else ""
    return f"{layer.format}, {taken}{size(layer.capacity)}, {shown(layer.path)}"
