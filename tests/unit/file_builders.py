"""Files as the hypervisor shows them: their facts, and the bytes that they begin with."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from orchestrator.integrity.differences import Inspected
from orchestrator.model import Chain, Checkpoint, FileInfo, Layer
from tests.twin import qcow2

T = TypeVar("T")

MIB = 1024 * 1024
GIB = 1024 * MIB
NOTHING: Mapping[str, Any] = {}


def made(kind: type[T], defaults: Mapping[str, Any], changes: Mapping[str, Any]) -> T:
    """A value of that kind. A change of a field that it does not have is a mistake in the test."""
    unknown = set(changes) - {field.name for field in fields(kind)}  # type: ignore[arg-type]
    assert not unknown, f"{kind.__name__} has no {unknown}"
    return kind(**{**defaults, **changes})


def file_facts(path: str, **changes: Any) -> FileInfo:
    defaults = {
        "path": path,
        "physical": 5 * MIB,
        "allocation": 4 * MIB,
        "capacity": 20 * GIB,
        "format": "qcow2",
        "mode": 0o600,
        "mtime": "1767323045.123456789",
    }
    return made(FileInfo, defaults, changes)


# --------------------------------------------------------------------------- what files begin with


def header_bytes(
    *,
    magic: bytes = b"LibvirtQemudSave",
    version: int = 2,
    data_length: int = 70_000,
    was_running: int = 1,
    compression: int = 0,
    cookie_offset: int = 4_000,
    order: str = "<",
) -> bytes:
    """The 92 bytes of struct _virQEMUSaveHeader, as libvirt lays them out in the byte order of its host."""
    numbers = (version, data_length, was_running, compression, cookie_offset)
    return struct.pack(f"{order}16s5I14I", magic, *numbers, *[0] * 14)


def memory_head(xml: str, **header: Any) -> bytes:
    """The beginning of a memory image: its header and its XML, with the padding that libvirt leaves."""
    return header_bytes(**header) + xml.encode().ljust(70_000, b"\0")


def layer_head(layer: Layer, below: Layer | None) -> bytes:
    return qcow2.head(layer.capacity, layer.backing, below.format if below else None)


# --------------------------------------------------------------------------- the files of a checkpoint


def as_catalogued(layer: Layer) -> FileInfo:
    known = {"capacity": layer.capacity, "format": layer.format, "backing": layer.backing}
    return file_facts(layer.path, physical=layer.physical, mtime=layer.mtime, **known)


def seen_of(
    checkpoint: Checkpoint,
    chains: Mapping[str, Chain[Layer]],
    *,
    facts: Mapping[str, FileInfo | None] = NOTHING,
    heads: Mapping[str, bytes] = NOTHING,
    hashes: Mapping[str, str] = NOTHING,
    writers: Mapping[str, str] = NOTHING,
) -> Inspected:
    """Every file that a checkpoint relies on just as the catalog has it, but for what is given."""
    found: dict[str, FileInfo | None] = {}
    begin: dict[str, bytes] = {}
    if (memory := checkpoint.memory) is not None:
        header = {"was_running": int(memory.was_running), "data_length": memory.data_length}
        found[memory.path] = file_facts(memory.path, physical=memory.size, format="raw")
        begin[memory.path] = memory_head(checkpoint.origin.domain_xml, **header)
    for sidecar in checkpoint.sidecars:
        found[sidecar.path] = file_facts(sidecar.path, physical=sidecar.size, format="raw")
    for chain in chains.values():
        for layer, below in chain.pairs():
            found[layer.path] = as_catalogued(layer)
            if layer.format == "qcow2":
                begin[layer.path] = layer_head(layer, below)
    for disk in checkpoint.disks:
        if disk.file is not None:
            found[disk.file] = file_facts(disk.file, format="raw")
    return Inspected(files={**found, **facts}, heads={**begin, **heads}, hashes=hashes, writers=writers)
