"""Are the files what the catalog says they are? Asked before a guest is touched, and by verify."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace

from ..errors import HypervisorError, IntegrityError
from ..formats import imagexml, qcow2, saveimage
from ..formats.fingerprint import size_of
from ..formats.needs import catalogued_needs
from ..model import (
    Artifact,
    Chain,
    Checkpoint,
    CheckpointDisk,
    FileInfo,
    Finding,
    Layer,
    MemoryImage,
    is_device,
    same_device,
)
from .differences import (
    TIME,
    Chains,
    Inspected,
    acceptable,
    compared,
    each_layer,
    is_another_print,
    is_proved,
    medium_changes,
    touched,
)
from .headers import header_problem
from .times import dates


def relied_on(checkpoint: Checkpoint, chains: Chains) -> list[str]:
    """Every file that a checkpoint needs to be restored, each once."""
    layers = [layer.path for layer, _ in each_layer(chains)]
    others = [path for disk in checkpoint.disks if (path := disk.file or disk.medium) is not None]
    return list(dict.fromkeys([*checkpoint.own_files, *layers, *others]))


def printed(checkpoint: Checkpoint, chains: Chains) -> list[str]:
    """Those of them whose fingerprint is recorded, or would be: block devices, and disks that did not freeze."""
    devices = [layer.path for layer, _ in each_layer(chains) if layer.is_block]
    return list(dict.fromkeys([*devices, *(path for disk in checkpoint.disks if (path := disk.medium) is not None)]))


def qcow2_layers(layers: Iterable[Layer]) -> list[str]:
    """Those whose header can be read: images of the kind, in files."""
    return [layer.path for layer in layers if layer.format == "qcow2" and layer.is_frozen_file]


def check_files(checkpoint: Checkpoint, chains: Chains, seen: Inspected, ejected: Collection[str] = ()) -> None:
    """Raise `IntegrityError` unless every file is what the catalog says, and no domain may write to a frozen one.

    The media `ejected`, which the guest is to be restored without, may be anything.
    """
    effect = f"{checkpoint.name} cannot be restored; nothing was changed"
    for found in damage(checkpoint, chains, seen):
        if found.path not in ejected:
            raise IntegrityError(found.problem, effect=effect, hint=_way_on(checkpoint, chains, seen, found.path))
    for found in dangers(chains, seen):
        raise IntegrityError(found.problem, effect=effect, hint="give that domain a different disk: virsh edit")


def _way_on(checkpoint: Checkpoint, chains: Chains, seen: Inspected, path: str) -> str:
    """What to do about a damaged file."""
    name = f"{checkpoint.domain_name} {checkpoint.name}"
    if path in {each.path for each in touched(checkpoint, chains, seen)}:
        return f"have its content compared: snapctl verify {name}"
    ejectable = path in {medium.path for medium, _ in media_damage(checkpoint, seen) if medium.ejectable}
    if path in {each.path for each in damage(checkpoint, chains, seen) if each.acceptable}:
        besides = ", or: rollback --without-media" if ejectable else ""
        return f"restore it, or: snapctl verify {name} --accept{besides}"
    if ejectable:
        return f"restore the file, or leave the drive empty: snapctl rollback {name} --without-media"
    return f"restore the file, or: snapctl delete {name}"


# --------------------------------------------------------------------------- damage


def damage(checkpoint: Checkpoint, chains: Chains, seen: Inspected) -> Iterator[Finding]:
    """The files of a checkpoint that are not what the catalog says: one finding for each."""
    accepted = {each.path for each in acceptable(checkpoint, chains, seen)}
    for found in _damage(checkpoint, chains, seen):
        yield replace(found, acceptable=found.path in accepted)


def is_acceptable(checkpoint: Checkpoint, chains: Chains, seen: Inspected) -> bool:
    """Whether something is wrong with it, and nothing but what its user may accept; nor is it marked with more, which
    a look at its files alone does not show."""
    found = [*damage(checkpoint, chains, seen), *dangers(chains, seen)]
    marked = checkpoint.damage or ""
    for each in found:
        marked = marked.replace(each.problem, "")
    return bool(found) and all(each.acceptable for each in found) and not marked.strip("; ")


def _damage(checkpoint: Checkpoint, chains: Chains, seen: Inspected) -> Iterator[Finding]:
    memory = checkpoint.memory
    if memory is not None and (problem := _memory_problem(checkpoint, memory, seen)):
        yield Finding(path=memory.path, problem=f"the memory image {memory.path} {problem}")
    for sidecar in checkpoint.sidecars:
        if problem := _sidecar_problem(sidecar, seen):
            yield Finding(path=sidecar.path, problem=f"the file {sidecar.path} {problem}")
    for layer, below in each_layer(chains):
        if problem := _layer_problem(layer, below, seen):
            yield Finding(path=layer.path, problem=f"the layer {layer.path} {problem}")
    for medium, problem in media_damage(checkpoint, seen):
        yield Finding(path=medium.path or "", problem=problem)


def media_damage(checkpoint: Checkpoint, seen: Inspected) -> Iterator[tuple[CheckpointDisk, str]]:
    """The disks without a layer whose files are not what the catalog says, and what is wrong with each."""
    optional = {file.path for file in catalogued_needs(checkpoint.origin.domain_xml).media if file.optional}
    for disk in checkpoint.disks:
        path = disk.file or disk.medium
        if path is None:
            continue
        what = f"the {disk.device} image {path}" if disk.file else f"the {disk.device} {path}"
        is_missing = seen.prints.get(path, "") is None if is_device(path) else seen.files[path] is None
        if is_missing:
            if path not in optional:
                yield disk, f"{what} is missing"
        elif problem := _medium_problem(disk, seen):
            yield disk, f"{what} {problem}"


def _medium_problem(disk: CheckpointDisk, seen: Inspected) -> str | None:
    changes = medium_changes(disk, seen)
    if changes and not (changes == [TIME] and is_proved(disk, seen)):
        return f"was exchanged or changed: its {' and its '.join(changes)} {_is_another(changes)}"
    return _hash_problem(disk.sha256, seen.hashes.get(disk.path or ""))


def _is_another(changes: Sequence[str]) -> str:
    return "is another" if len(changes) == 1 else "are others"


def layer_damage(chain: Chain[Layer], seen: Inspected) -> Iterator[Finding]:
    """The same for layers alone, nearest first; the last one's backing file is not looked for."""
    for layer, below in chain.pairs():
        if problem := _layer_problem(layer, below, seen):
            yield Finding(path=layer.path, problem=f"the layer {layer.path} {problem}")


