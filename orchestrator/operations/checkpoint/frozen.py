"""Layers below a guest's disks that earlier checkpoints froze, and that are not what they were. The catalog has one row
of each file: a checkpoint made on a changed one would be damaged from birth, or make sound what is not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ...errors import Refused
from ...integrity.differences import is_another_print
from ...model import Chain, CheckpointSummary, FileInfo, Layer, Source, some
from ...ports import Catalog


def catalogued(catalog: Catalog, chain: Chain[Source]) -> list[Layer]:
    """What the catalog has of a chain."""
    known = catalog.chain(chain.layers[0].path) if chain else Chain()
    if known.paths == chain.paths:
        return list(known)
    return [layer for source in chain if (layer := catalog.layer(source.path)) is not None]


def changed(
    layers: Iterable[Layer], files: Mapping[str, FileInfo | None], prints: Mapping[str, str | None]
) -> list[Layer]:
    """Those that are not as recorded, or missing, of what `files` and `prints` have."""
    return [layer for layer in layers if _is_changed(layer, files, prints)]


def _is_changed(layer: Layer, files: Mapping[str, FileInfo | None], prints: Mapping[str, str | None]) -> bool:
    if layer.is_block:
        return layer.path in prints and is_another_print(layer.fingerprint, prints[layer.path])
    if not layer.is_frozen_file or layer.path not in files or layer.rewritten_by is not None:
        return False
    info = files[layer.path]
    return info is None or (info.physical, info.mtime) != (layer.physical, layer.mtime or info.mtime)


def lost(catalog: Catalog, paths: Iterable[str]) -> dict[str, tuple[CheckpointSummary, ...]]:
    """The checkpoints that rely on a changed layer, of all domains, by its path."""
    return {path: found for path in paths if (found := tuple(catalog.relying_on(path)))}


def names(domain: str, relying: Iterable[CheckpointSummary]) -> list[str]:
    """As they are known to the user of one domain."""
    return [each.name if each.domain == domain else f"{each.domain}/{each.name}" for each in relying]


def to_delete(relying: Iterable[CheckpointSummary]) -> str:
    """The commands, one for each domain."""
    of: dict[str, list[str]] = {}
    for each in relying:
        of.setdefault(each.domain, []).append(each.name)
    return "; ".join(f"snapctl delete --no-collapse {domain} {' '.join(names)}" for domain, names in of.items())


def refusal(domain: str, path: str, relying: tuple[CheckpointSummary, ...], *, is_missing: bool) -> Refused:
    """Of a checkpoint that would be made on it."""
    on_it = f"checkpoint {some(names(domain, relying))}"
    if is_missing:
        return Refused(f"{path}, a layer of {domain}, is missing; {on_it} relied on it", hint="mount or restore it")
    return Refused(
        f"{path}, a layer of {domain}, was changed after it was frozen, or replaced; {on_it} relied on it",
        hint=f"restore it, or if its content is the same: snapctl verify {relying[0].domain}, "
        f"else: {to_delete(relying)}",
    )
