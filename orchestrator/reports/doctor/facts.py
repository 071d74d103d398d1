"""Everything that doctor checks, read from the hypervisor and the catalog."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from posixpath import normpath

from ...integrity.damage import Chains, relied_on
from ...model import CatalogHealth, Checkpoint, Domain, Head, Host, OperationRecord, walk
from ...operations.collapse.helper import HELPER_PREFIX
from ...ports import Catalog, Hypervisor
from ...store import layout
from ...store.contents import Directory, StoreContents, read_store


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogued:
    """A checkpoint and the chains of its frozen layers."""

    checkpoint: Checkpoint
    chains: Chains

    @property
    def files(self) -> list[str]:
        """All that it cannot be without, but for block devices."""
        devices = {layer.path for chain in self.chains.values() for layer in chain if not layer.is_frozen_file}
        return [path for path in relied_on(self.checkpoint, self.chains) if path not in devices]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A head and the chains of its overlays."""

    head: Head
    chains: Chains


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    operation: OperationRecord
    abandoned: bool


@dataclass(frozen=True, kw_only=True)
class DoctorFacts:
    now: datetime
    host: Host
    domains: Mapping[str, Domain]  # by UUID
    store: StoreContents
    free_bytes: int
    reserve_bytes: int
    catalog_health: CatalogHealth
    operations: tuple[Open, ...]
    checkpoints: tuple[Catalogued, ...]
    standings: tuple[Standing, ...]
    missing: frozenset[str]  # files that checkpoints need
    helpers: tuple[Domain, ...]  # helper domains, or named like one, that no open operation has
    outside: Mapping[str, str]  # path -> backing file, of what domains have for disks outside of the store

    def knows(self, directory: Directory) -> bool:
        """Whether the catalog has anything in a directory, or an open operation is at work in it."""
        is_open = directory.operation_id in {each.operation.id for each in self.operations}
        return is_open or directory.path in self.catalogued_directories

    @cached_property
    def disks(self) -> frozenset[str]:
        """All that any domain has for a disk, now or from its next start on, as far down as it says."""
        disks = [disk for domain in self.domains.values() for disk in (*domain.disks, *domain.persistent_disks)]
        return frozenset(normpath(source.path) for disk in disks for source in disk.chain)

    @cached_property
    def busy(self) -> frozenset[str]:
        """The UUIDs of domains with an open operation: between two steps nothing is as the catalog says."""
        return frozenset(member.domain_uuid for each in self.operations for member in each.operation.members)

    @cached_property
    def catalogued_files(self) -> frozenset[str]:
        active = {layer.path for each in self.standings for chain in each.chains.values() for layer in chain}
        return frozenset(active.union(*(each.files for each in self.checkpoints)))

    @cached_property
    def catalogued_directories(self) -> frozenset[str]:
        return frozenset(map(layout.directory_of, self.catalogued_files))


def gather(hypervisor: Hypervisor, catalog: Catalog, *, store: str, reserve_bytes: int, now: datetime) -> DoctorFacts:
    """Raises `HypervisorError` or `CatalogError`.

    The store is read before the catalog. An operation's journal row is older than its directory, so
    a directory that was seen, and that the catalog does not know then, is of no operation of its.
    """
    host = hypervisor.host
    contents = read_store(hypervisor.storage, store, host.uuid)
    operations = tuple(
        Open(operation=operation, abandoned=catalog.is_abandoned(operation)) for operation in catalog.unsettled()
    )
    checkpoints = tuple(_checkpoints(catalog, host))
    domains = hypervisor.domains.all()
    uuids = {each.checkpoint.domain_uuid for each in checkpoints}
    uuids.update(layout.domain_of_place(each.path) for each in contents.domains)
    facts = DoctorFacts(
        now=now,
        host=host,
        domains={domain.uuid: domain for domain in domains},
        store=contents,
        free_bytes=hypervisor.storage.free_bytes(store),
        reserve_bytes=reserve_bytes,
        catalog_health=catalog.health(),
        operations=operations,
        checkpoints=checkpoints,
        standings=tuple(_standings(catalog, host, sorted(uuids))),
        missing=frozenset(_missing(hypervisor, catalog, contents, checkpoints)),
        helpers=tuple(_helpers(hypervisor, catalog, domains)),
        outside={},
    )
    if all(facts.knows(directory) for directory in contents.directories):
        return facts  # only where there are others does it matter what else might be backed by them
    return replace(facts, outside=_outside(hypervisor, facts))


def _checkpoints(catalog: Catalog, host: Host) -> Iterator[Catalogued]:
    for summary in catalog.summaries():
        checkpoint = catalog.checkpoint_by_id(summary.id)
        if checkpoint is not None:  # else it was deleted in between
            paths = {target: layer.path for target, layer in checkpoint.layers.items()}
            yield Catalogued(checkpoint=checkpoint, chains=_chains(catalog, host, paths))


def _standings(catalog: Catalog, host: Host, domains: list[str]) -> Iterator[Standing]:
    for uuid in domains:
        if head := catalog.head(uuid):
            yield Standing(head=head, chains=_chains(catalog, host, head.overlays))


def _chains(catalog: Catalog, host: Host, tops: Mapping[str, str]) -> Chains:
    return {target: catalog.chain(path) for target, path in tops.items()}


def _missing(
    hypervisor: Hypervisor, catalog: Catalog, contents: StoreContents, checkpoints: tuple[Catalogued, ...]
) -> Iterator[str]:
    there = {facts.path: True for facts in contents.files()}
    for each in checkpoints:
        gone = []
        for path in each.files:
            if path not in there:
                there[path] = hypervisor.storage.stat(path) is not None
            if not there[path]:
                gone.append(path)
        if gone and catalog.checkpoint_by_id(each.checkpoint.id) == each.checkpoint:  # not deleted in between
            yield from gone


def _helpers(hypervisor: Hypervisor, catalog: Catalog, domains: list[Domain]) -> Iterator[Domain]:
    """An operation's journal row is older than its helper and outlives it: so the journal is read after the
    domains, and what is gone then was ended by its own."""
    found = [domain for domain in domains if domain.name.startswith(HELPER_PREFIX)]
    if found:
        at_work = {operation.id for operation in catalog.unsettled()}
        for domain in found:
            if domain.uuid not in at_work and (still := hypervisor.domains.get(domain.uuid)) is not None:
                yield still


def _outside(hypervisor: Hypervisor, facts: DoctorFacts) -> dict[str, str]:
    """The backing files of images outside the store: one may be an overlay on a layer of ours."""
    inside = {each.path for each in facts.store.files()}
    found: dict[str, str] = {}

    def below(path: str) -> str | None:
        seen = hypervisor.storage.stat(path)
        if seen is None or not seen.backing:
            return None
        found[seen.path] = normpath(seen.backing)
        return found[seen.path]

    reached = set(inside)
    for disk in facts.disks:
        deque(walk(disk, below, reached), maxlen=0)
    return found
