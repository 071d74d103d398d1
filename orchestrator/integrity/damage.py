"""Are the files what the catalog says they are? Asked before a guest is touched, and by verify."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from posixpath import normpath

from ..errors import HypervisorError, IntegrityError
from ..formats import imagexml, qcow2, saveimage
from ..formats.needs import catalogued_needs
from ..model import Artifact, Chain, Checkpoint, FileInfo, Finding, Layer, MemoryImage
from .headers import header_problem

TIME = "time of last change"

Chains = Mapping[str, Chain[Layer]]
"""By target: the frozen layer of a disk, and all below it that are catalogued, nearest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    """What was read of the files that a checkpoint relies on. `files` has them all; a path that another
    mapping does not have was not inspected for it."""

    files: Mapping[str, FileInfo | None]
    heads: Mapping[str, bytes]  # the first bytes of memory images and qcow2 layers
    hashes: Mapping[str, str] = field(default_factory=dict)  # SHA-256
    writers: Mapping[str, str] = field(default_factory=dict)  # of files that a domain may write to

    def memory_xml(self, path: str) -> str:
        """The domain XML in a memory image that `check_files` found sound."""
        return saveimage.domain_xml(self.heads[path]) or ""


def relied_on(checkpoint: Checkpoint, chains: Chains) -> list[str]:
    """Every file that a checkpoint needs to be restored, each once."""
    layers = [layer.path for layer, _ in _layers(chains)]
    others = [disk.file for disk in checkpoint.disks if disk.file is not None]
    return list(dict.fromkeys([*checkpoint.own_files, *layers, *others]))


def qcow2_layers(layers: Iterable[Layer]) -> list[str]:
    """Those whose header can be read: images of the kind, in files."""
    return [layer.path for layer in layers if layer.format == "qcow2" and layer.is_frozen_file]


def check_files(checkpoint: Checkpoint, chains: Chains, seen: Inspected) -> None:
    """Raise `IntegrityError` unless every file is what the catalog says, and no domain may write to a frozen one."""
    effect = f"{checkpoint.name} cannot be restored; nothing was changed"
    copied = {layer.path for layer in touched(chains, seen)}
    for found in damage(checkpoint, chains, seen):
        hint = f"restore the file, or: snapctl delete {checkpoint.domain_name} {checkpoint.name}"
        if found.path in copied:
            hint = f"have its content compared: snapctl verify {checkpoint.domain_name} {checkpoint.name}"
        raise IntegrityError(found.problem, effect=effect, hint=hint)
    for found in dangers(chains, seen):
        raise IntegrityError(found.problem, effect=effect, hint="give that domain a different disk: virsh edit")


# --------------------------------------------------------------------------- damage


def damage(checkpoint: Checkpoint, chains: Chains, seen: Inspected) -> Iterator[Finding]:
    """The files of a checkpoint that are not what the catalog says: one finding for each."""
    memory = checkpoint.memory
    if memory is not None and (problem := _memory_problem(checkpoint, memory, seen)):
        yield Finding(path=memory.path, problem=f"the memory image {memory.path} {problem}")
    for sidecar in checkpoint.sidecars:
        if problem := _sidecar_problem(sidecar, seen):
            yield Finding(path=sidecar.path, problem=f"the file {sidecar.path} {problem}")
    for layer, below in _layers(chains):
        if problem := _layer_problem(layer, below, seen):
            yield Finding(path=layer.path, problem=f"the layer {layer.path} {problem}")
    optional = {file.path for file in catalogued_needs(checkpoint.origin.domain_xml).media if file.optional}
    for disk in checkpoint.disks:
        if disk.file is not None and seen.files[disk.file] is None and disk.file not in optional:
            yield Finding(path=disk.file, problem=f"the {disk.device} image {disk.file} is missing")


def layer_damage(chain: Chain[Layer], seen: Inspected) -> Iterator[Finding]:
    """The same for layers alone, nearest first; the last one's backing file is not looked for."""
    for layer, below in chain.pairs():
        if problem := _layer_problem(layer, below, seen):
            yield Finding(path=layer.path, problem=f"the layer {layer.path} {problem}")


def touched(chains: Chains, seen: Inspected) -> list[Layer]:
    """The layers that are what the catalog says but for their time of last change, and whose content can prove it."""
    return [layer for layer, _ in _layers(chains) if layer.sha256 is not None and _differences(layer, seen) == [TIME]]


def _differences(layer: Layer, seen: Inspected) -> list[str]:
    found = seen.files[layer.path]
    if layer.is_block or found is None or layer.rewritten_by is not None:
        return []
    return [what for what, is_now, was in _compared(layer, found) if is_now != was]


def _is_proved(layer: Layer, seen: Inspected) -> bool:
    """Whether the whole content was read and is what it was: what a file is, its time does not decide."""
    return layer.sha256 is not None and seen.hashes.get(layer.path) == layer.sha256


def _layers(chains: Chains) -> Iterator[tuple[Layer, Layer | None]]:
    """Each layer once, with the one below it."""
    known: set[str] = set()
    for chain in chains.values():
        for layer, below in chain.pairs():
            if layer.path not in known:
                known.add(layer.path)
                yield layer, below


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
        )
    except saveimage.BadHeader as error:
        return str(error)


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
        return None  # libvirt's volumes say nothing of it
    found = seen.files[layer.path]
    if found is None:
        return "is missing"
    changes = [
        f"its {what} is {is_now}, not {was}"
        for what, is_now, was in _compared(layer, found)
        if is_now != was and not (what == TIME and _is_proved(layer, seen))
    ]
    if layer.rewritten_by is not None:
        return None  # its content stays the same, all else changes until that operation is settled
    if changes:
        return f"was changed: {'; '.join(changes)}"
    if layer.path in seen.heads and (problem := _head_problem(layer, below, seen.heads[layer.path])):
        return problem
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


def _compared(layer: Layer, found: FileInfo) -> Iterator[tuple[str, object, object]]:
    yield "length", found.physical, layer.physical
    if layer.mtime is not None:
        yield TIME, found.mtime, layer.mtime
    if layer.format == "raw":
        return  # libvirt guesses the rest from the content, which is the guest's to choose
    yield "format", found.format, layer.format
    yield "virtual size", found.capacity, layer.capacity
    yield "backing file", found.backing, layer.backing


def _hash_problem(was: str | None, is_now: str | None) -> str | None:
    if was is None or is_now is None or was == is_now:
        return None
    return f"was changed: its SHA-256 is {is_now[:16]}…, not {was[:16]}…"


# --------------------------------------------------------------------------- dangers


def dangers(chains: Chains, seen: Inspected) -> Iterator[Finding]:
    """The frozen layers that a domain has as its own writable disk."""
    for layer, _ in _layers(chains):
        writer = seen.writers.get(normpath(layer.path))
        if writer and layer.rewritten_by is None:
            yield Finding(path=layer.path, problem=f"the layer {layer.path} is frozen, and {writer}")
