"""The space that checkpoints take: their files from the catalog, the sizes from the hypervisor. Reads only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from ..model import CheckpointFiles, CheckpointUsage, DomainFiles, DomainUsage, FileInfo, Inventory, Usage
from ..ports import Catalog, Hypervisor, Storage
from ..store.layout import directory_of, domain_directory, manifest_path, owner_path


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageFacts:
    """`stored` are the files in the store, as far as it was listed, `others` those catalogued elsewhere."""

    store: str
    total_bytes: int
    free_bytes: int
    inventory: Inventory
    stored: Mapping[str, int]  # path -> allocation
    others: Mapping[str, int]


def gather(hypervisor: Hypervisor, catalog: Catalog, *, store: str, domain_uuid: str | None) -> UsageFacts:
    """Raises `HypervisorError` or `CatalogError`.

    Lists each directory of the domain once (of all that are in the store if it is None), and reads
    each catalogued file elsewhere by itself. The store is read first: what an operation creates in between
    is missing in the sums, and not reported as uncatalogued.
    """
    storage = hypervisor.storage
    stored = {facts.path: facts.allocation for facts in _stored(storage, store, domain_uuid)}
    inventory = catalog.inventory(domain_uuid)
    elsewhere = sorted(_catalogued(inventory) - stored.keys())
    seen = (storage.stat(path) for path in elsewhere if not path.startswith(f"{store}/"))
    return UsageFacts(
        store=store,
        total_bytes=storage.total_bytes(store),
        free_bytes=storage.free_bytes(store),
        inventory=inventory,
        stored=stored,
        others={facts.path: facts.allocation for facts in seen if facts is not None},
    )


def _stored(storage: Storage, store: str, domain_uuid: str | None) -> Iterator[FileInfo]:
    if domain_uuid is None:
        yield from storage.files(store) or ()
        domains = [facts.path for facts in storage.directories(store) or ()]
    else:
        domains = [domain_directory(store, domain_uuid)]
    for domain in domains:
        for directory in (domain, *(facts.path for facts in storage.directories(domain) or ())):
            yield from storage.files(directory) or ()


def _catalogued(inventory: Inventory) -> set[str]:
    found = {path for domain in inventory.domains for path in (*domain.frozen, *domain.active, *domain.external)}
    return found.union(*((*each.files, *each.layers, *each.exclusive) for each in inventory.checkpoints))


# --------------------------------------------------------------------------- pure


def sum_up(facts: UsageFacts) -> Usage:
    """A file that is missing takes nothing: to find that out is for verify."""
    taken = {**facts.others, **facts.stored}
    known = _catalogued(facts.inventory)
    ours = {owner_path(facts.store), *(manifest_path(directory_of(path)) for path in known)}
    return Usage(
        store=facts.store,
        total_bytes=facts.total_bytes,
        free_bytes=facts.free_bytes,
        uncatalogued_bytes=_sum(facts.stored.keys() - known - ours, facts.stored),
        domains=tuple(_domain(domain, facts, taken) for domain in facts.inventory.domains),
        checkpoints=tuple(_checkpoint(each, taken) for each in facts.inventory.checkpoints),
    )


def _checkpoint(checkpoint: CheckpointFiles, taken: Mapping[str, int]) -> CheckpointUsage:
    memory = _sum([checkpoint.memory] if checkpoint.memory is not None else [], taken)
    own = _sum(checkpoint.files, taken)
    return CheckpointUsage(
        domain=checkpoint.domain,
        domain_uuid=checkpoint.domain_uuid,
        name=checkpoint.name,
        id=checkpoint.id,
        memory_bytes=memory,
        sidecar_bytes=own - memory,
        disk_bytes=_sum(set(checkpoint.layers), taken),
        exclusive_bytes=own + _sum(set(checkpoint.exclusive), taken),
        shared_bytes=_sum(set(checkpoint.layers) - set(checkpoint.exclusive), taken),
    )


def _domain(domain: DomainFiles, facts: UsageFacts, taken: Mapping[str, int]) -> DomainUsage:
    own = [each for each in facts.inventory.checkpoints if each.domain_uuid == domain.domain_uuid]
    images = {each.memory for each in own if each.memory is not None}
    others = {path for each in own for path in each.files} - images
    files = (*domain.frozen, *domain.active, *images, *others)
    return DomainUsage(
        domain=domain.domain,
        domain_uuid=domain.domain_uuid,
        memory_bytes=_sum(images, taken),
        sidecar_bytes=_sum(others, taken),
        frozen_bytes=_sum(domain.frozen, taken),
        active_bytes=_sum(domain.active, taken),
        manifest_bytes=_sum({manifest_path(directory_of(path)) for path in files}, taken),
        own_bytes=_sum(set(domain.external), taken),
    )


def _sum(paths: Iterable[str], taken: Mapping[str, int]) -> int:
    return sum(taken.get(path, 0) for path in paths)
