"""The directory that one operation makes: its manifest, its overlays, and the way they go again.

We delete only what an operation of ours created (order rule 9), and never a file that a domain
names as its disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import inf
from typing import Any

import msgspec

from ..errors import HypervisorError, IntegrityError, NotFound
from ..formats import saveimage
from ..model import Disk, Domain, FileInfo, Layer, MemoryImage, NewOverlay, is_device
from ..ports import Catalog, Evidence, Hypervisor
from . import layout, manifest
from .manifest import BadManifest, Manifest


def make_overlays(hypervisor: Hypervisor, directory: str, described: Manifest) -> None:
    """Make the directory, its manifest, and each overlay that is not there yet.

    A kill leaves the directory, or it with the manifest (perhaps without its content) and some of the overlays.
    """
    hypervisor.storage.make_directory(directory)
    describe(hypervisor, directory, described)
    for overlay in described.overlays:
        if hypervisor.storage.stat(overlay.path) is None:
            hypervisor.storage.create_overlay(overlay)


def see_overlays(hypervisor: Hypervisor, directory: str, described: Manifest) -> Evidence | None:
    """The length of each overlay as made, if all of them are there and on top of what was planned."""
    if not is_described(hypervisor, directory, described):
        return None
    lengths: dict[str, int] = {}
    for overlay in described.overlays:
        info = hypervisor.storage.stat(overlay.path)
        if info is None:
            return None
        if (info.format, info.backing, info.capacity) != ("qcow2", overlay.backing, overlay.capacity):
            raise IntegrityError(f"the new overlay {overlay.path} is not backed by {overlay.backing}")
        lengths[overlay.target] = info.physical
    return {"overlay_lengths": lengths}


def describe(hypervisor: Hypervisor, directory: str, described: Manifest) -> None:
    hypervisor.storage.write(layout.manifest_path(directory), manifest.encode(described))


def is_described(hypervisor: Hypervisor, directory: str, described: Manifest) -> bool:
    """Whether the directory has this very manifest."""
    return _has_manifest(hypervisor, directory, manifest.encode(described))


def _has_manifest(hypervisor: Hypervisor, directory: str, content: bytes) -> bool:
    try:
        return hypervisor.storage.read(layout.manifest_path(directory), 0, len(content) + 1) == content
    except NotFound:
        return False


def changed_manifest(
    hypervisor: Hypervisor, directory: str, change: Callable[[Manifest], Manifest]
) -> dict[str, str | None]:
    """Evidence for the journal: the text that the manifest of a directory is to become.

    None when it has no sound one, which is not used then, or no directory. It is recorded before
    anything is written, as a kill in the middle of that loses what there was.
    """
    try:
        content = hypervisor.storage.read(layout.manifest_path(directory), 0, manifest.LONGEST + 1)
        return {"manifest": manifest.encode(change(manifest.decode(content, directory))).decode()}
    except (NotFound, BadManifest):
        return {"manifest": None}


def describe_as(hypervisor: Hypervisor, directory: str, evidence: Mapping[str, Any]) -> None:
    """Write the manifest that `changed_manifest` gave."""
    hypervisor.storage.write(layout.manifest_path(directory), str(evidence["manifest"]).encode())


def is_described_as(hypervisor: Hypervisor, directory: str, evidence: Mapping[str, Any]) -> Evidence | None:
    text = evidence["manifest"]
    return {} if text is None or _has_manifest(hypervisor, directory, str(text).encode()) else None


def is_empty(info: FileInfo, length: int) -> bool:
    """Whether no guest wrote to an overlay: a qcow2 file grows with its first data cluster."""
    return info.physical <= length  # shorter is one that a power cut took before it was written out


def renew_overlays(
    hypervisor: Hypervisor,
    domain_uuid: str,
    overlays: Sequence[NewOverlay],
    lengths: Mapping[str, int],
    *,
    opened: bool,
) -> None:
    """See to it that each overlay is new and empty; `opened` says that a QEMU may have had them open.

    Only while the domain is off: `HypervisorError`. One that was written to holds a user's data: `IntegrityError`.
    """
    for overlay in overlays:
        info = hypervisor.storage.stat(overlay.path)
        if info is not None and not is_empty(info, lengths[overlay.target]):
            raise IntegrityError(f"the new overlay {overlay.path} was written to", effect="it was not changed")
        if opened or info is None:
            _require_off(hypervisor, domain_uuid)
            hypervisor.storage.remove(overlay.path)
            hypervisor.storage.create_overlay(overlay)


def _require_off(hypervisor: Hypervisor, domain_uuid: str) -> None:
    domain = hypervisor.domains.get(domain_uuid)
    if domain is not None and domain.active:
        raise HypervisorError(f"{domain.name} was started outside snapctl", effect="its disks were not changed")


def discard_overlays(
    hypervisor: Hypervisor, domain_uuid: str, directory: str, described: Manifest, lengths: Mapping[str, int]
) -> None:
    """Undo `make_overlays`: the directory is ours alone, so it goes when nothing is left in it.

    Not if a guest wrote to one of them (`lengths` are theirs when they were made, as far as known).
    """
    overlays = described.overlays
    for overlay in overlays:
        info = hypervisor.storage.stat(overlay.path)
        if info is not None and not is_empty(info, lengths.get(overlay.target, info.physical)):
            raise IntegrityError(f"the new overlay {overlay.path} was written to", effect="it was not changed")
    remove_files(hypervisor, domain_uuid, [overlay.path for overlay in overlays])
    remove_if_empty(hypervisor, directory)


def new_layers(operation_id: str, overlays: Sequence[NewOverlay]) -> list[Layer]:
    """The overlays as the catalog records them: ours, and active."""
    return [
        Layer(
            path=overlay.path,
            target=overlay.target,
            format="qcow2",
            capacity=overlay.capacity,
            backing=overlay.backing,
            operation_id=operation_id,
        )
        for overlay in overlays
    ]


def remove_files(hypervisor: Hypervisor, domain_uuid: str, paths: Iterable[str]) -> None:
    """Delete files of ours; refuses one that the domain has for a disk, or below one."""
    domain = hypervisor.domains.get(domain_uuid)
    in_use = _in_use(domain)
    for path in paths:
        if path in in_use:
            raise IntegrityError(f"{path} is a disk of the domain and was not removed", effect="it was not changed")
        hypervisor.storage.remove(path)


def remove_directories(hypervisor: Hypervisor, catalog: Catalog, removed: Iterable[str]) -> None:
    """Delete the directories of removed files in which nothing is left, neither a file nor a catalogued name.

    Called before the names of the removed files are forgotten, so that a crash leaves no empty directory.
    """
    gone = set(removed)
    for directory in dict.fromkeys(layout.directory_of(path) for path in gone):
        others = set(catalog.known_paths(directory)) - gone
        if not others:
            remove_if_empty(hypervisor, directory)


def remove_if_empty(hypervisor: Hypervisor, directory: str) -> None:
    """Delete a directory of ours that holds nothing but its manifest, which goes first."""
    files = hypervisor.storage.files(directory)
    if files is None or any(info.path != layout.manifest_path(directory) for info in files):
        return
    hypervisor.storage.remove(layout.manifest_path(directory))
    hypervisor.storage.remove_directory(directory)


def restore_final_mark(hypervisor: Hypervisor, image: MemoryImage) -> bool:
    """Put the mark back that libvirt wrote last on a memory image, if a power cut lost it: all other bytes had been
    written out before. Only for an image that was seen whole, as `image` says it was."""
    found = hypervisor.storage.stat(image.path)
    if found is None or found.physical != image.size:
        return False
    try:
        header = saveimage.parse_header(hypervisor.storage.read(image.path, 0, saveimage.HEADER_LENGTH))
    except saveimage.BadHeader:
        return False
    was = (image.version, image.data_length, image.was_running, image.compression)
    if header.whole or (header.version, header.data_length, header.was_running, header.compression) != was:
        return False
    hypervisor.storage.overwrite(image.path, saveimage.WHOLE)
    return True


def read_tops(hypervisor: Hypervisor, disks: Iterable[Disk]) -> dict[str, FileInfo | None]:
    """The file information of the layers that a guest writes to, by target.

    None for a block device: libvirt would report its node, which says nothing of its content.
    """
    return {
        disk.target: None if _is_device(disk) else hypervisor.storage.stat(disk.source.path)
        for disk in disks
        if disk.writable and disk.source is not None
    }


def read_below(hypervisor: Hypervisor, disks: Iterable[Disk]) -> dict[str, FileInfo | None]:
    """The file information of what is below the layers that a guest writes to, by path. None for a block device."""
    paths = {source.path for disk in disks if disk.writable for source in disk.backing}
    return hypervisor.storage.stat_all(sorted(paths))


def _is_device(disk: Disk) -> bool:
    return disk.source_type != "file" or is_device(disk.path or "")


def written_since(then: object, now: Mapping[str, FileInfo | None]) -> bool:
    """Whether a layer changed since its file information was recorded in the journal (as `read_tops` gave them)."""
    recorded = msgspec.convert(then, dict[str, FileInfo | None])
    return any(_marks(recorded[target]) != _marks(info) for target, info in now.items())


def missing_of(results: Mapping[str, Any], hypervisor: Hypervisor, disks: Sequence[Disk]) -> str | None:
    """A file or device that a guest was saved with, as the journal's `results` have it, and that is not there now."""
    recorded = [*results.get("before_save", {}).items(), *results.get("below", {}).items()]
    top_of = {disk.target: disk.path for disk in disks}
    files = {top_of.get(key) or key for key, info in recorded if info is not None}
    prints = [*results.get("devices", {}).items(), *results.get("prints_below", {}).items()]
    devices = {top_of.get(key) or key for key, fingerprint in prints if fingerprint is not None}
    now: dict[str, object] = dict(hypervisor.storage.stat_all(sorted(files - devices)))
    now |= hypervisor.storage.fingerprints(sorted(devices)) if devices else {}
    return next((path for path, found in now.items() if found is None), None)


