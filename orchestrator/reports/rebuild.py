"""`snapctl catalog rebuild`: a catalog from the manifests in the store, for when the catalog is lost.

It only reads on the hypervisor. What comes into the catalog is what was recorded when it was made; whether
the files are still like that is for `verify` to say. Left out is what could not be catalogued: checkpoints
of which a file is missing, or whose memory image is not that of the domain in their manifest.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile

from ..errors import HypervisorError
from ..model import (
    Checkpoint,
    Domain,
    FileInfo,
    Head,
    Layer,
    LayerKind,
    Rebuilt,
    RebuiltDomain,
    Skipped,
    chain_of,
    is_device,
)
from ..ports import Catalog, Hypervisor
from ..store import manifest
from ..store.contents import Directory, StoreContents, read_store
from ..store.manifest import Manifest, Record
from ..store.workspace import new_layers


@dataclass(frozen=True, slots=True, kw_only=True)
class RebuildFacts:
    """What the hypervisor says, as far as a rebuild needs it."""

    store: StoreContents
    domains: Mapping[str, Domain]  # by UUID
    missing: frozenset[str]  # of the files that checkpoints rely on
    saved_xml: Mapping[str, str | None]  # the domain XML in a memory image, by path; None: it cannot be read
    bases: Mapping[str, Layer] = field(default_factory=dict)  # by path: see `_bases`


def rebuild(hypervisor: Hypervisor, catalog: Catalog, store: str, former_hosts: Collection[str] | None = ()) -> Rebuilt:
    """Raises `Refused`, with nothing changed, when the catalog is in use for this host."""
    catalog.rebuild(())  # refuses at once what it would refuse in the end
    domains, skipped = assemble(gather(hypervisor, store, former_hosts))
    catalog.rebuild(domains)
    return as_rebuilt(catalog, domains, skipped)


def as_rebuilt(catalog: Catalog, domains: Sequence[RebuiltDomain], skipped: Sequence[Skipped]) -> Rebuilt:
    return Rebuilt(
        checkpoints=tuple(catalog.summaries()),
        headless=tuple(domain.name for domain in domains if domain.head is None),
        skipped=tuple(skipped),
        unparented=tuple(f"{domain.name}/{name}" for domain in domains for name in domain.unparented),
    )


# --------------------------------------------------------------------------- asking the hypervisor


def gather(hypervisor: Hypervisor, store: str, former_hosts: Collection[str] | None = ()) -> RebuildFacts:
    contents = read_store(hypervisor.storage, store, hypervisor.host.uuid, former_hosts)
    images = [directory.memory.path for directory in contents.directories if directory.memory is not None]
    return RebuildFacts(
        store=contents,
        domains={domain.uuid: domain for domain in hypervisor.domains.all()},
        missing=frozenset(_missing(hypervisor, contents)),
        saved_xml={path: _saved_xml(hypervisor, path) for path in images},
        bases={layer.path: layer for layer in _bases(hypervisor, contents)},
    )


def _missing(hypervisor: Hypervisor, contents: StoreContents) -> Iterator[str]:
    there = {facts.path for facts in contents.files()}
    records = [record for directory in contents.directories if (record := directory.record)]
    for path in {path for record in records for path in record.files} - there:
        if hypervisor.storage.stat(path) is None:
            yield path


def _bases(hypervisor: Hypervisor, contents: StoreContents) -> Iterator[Layer]:
    """The user's own files that overlays were made on and that no checkpoint describes any more, as they are now: those
    that are the last of their chain."""
    found = [each.manifest for each in contents.directories if each.manifest]
    described = {layer.path for each in found if each.record for layer in each.record.layers}
    made = {overlay.path for each in found for overlay in each.overlays}
    below = {overlay.backing: overlay for each in found for overlay in each.overlays}
    wanted = sorted(below.keys() - described - made)
    seen = hypervisor.storage.stat_all(wanted)
    prints = hypervisor.storage.fingerprints([path for path in wanted if is_device(path)])
    for path in wanted:
        info, overlay = seen[path], below[path]
        if info is None or (overlay.backing_format != "raw" and info.backing is not None):
            continue
        is_block = is_device(path)
        yield Layer(
            path=path,
            target=overlay.target,
            format=overlay.backing_format,
            capacity=overlay.capacity,
            kind=LayerKind.BLOCK if is_block else LayerKind.FILE,
            physical=None if is_block else info.physical,
            allocation=None if is_block else info.allocation,
            mtime=None if is_block else info.mtime,
            fingerprint=prints.get(path),
        )


def _saved_xml(hypervisor: Hypervisor, path: str) -> str | None:
    try:
        return hypervisor.domains.saved_xml(path)
    except HypervisorError:
        hypervisor.storage.stat(path)  # raises if it is the hypervisor that is at fault, not the image
        return None


# --------------------------------------------------------------------------- putting it together: pure


def assemble(facts: RebuildFacts) -> tuple[list[RebuiltDomain], list[Skipped]]:
    """The domains that have whole checkpoints, or their disks in the store, and what is left out."""
    collapsed = _collapsed(facts.store)
    files = {info.path: info for info in facts.store.files()}
    records = [each.record for each in facts.store.directories if each.record]
    needed = {layer.path for record in records for layer in record.checkpoint.layers.values()}
    whole: list[Record] = []
    skipped: list[Skipped] = []
    for found in facts.store.directories:
        directory = _with_collapsed(found, collapsed, files, needed)
        fault = _fault(directory, facts)
        if fault:
            skipped.append(_skipped(directory.path, directory.record, fault))
        elif directory.record is not None:
            whole.append(directory.record)
    whole.sort(key=lambda record: record.checkpoint.created)
    by_name = {(record.checkpoint.domain_uuid, record.checkpoint.name): record for record in whole}
    by_domain: dict[str, list[Record]] = {uuid: [] for uuid in _on_the_store(facts)}
    for record in whole:
        checkpoint = record.checkpoint
        if by_name[checkpoint.domain_uuid, checkpoint.name] is record:
            by_domain.setdefault(checkpoint.domain_uuid, []).append(record)
        else:
            skipped.append(_skipped(checkpoint.directory, record, "a newer checkpoint has the same name"))
    return [_domain(uuid, records, facts, collapsed) for uuid, records in by_domain.items()], skipped


def _on_the_store(facts: RebuildFacts) -> list[str]:
    """The domains that have overlays of the store for disks, by UUID: a head may outlive all checkpoints."""
    return [uuid for uuid, domain in facts.domains.items() if _standing(domain, _manifests(uuid, facts.store))]


def _manifests(domain_uuid: str, store: StoreContents) -> list[Manifest]:
    found = (each.manifest for each in store.directories if each.manifest)
    return [each for each in found if each.domain_uuid == domain_uuid]


def _collapsed(store: StoreContents) -> dict[str, Layer]:
    """By path: the layers that others were collapsed into, as they are since: earlier records of them are outdated."""
    manifests = (directory.manifest for directory in store.directories if directory.manifest)
    return {layer.path: layer for found in manifests for layer in found.collapsed}


def _with_collapsed(
    directory: Directory, collapsed: Mapping[str, Layer], files: Mapping[str, FileInfo], needed: Collection[str]
) -> Directory:
    """One that was active when it was collapsed froze later, so its record is the newer one."""
    record = directory.record
    if directory.manifest is None or record is None:
        return directory
    newer = {path: layer for path, layer in collapsed.items() if layer.is_frozen_file}
    described = {layer.path: newer.get(layer.path, layer) for layer in record.layers}
    known = {path: _as_streamed(layer, described, files, needed) for path, layer in described.items()}
    if all(known[layer.path] == layer for layer in record.layers):
        return directory
    disks = tuple(
        replace(disk, layer=known[disk.layer.path]) if disk.layer is not None else disk
        for disk in record.checkpoint.disks
    )
    checkpoint = replace(record.checkpoint, disks=disks)
    chains = (chain_of(layer.path, known) for layer in checkpoint.layers.values())
    layers = {layer.path: layer for chain in chains for layer in chain}
    changed = replace(record, checkpoint=checkpoint, layers=tuple(layers.values()))
    return replace(directory, manifest=replace(directory.manifest, record=changed))


def _as_streamed(
    layer: Layer, layers: Mapping[str, Layer], files: Mapping[str, FileInfo], needed: Collection[str]
) -> Layer:
    """A frozen layer as it is now, if those below were collapsed into it and the catalog was lost before its manifest
    said so: its backing file is a lower one then, and those between are still there, which no checkpoint needs.

    Otherwise somebody else changed its backing file: it is as recorded, and `verify` finds it.
    """
    found, below = files.get(layer.path), chain_of(layer.backing, layers)
    if found is None or not layer.is_frozen_file or layer.format != "qcow2":
        return layer
    dropped = list(takewhile(lambda each: each.path != found.backing, below))
    is_lower = dropped and (found.backing is None or len(dropped) < len(below))
    is_same = (found.format, found.capacity) == (layer.format, layer.capacity)
    if not is_lower or not is_same or found.physical < (layer.physical or 0):
        return layer
    if any(each.operation_id is None or each.path in needed or each.path not in files for each in dropped):
        return layer
    return replace(
        layer,
        backing=found.backing,
        physical=found.physical,
        allocation=found.allocation,
        mtime=found.mtime,
        sha256=None,
    )


def _skipped(directory: str, record: Record | None, reason: str) -> Skipped:
    return Skipped(directory=directory, checkpoint=record.checkpoint.name if record else None, reason=reason)


def _fault(directory: Directory, facts: RebuildFacts) -> str:
    """Why the catalog cannot have what is in the directory, "" if it can."""
    if directory.manifest is None:
        return f"its manifest {directory.problem}"
    if directory.record is None:
        others = directory.paths - {overlay.path for overlay in directory.manifest.overlays}
        return f"no manifest describes a checkpoint for {', '.join(sorted(others))}" if others else ""
    checkpoint = directory.record.checkpoint
    if checkpoint.memory is not None and directory.memory is None:
        return "its memory image is missing"
    missing = sorted(directory.record.files & facts.missing)
    if missing:
        return f"{missing[0]} is missing"
    return "" if _is_its_domain(directory.record, facts) else "its memory image is of another domain"


def _is_its_domain(record: Record, facts: RebuildFacts) -> bool:
    xml = _domain_xml(record.checkpoint, facts)
    try:
        return xml is not None and manifest.digest(xml) == record.definition_sha256
    except HypervisorError:  # no domain XML
        return False


def _domain_xml(checkpoint: Checkpoint, facts: RebuildFacts) -> str | None:
    """What the guest's definition was: in its memory image, or recorded if there is none."""
    if checkpoint.memory is None:
        return checkpoint.origin.domain_xml
    return facts.saved_xml[checkpoint.memory.path]


