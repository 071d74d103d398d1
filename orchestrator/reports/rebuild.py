"""`snapctl catalog rebuild`: a catalog from the manifests in the store, for when the catalog is lost.

It only reads on the hypervisor. What comes into the catalog is what was recorded when it was made; whether
the files are still like that is for `verify` to say. Left out is what could not be catalogued: checkpoints
of which a file is missing, or whose memory image is not that of the domain in their manifest.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ..errors import HypervisorError
from ..model import Checkpoint, Domain, Head, Layer, Rebuilt, RebuiltDomain, Skipped, chain_of
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
    )


def _missing(hypervisor: Hypervisor, contents: StoreContents) -> Iterator[str]:
    there = {facts.path for facts in contents.files()}
    records = [record for directory in contents.directories if (record := directory.record)]
    for path in {path for record in records for path in record.files} - there:
        if hypervisor.storage.stat(path) is None:
            yield path


def _saved_xml(hypervisor: Hypervisor, path: str) -> str | None:
    try:
        return hypervisor.domains.saved_xml(path)
    except HypervisorError:
        hypervisor.storage.stat(path)  # raises if it is the hypervisor that is at fault, not the image
        return None


# --------------------------------------------------------------------------- putting it together: pure


def assemble(facts: RebuildFacts) -> tuple[list[RebuiltDomain], list[Skipped]]:
    """The domains that have whole checkpoints, and what is left out."""
    collapsed = _collapsed(facts.store)
    whole: list[Record] = []
    skipped: list[Skipped] = []
    for found in facts.store.directories:
        directory = _with_collapsed(found, collapsed)
        fault = _fault(directory, facts)
        if fault:
            skipped.append(_skipped(directory.path, directory.record, fault))
        elif directory.record is not None:
            whole.append(directory.record)
    whole.sort(key=lambda record: record.checkpoint.created)
    by_name = {(record.checkpoint.domain_uuid, record.checkpoint.name): record for record in whole}
    by_domain: dict[str, list[Record]] = {}
    for record in whole:
        checkpoint = record.checkpoint
        if by_name[checkpoint.domain_uuid, checkpoint.name] is record:
            by_domain.setdefault(checkpoint.domain_uuid, []).append(record)
        else:
            skipped.append(_skipped(checkpoint.directory, record, "a newer checkpoint has the same name"))
    return [_domain(records, facts, collapsed) for records in by_domain.values()], skipped


def _collapsed(store: StoreContents) -> dict[str, Layer]:
    """By path: the layers that others were collapsed into, as they are since: earlier records of them are outdated."""
    manifests = (directory.manifest for directory in store.directories if directory.manifest)
    return {layer.path: layer for found in manifests for layer in found.collapsed}


def _with_collapsed(directory: Directory, collapsed: Mapping[str, Layer]) -> Directory:
    """One that was active when it was collapsed froze later, so its record is the newer one."""
    record = directory.record
    newer = {path: layer for path, layer in collapsed.items() if layer.is_frozen_file}
    if directory.manifest is None or record is None or not any(layer.path in newer for layer in record.layers):
        return directory
    known = {layer.path: newer.get(layer.path, layer) for layer in record.layers}
    disks = tuple(
        replace(disk, layer=known[disk.layer.path]) if disk.layer is not None else disk
        for disk in record.checkpoint.disks
    )
    checkpoint = replace(record.checkpoint, disks=disks)
    chains = (chain_of(layer.path, known) for layer in checkpoint.layers.values())
    layers = {layer.path: layer for chain in chains for layer in chain}
    changed = replace(record, checkpoint=checkpoint, layers=tuple(layers.values()))
    return replace(directory, manifest=replace(directory.manifest, record=changed))


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


def _with_domain_xml(checkpoint: Checkpoint, facts: RebuildFacts) -> Checkpoint:
    return replace(checkpoint, origin=replace(checkpoint.origin, domain_xml=_domain_xml(checkpoint, facts) or ""))


def _domain(records: Sequence[Record], facts: RebuildFacts, collapsed: Mapping[str, Layer]) -> RebuiltDomain:
    """One domain from its whole checkpoints, oldest first."""
    uuid, host_uuid = records[0].checkpoint.domain_uuid, records[0].checkpoint.host_uuid
    layers: dict[str, Layer] = {}
    for record in records:
        layers = {layer.path: layer for layer in record.layers} | layers
    checkpoints = _parents_first(
        _adopted(
            [_with_domain_xml(record.checkpoint, facts) for record in records],
            layers,
        )
    )
    own = [found for each in facts.store.directories if (found := each.manifest) and found.domain_uuid == uuid]
    last = max(own, key=lambda each: each.created)
    standing = _standing(facts.domains.get(uuid), own)
    overlays = new_layers(standing.operation_id, standing.overlays) if standing else []
    overlays = [collapsed.get(layer.path, layer) for layer in overlays]
    below = _between(overlays, layers, _made_here(own, facts.store))
    stands_on = _stood_on(overlays, layers | below, checkpoints)
    if standing is not None and stands_on is not None:
        layers |= below
    else:
        standing, overlays = None, []
    return RebuiltDomain(
        host_uuid=host_uuid,
        domain_uuid=uuid,
        name=last.domain_name,
        seen=last.created,
        checkpoints=tuple(checkpoints),
        layers=tuple(layers.values()),
        head=_head(standing, stands_on) if standing else None,
        overlays=tuple(overlays),
    )


def _adopted(checkpoints: Sequence[Checkpoint], layers: Mapping[str, Layer]) -> Iterator[Checkpoint]:
    """Where the parent was deleted: with the nearest checkpoint that froze a layer of their chain."""
    known = {checkpoint.id for checkpoint in checkpoints}
    frozen_by = {layer.path: each.id for each in checkpoints for layer in each.layers.values()}
    for each in checkpoints:
        if each.parent_id is None or each.parent_id in known:
            yield each
            continue
        below = (layer for top in each.layers.values() for layer in chain_of(top.backing, layers))
        yield replace(each, parent_id=next((frozen_by[x.path] for x in below if x.path in frozen_by), None))


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


def _stood_on(
    overlays: Sequence[Layer], layers: Mapping[str, Layer], checkpoints: Iterable[Checkpoint]
) -> Checkpoint | None:
    """The nearest checkpoint below the overlays: that froze, of each disk, a layer in its chain."""
    chains = {layer.target: chain_of(layer.backing, layers).paths for layer in overlays}
    depths: dict[int, Checkpoint] = {}
    for each in checkpoints:
        frozen = {target: layer.path for target, layer in each.layers.items()}
        if frozen.keys() == chains.keys() and all(path in chains[target] for target, path in frozen.items()):
            depths[max(chains[target].index(path) for target, path in frozen.items())] = each
    return depths[min(depths)] if depths else None


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


def _head(standing: Manifest, stands_on: Checkpoint | None) -> Head:
    return Head(
        host_uuid=standing.host_uuid,
        domain_uuid=standing.domain_uuid,
        checkpoint_id=stands_on.id if stands_on else None,
        overlays={overlay.target: overlay.path for overlay in standing.overlays},
    )