STOPPING_SECONDS = 5.0
"""A guest may write until it is stopped, and QEMU until it has closed its disks."""


def written_after_stop(then: object, now: Mapping[str, FileInfo | None], *, within: float = STOPPING_SECONDS) -> bool:
    """Whether a layer may have changed more than a guest changes it between two steps, the latter of which ends it.
    One that is older now was put in its place, out of a backup.

    Measured by the clock that the layer's own times are of. True for a block device, which has none.
    """
    recorded = msgspec.convert(then, dict[str, FileInfo | None])
    return any(_is_another(info, recorded[target], within) for target, info in now.items())


def replaced_since(then: object, now: Mapping[str, FileInfo | None]) -> bool:
    """Whether a layer is older than when it was recorded, as one out of a backup is."""
    return written_after_stop(then, {target: info for target, info in now.items() if info is not None}, within=inf)


def _is_another(now: FileInfo | None, then: FileInfo | None, within: float) -> bool:
    if now is None or then is None:
        return True
    return not 0 <= float(now.mtime) - float(then.mtime) <= within


def _marks(info: FileInfo | None) -> tuple[int, str] | None:
    return (info.physical, info.mtime) if info else None


def _in_use(domain: Domain | None) -> set[str]:
    if domain is None:
        return set()
    disks = (*domain.disks, *domain.persistent_disks)
    return {source.path for disk in disks for source in disk.chain}