def _with_domain_xml(record: Record, facts: RebuildFacts) -> Record:
    checkpoint = record.checkpoint
    origin = replace(checkpoint.origin, domain_xml=_domain_xml(checkpoint, facts) or "")
    return replace(record, checkpoint=replace(checkpoint, origin=origin))


def _domain(uuid: str, records: Sequence[Record], facts: RebuildFacts, collapsed: Mapping[str, Layer]) -> RebuiltDomain:
    """One domain from its whole checkpoints, oldest first."""
    layers: dict[str, Layer] = {}
    for record in records:
        layers = {layer.path: layer for layer in record.layers} | layers
    checkpoints, unparented = _adopted([_with_domain_xml(record, facts) for record in records], layers)
    own = _manifests(uuid, facts.store)
    last = max(own, key=lambda each: each.created)
    standing = _standing(facts.domains.get(uuid), own)
    overlays = new_layers(standing.operation_id, standing.overlays) if standing else []
    overlays = [collapsed.get(layer.path, layer) for layer in overlays]
    below = _between(overlays, layers, {**facts.bases, **_made_here(own, facts.store)})
    head = _head(standing, overlays, layers | below, checkpoints) if standing else None
    rebuilt = RebuiltDomain(
        host_uuid=last.host_uuid,
        domain_uuid=uuid,
        name=last.domain_name,
        seen=last.created,
        checkpoints=tuple(_parents_first(checkpoints)),
        layers=tuple((layers | below if head else layers).values()),
        head=head,
        overlays=tuple(overlays) if head else (),
        unparented=tuple(unparented),
    )
    return replace(rebuilt, mixed_directories=tuple(_mixed_directories(rebuilt, facts.store)))


