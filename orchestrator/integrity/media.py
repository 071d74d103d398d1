"""What is recorded of disks that do not freeze, and of block devices that do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..model import Disk, FileInfo, is_device
from ..ports import Storage


@dataclass(frozen=True, slots=True, kw_only=True)
class Medium:
    """The source of a disk that does not freeze: the length and time of a file, the fingerprint of a file or device."""

    size: int | None
    mtime: str | None
    fingerprint: str | None


def read_media(storage: Storage, disks: Iterable[Disk]) -> dict[str, Medium]:
    """By target, of the disks whose content must be the same at a rollback though a checkpoint does not hold it."""
    paths = {disk.target: disk.path for disk in disks if _is_compared(disk) and disk.path is not None}
    if not paths:
        return {}
    found = storage.stat_all([path for path in paths.values() if not is_device(path)])
    prints = storage.fingerprints(list(paths.values()))
    return {target: _medium(found.get(path), prints[path]) for target, path in paths.items()}


def are_exchanged(storage: Storage, disks: Iterable[Disk], then: Mapping[str, Medium]) -> bool:
    """Whether one of them is another than was recorded. What has the same length and time is not read."""
    changed = {disk.path: then[disk.target] for disk in disks if disk.path is not None and disk.target in then}
    found = storage.stat_all([path for path in changed if not is_device(path)])
    for path, info in found.items():
        if info is not None and (info.physical, info.mtime) == (changed[path].size, changed[path].mtime):
            del changed[path]
    prints = storage.fingerprints(list(changed)) if changed else {}
    return any(
        None not in (prints[path], was.fingerprint) and prints[path] != was.fingerprint for path, was in changed.items()
    )


def _is_compared(disk: Disk) -> bool:
    return disk.is_part and not disk.writable and disk.source_type in ("file", "block")


def _medium(info: FileInfo | None, fingerprint: str | None) -> Medium:
    return Medium(size=info.physical if info else None, mtime=info.mtime if info else None, fingerprint=fingerprint)


def read_devices(storage: Storage, disks: Iterable[Disk]) -> dict[str, str | None]:
    """The fingerprints of the block devices that a guest writes to, by target."""
    paths = {disk.target: disk.path for disk in disks if disk.writable and disk.path is not None and _is_block(disk)}
    prints = storage.fingerprints(list(paths.values())) if paths else {}
    return {target: prints[path] for target, path in paths.items()}


def _is_block(disk: Disk) -> bool:
    return disk.source_type == "block" or is_device(disk.path or "")


def devices_differ(then: Mapping[str, str | None], now: Mapping[str, str | None]) -> bool:
    """Whether a device is not what it was when its fingerprint was recorded."""
    return any(was is not None and now.get(target) != was for target, was in then.items())