def _sidecar_problem(sidecar: Artifact, seen: Inspected) -> str | None:
    found = seen.files[sidecar.path]
    if found is None:
        return "is missing"
    if sidecar.size is not None and found.physical != sidecar.size:
        return f"has {found.physical} bytes, not {sidecar.size}"
    return _hash_problem(sidecar.sha256, seen.hashes.get(sidecar.path))


def _memory_problem(checkpoint: Checkpoint, memory: MemoryImage, seen: Inspected) -> str | None:
    found, head = seen.files[memory.path], seen.heads.get(memory.path, b"")
    if found is None:
        return "is missing"
    if found.physical != memory.size:
        return f"has {found.physical} bytes, not {memory.size}"
    try:
        return (
            _header_problem(memory, saveimage.parse_header(head))
            or _xml_problem(checkpoint.origin.domain_xml, saveimage.domain_xml(head))
            or _pairing_problem(checkpoint)
            or _hash_problem(memory.sha256, seen.hashes.get(memory.path))
            or _time_problem(memory, found, seen)
        )
    except saveimage.BadHeader as error:
        return str(error)


def _time_problem(memory: MemoryImage, found: FileInfo, seen: Inspected) -> str | None:
    if memory.mtime in (None, found.mtime) or is_proved(memory, seen):
        return None
    is_now, was = dates(found.mtime, memory.mtime)
    return f"was changed: its {TIME} is {is_now}, not {was}"


