"""What a checkpoint is planned from: read only, from the hypervisor and the catalog."""

from __future__ import annotations

from posixpath import isabs

from ...errors import NotFound
from ...formats import qcow2
from ...formats.needs import needs
from ...integrity.strangers import strangers
from ...integrity.users import writers
from ...model import Domain, Head
from ..shared.guest import Guest, namesake
from ..shared.host import inspect_host
from ..shared.site import Site
from .drift import DriftFacts
from .frozen import catalogued, changed, lost
from .plan import CheckpointFacts


def gather(site: Site, guest: Guest, name: str) -> CheckpointFacts:
    if guest.domain is None:
        raise NotFound(
            f"{guest.name} is not defined on {site.hypervisor.host.name}",
            hint=f"a rollback to one of its checkpoints defines it again: snapctl list {guest.name}",
        )
    needed = needs(guest.domain.xml)
    return CheckpointFacts(
        host=site.hypervisor.host,
        domain=site.hypervisor.domains.measured(guest.domain),
        head=site.catalog.head(guest.uuid),
        name_taken=site.catalog.checkpoint(guest.uuid, name) is not None,
        namesake=namesake(site, guest),
        free_bytes=site.hypervisor.storage.free_bytes(site.store),
        store=site.store,
        drift=_drift(site, guest.domain, site.catalog.head(guest.uuid)),
        reserve_bytes=site.reserve_bytes,
        soft_limit=site.soft_limit,
        heads=_unknown_heads(site, guest.domain),
        needs=needed,
        found=inspect_host(site.hypervisor, needed, guest.domain, (*needed.boot_files, *needed.media)),
        strangers=strangers(site.hypervisor.storage, site.catalog, site.owner, guest.domain),
        writers=writers(each for each in site.hypervisor.domains.disks() if each.uuid != guest.uuid),
    )


def _drift(site: Site, domain: Domain, head: Head | None) -> DriftFacts:
    """Little is asked while all is as the catalog says."""
    known = {target: site.catalog.chain(path) for target, path in (head.overlays if head else {}).items()}
    now = {disk.target: disk.chain for disk in domain.writable_disks}
    same = [target for target, path in domain.sources().items() if path and head and head.overlays.get(target) == path]
    rechained = [target for target in same if known[target].paths != now[target].paths]
    layers = {layer.path: layer for chain in known.values() for layer in chain}
    for target, chain in now.items():
        if target not in same or target in rechained:
            layers |= {layer.path: layer for layer in catalogued(site.catalog, chain)}
    is_moved = head is not None and bool(rechained or len(same) < len(known))
    paths = sorted(layer.path for layer in layers.values() if layer.is_frozen_file)
    found = site.hypervisor.storage.stat_all(paths) if paths else {}
    active = {path for path in domain.sources().values() if is_moved and head and path not in head.overlays.values()}
    suspects = {
        *(path for path in layers if path in active),
        *(layer.path for layer in changed(layers.values(), found, {})),
    }
    return DriftFacts(
        rechained=tuple(rechained),
        lost=lost(site.catalog, sorted(suspects)),
        missing=frozenset(path for path, info in found.items() if info is None),
        parent=site.catalog.checkpoint_by_id(head.checkpoint_id) if is_moved and head and head.checkpoint_id else None,
    )


def _unknown_heads(site: Site, domain: Domain) -> dict[str, bytes]:
    """The beginnings of the qcow2 layers that are not catalogued yet: all others were made or seen before."""
    sources = [source for disk in domain.writable_disks for source in disk.chain]
    paths = [source.path for source in sources if source.format == "qcow2" and isabs(source.path)]
    heads = {}
    for path in dict.fromkeys(paths):
        if site.catalog.layer(path) is None and site.hypervisor.storage.stat(path) is not None:
            heads[path] = site.hypervisor.storage.read(path, 0, qcow2.HEAD_LENGTH)
    return heads