def _mixed_directories(domain: RebuiltDomain, store: StoreContents) -> Iterator[str]:
    """Those that have files of which nothing comes into the catalog beside others: a guest that was saved in an
    operation that was open may stand on them, and be off since."""
    known = {layer.path for layer in (*domain.layers, *domain.overlays)}
    known |= {path for each in domain.checkpoints for path in each.own_files}
    for directory in store.directories:
        if directory.domain_uuid == domain.domain_uuid and directory.paths & known and directory.paths - known:
            yield directory.path


def _adopted(records: Sequence[Record], layers: Mapping[str, Layer]) -> tuple[list[Checkpoint], list[str]]:
    """The checkpoints, those of deleted parents with the nearest ancestor that is left; and which have one that cannot
    be determined, by name.

    Where the ancestors are not recorded, that is the nearest checkpoint that froze a layer of their chain: that says
    nothing of what is below a layer that was flattened.
    """
    known = {record.checkpoint.id for record in records}
    frozen_by = {layer.path: each.checkpoint.id for each in records for layer in each.checkpoint.layers.values()}
    found: list[Checkpoint] = []
    unparented: list[str] = []
    for record in records:
        each, parent = record.checkpoint, record.checkpoint.parent_id
        if record.ancestors is not None:
            parent = next((above for above in record.ancestors if above in known), None)
        elif parent is not None and parent not in known:
            chains = [chain_of(top.backing, layers) for top in each.layers.values()]
            parent = next((frozen_by[x.path] for chain in chains for x in chain if x.path in frozen_by), None)
            if parent is None and any(_is_flattened(top, layers) for top in each.layers.values()):
                unparented.append(each.name)
        found.append(replace(each, parent_id=parent))
    return found, unparented