def _header_problem(memory: MemoryImage, header: saveimage.Header) -> str | None:
    if not header.whole:
        return "is incomplete"
    seen = (header.version, header.data_length, header.was_running, header.compression)
    if seen != (memory.version, memory.data_length, memory.was_running, memory.compression):
        return "has a different header than the catalog says"
    return None


def _xml_problem(catalogued: str, inside: str | None) -> str | None:
    """An image is code: libvirt would run the emulator, and open the files, that its XML names."""
    if inside is None:
        return "is cut off within its XML"
    try:
        differences = imagexml.differences(imagexml.named(inside), imagexml.named(catalogued))
    except HypervisorError:
        return "cannot be compared with the catalog: one of their domain XMLs is unreadable"
    return f"was changed: {'; '.join(differences)}" if differences else None


def _pairing_problem(checkpoint: Checkpoint) -> str | None:
    """The disks that the memory was saved with are the layers that the catalog pairs it with."""
    saved = imagexml.writable_sources(checkpoint.origin.domain_xml)
    paired = {target: layer.path for target, layer in checkpoint.layers.items()}
    for target in sorted(saved.keys() | paired.keys()):
        if saved.get(target) != paired.get(target):
            return f"was saved with {saved.get(target)} for disk {target}, not with {paired.get(target)}"
    return None


def _layer_problem(layer: Layer, below: Layer | None, seen: Inspected) -> str | None:
    if layer.is_block:
        return _device_problem(layer, seen)
    found = seen.files[layer.path]
    if found is None:
        return "is missing"
    changes = [
        _change(what, is_now, was)
        for what, is_now, was in compared(layer, found)
        if is_now != was and not (what == TIME and is_proved(layer, seen))
    ]
    if layer.rewritten_by is not None:
        return None  # its content stays the same, all else changes until that operation is settled
    if changes:
        return f"was changed: {'; '.join(changes)}"
    if layer.path in seen.heads and (problem := _head_problem(layer, below, seen.heads[layer.path])):
        return problem
    return _hash_problem(layer.sha256, seen.hashes.get(layer.path))


def _change(what: str, is_now: object, was: object) -> str:
    shown = dates(str(is_now), str(was)) if what == TIME else [is_now, was]
    return f"its {what} is {shown[0]}, not {shown[1]}"


def _device_problem(layer: Layer, seen: Inspected) -> str | None:
    """Of a block device that no fingerprint was recorded of (by an earlier snapctl), nothing is known."""
    if layer.path in seen.prints and seen.prints[layer.path] is None:
        return "is missing, or cannot be read"
    is_now = seen.prints.get(layer.path)
    if is_now is not None and is_another_print(layer.fingerprint, is_now):
        was = size_of(layer.fingerprint or "")
        if size_of(is_now) != was:
            return f"was changed: its length is {size_of(is_now)}, not {was}"
        return "was written to, or is another device: its content differs"
    return _hash_problem(layer.sha256, seen.hashes.get(layer.path))


def _head_problem(layer: Layer, below: Layer | None, head: bytes) -> str | None:
    if problem := header_problem(head, layer.path, layer.backing, below.format if below else None):
        return problem
    header = qcow2.parse_header(head)
    if header.virtual_size != layer.capacity:
        return f"has a virtual size of {header.virtual_size} in its header, not {layer.capacity}"
    if header.internal_snapshots and layer.operation_id is not None:
        return "has internal snapshots that snapctl did not create"
    return None


def _hash_problem(was: str | None, is_now: str | None) -> str | None:
    if was is None or is_now is None or was == is_now:
        return None
    return f"was changed: its SHA-256 is {is_now[:16]}…, not {was[:16]}…"


# --------------------------------------------------------------------------- dangers


def dangers(chains: Chains, seen: Inspected) -> Iterator[Finding]:
    """The frozen layers that a domain has as its own writable disk."""
    for layer, _ in each_layer(chains):
        writer = seen.writers.get(same_device(layer.path))
        if writer and layer.rewritten_by is None:
            yield Finding(path=layer.path, problem=f"the layer {layer.path} is frozen, and {writer}")
