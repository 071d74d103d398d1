"""What differs between a file and what the catalog recorded of it.

A file is its content: its SHA-256, once known, decides. Until then its length and time of last change do, and the
fingerprint of what has none, or is not a checkpoint's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from ..formats import saveimage
from ..formats.fingerprint import is_comparable
from ..model import Chain, Checkpoint, CheckpointDisk, FileInfo, Layer, MemoryImage, is_device

TIME, CONTENT = "time of last change", "content"

Chains = Mapping[str, Chain[Layer]]
"""By target: the frozen layer of a disk, and all below it that are catalogued, nearest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    """What was read of the files that a checkpoint relies on. `files` has them all; a path that another
    mapping does not have was not inspected for it."""

    files: Mapping[str, FileInfo | None]
    heads: Mapping[str, bytes]  # the first bytes of memory images and qcow2 layers
    hashes: Mapping[str, str] = field(default_factory=dict)  # SHA-256
    prints: Mapping[str, str | None] = field(default_factory=dict)  # None: missing, or it cannot be read
    writers: Mapping[str, str] = field(default_factory=dict)  # of files that a domain may write to

    def memory_xml(self, path: str) -> str:
        """The domain XML in a memory image that `check_files` found sound."""
        return saveimage.domain_xml(self.heads[path]) or ""


Recorded: TypeAlias = Layer | MemoryImage | CheckpointDisk
"""What the catalog records of a file or device. All have a path, and a SHA-256 once it was read whole."""


def touched(checkpoint: Checkpoint, chains: Chains, seen: Inspected) -> list[Recorded]:
    """What is as the catalog says but for its time of last change, and can prove it by its content."""
    return [each for each, changes in _changed(checkpoint, chains, seen) if each.sha256 and changes == [TIME]]


def acceptable(checkpoint: Checkpoint, chains: Chains, seen: Inspected) -> list[Recorded]:
    """What differs from the catalog, and may be what its user wants all the same: no SHA-256 of it is known. A file
    that a checkpoint wrote or froze may have another time, no other length; a device or medium may be another."""
    return [
        each
        for each, changes in _changed(checkpoint, chains, seen)
        if not each.sha256 and (changes == [TIME] or (changes and _is_foreign(each)))
    ]


def unknown(chains: Chains, seen: Inspected) -> list[Recorded]:
    """The block devices of which nothing was recorded: an earlier snapctl froze them."""
    return [
        layer
        for layer, _ in each_layer(chains)
        if layer.is_block and not is_comparable(layer.fingerprint) and seen.prints.get(layer.path) is not None
    ]


def recorded(checkpoint: Checkpoint, chains: Chains) -> Iterator[Recorded]:
    """All that the catalog records of the files and devices of a checkpoint."""
    if checkpoint.memory is not None:
        yield checkpoint.memory
    yield from (layer for layer, _ in each_layer(chains))
    yield from (disk for disk in checkpoint.disks if disk.medium is not None)


def as_read(each: Recorded, seen: Inspected) -> Recorded:
    """The same with what was read of it now; its SHA-256, if it was read whole."""
    path = each.path or ""
    found, sha256 = seen.files.get(path), seen.hashes.get(path, each.sha256)
    mtime = found.mtime if found is not None else each.mtime
    print_ = seen.prints.get(path)
    if isinstance(each, MemoryImage):
        return replace(each, mtime=mtime, sha256=sha256)
    if isinstance(each, CheckpointDisk):
        size = found.physical if found is not None else each.size
        return replace(each, size=size, mtime=mtime, fingerprint=print_ or each.fingerprint, sha256=sha256)
    if each.is_block:
        return replace(each, fingerprint=print_ or each.fingerprint, sha256=sha256)
    return replace(each, mtime=mtime, sha256=sha256)


def is_as_recorded(each: Recorded, seen: Inspected) -> bool:
    """Whether its whole content was read, and is what the catalog says, or that has no SHA-256 yet and nothing else of
    it differs."""
    is_rewritten = isinstance(each, Layer) and each.rewritten_by is not None
    if is_rewritten or (each.path or "") not in seen.hashes:
        return False
    return is_proved(each, seen) or (each.sha256 is None and not changes_of(each, seen))


def changes_of(each: Recorded, seen: Inspected) -> list[str]:
    """What of it is not as recorded; nothing of what is missing."""
    if isinstance(each, MemoryImage):
        return memory_changes(each, seen)
    if isinstance(each, CheckpointDisk):
        return medium_changes(each, seen)
    return _differences(each, seen)


def _is_foreign(each: Recorded) -> bool:
    return isinstance(each, CheckpointDisk) or (isinstance(each, Layer) and each.is_block)


def _changed(checkpoint: Checkpoint, chains: Chains, seen: Inspected) -> Iterator[tuple[Recorded, list[str]]]:
    """What is there and is not as the catalog says, with what differs."""
    for each in recorded(checkpoint, chains):
        if _is_there(each.path or "", seen) and (changes := changes_of(each, seen)):
            yield each, changes


def _is_there(path: str, seen: Inspected) -> bool:
    return (seen.prints.get(path) if is_device(path) else seen.files[path]) is not None


def memory_changes(memory: MemoryImage, seen: Inspected) -> list[str]:
    found = seen.files[memory.path]
    if found is None:
        return []
    changes = ["length"] if found.physical != memory.size else []
    return [*changes, TIME] if memory.mtime not in (None, found.mtime) else changes


def _differences(layer: Layer, seen: Inspected) -> list[str]:
    if layer.is_block:
        is_now = seen.prints.get(layer.path)
        return [CONTENT] if is_now is not None and is_another_print(layer.fingerprint, is_now) else []
    found = seen.files[layer.path]
    if found is None or layer.rewritten_by is not None:
        return []
    return [what for what, is_now, was in compared(layer, found) if is_now != was]


def is_proved(each: Recorded, seen: Inspected) -> bool:
    """Whether the whole content was read and is what it was: what a file is, its time does not decide."""
    return each.sha256 is not None and seen.hashes.get(each.path or "") == each.sha256


def medium_changes(disk: CheckpointDisk, seen: Inspected) -> list[str]:
    path = disk.path or ""
    found = seen.files.get(path)
    changes = []
    if found is not None and disk.size is not None and found.physical != disk.size:
        changes.append("length")
    if found is not None and disk.mtime is not None and found.mtime != disk.mtime:
        changes.append(TIME)
    if is_another_print(disk.fingerprint, seen.prints.get(path)):
        changes.append(CONTENT)
    return changes


def is_another_print(was: str | None, is_now: str | None) -> bool:
    return is_comparable(was) and was != is_now


def compared(layer: Layer, found: FileInfo) -> Iterator[tuple[str, object, object]]:
    yield "length", found.physical, layer.physical
    if layer.mtime is not None:
        yield TIME, found.mtime, layer.mtime
    if layer.format == "raw":
        return  # libvirt guesses the rest from the content, which is the guest's to choose
    yield "format", found.format, layer.format
    yield "virtual size", found.capacity, layer.capacity
    yield "backing file", found.backing, layer.backing


def each_layer(chains: Chains) -> Iterator[tuple[Layer, Layer | None]]:
    """Each layer once, with the one below it."""
    known: set[str] = set()
    for chain in chains.values():
        for layer, below in chain.pairs():
            if layer.path not in known:
                known.add(layer.path)
                yield layer, below