def _is_flattened(top: Layer, layers: Mapping[str, Layer]) -> bool:
    """Whether the chain of a layer ends in one that snapctl made, which was made on another one."""
    return [top, *chain_of(top.backing, layers)][-1].operation_id is not None


def _made_here(manifests: Iterable[Manifest], store: StoreContents) -> dict[str, Layer]:
    """The overlays that the domain's manifests name, as the store has them now."""
    files = {facts.path: facts for facts in store.files()}
    made = [layer for each in manifests for layer in new_layers(each.operation_id, each.overlays)]
    return {
        layer.path: replace(
            layer,
            backing=files[layer.path].backing,
            physical=files[layer.path].physical,
            allocation=files[layer.path].allocation,
            mtime=files[layer.path].mtime,
        )
        for layer in made
        if layer.path in files
    }


def _between(
    overlays: Iterable[Layer], recorded: Mapping[str, Layer], made_here: Mapping[str, Layer]
) -> dict[str, Layer]:
    """The layers of deleted checkpoints that still back the domain's disks: no record has them."""
    chains = (chain_of(overlay.backing, {**made_here, **recorded}) for overlay in overlays)
    return {layer.path: layer for chain in chains for layer in chain if layer.path not in recorded}


def _parents_first(checkpoints: Iterable[Checkpoint]) -> list[Checkpoint]:
    """Each after its parent. A parent that is not among them is forgotten, and so is one that would close a circle."""
    known = {checkpoint.id: checkpoint for checkpoint in checkpoints}
    placed: dict[str, Checkpoint] = {}
    for identifier in known:
        branch: dict[str, Checkpoint] = {}
        above = known.get(identifier)
        while above is not None and above.id not in placed and above.id not in branch:
            branch[above.id] = above
            above = known.get(above.parent_id or "")
        for each in reversed(branch.values()):
            placed[each.id] = each if each.parent_id in placed else replace(each, parent_id=None)
    return list(placed.values())


def _standing(domain: Domain | None, manifests: Iterable[Manifest]) -> Manifest | None:
    """The manifest of the overlays that the domain has for its disks now."""
    sources = domain.sources() if domain else {}
    for found in manifests:
        if found.overlays and all(sources.get(overlay.target) == overlay.path for overlay in found.overlays):
            return found
    return None


def _head(
    standing: Manifest, overlays: Sequence[Layer], layers: Mapping[str, Layer], checkpoints: Sequence[Checkpoint]
) -> Head | None:
    """None where it is not known what is below the overlays, or which checkpoint was the current one."""
    chains = {layer.target: [layer, *chain_of(layer.backing, layers)] for layer in overlays}
    if any(chain[-1].backing is not None for chain in chains.values()):
        return None
    known = {each.id for each in checkpoints}
    line = standing.line if standing.line is not None else _line(standing, chains, checkpoints)
    if line is None:
        return None
    return Head(
        host_uuid=standing.host_uuid,
        domain_uuid=standing.domain_uuid,
        checkpoint_id=next((each for each in line if each in known), None),
        overlays={overlay.target: overlay.path for overlay in standing.overlays},
        kept_id=standing.kept_id if standing.kept_id in known else None,
    )


def _line(
    standing: Manifest, chains: Mapping[str, Sequence[Layer]], checkpoints: Sequence[Checkpoint]
) -> list[str] | None:
    """Where a manifest does not say it: the nearest checkpoint below the overlays, or the one that they were made for.

    None if that was deleted, and what was below it was flattened.
    """
    if (nearest := _nearest(chains, checkpoints)) is not None:
        return [nearest.id]
    is_left = any(each.id == standing.stands_on for each in checkpoints)
    is_flattened = any(chain[-1].operation_id is not None for chain in chains.values())
    return [standing.stands_on] if is_left or not is_flattened else None


def _nearest(chains: Mapping[str, Sequence[Layer]], checkpoints: Iterable[Checkpoint]) -> Checkpoint | None:
    """The checkpoint that froze, of each disk, a layer in its chain, and the nearest one of those."""
    below = {target: [layer.path for layer in chain[1:]] for target, chain in chains.items()}
    depths: dict[int, Checkpoint] = {}
    for each in checkpoints:
        frozen = {target: layer.path for target, layer in each.layers.items()}
        if frozen.keys() == below.keys() and all(path in below[target] for target, path in frozen.items()):
            depths[max(below[target].index(path) for target, path in frozen.items())] = each
    return depths[min(depths)] if depths else None
