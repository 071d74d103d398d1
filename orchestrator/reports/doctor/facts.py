"""Everything that doctor checks, read from the hypervisor and the catalog."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from posixpath import normpath

from ...errors import Refused
from ...integrity.damage import relied_on
from ...integrity.differences import Chains
from ...integrity.file_users import backing_files
from ...model import CatalogHealth, Checkpoint, Domain, Head, Host, Layer, StoreOwner, Unsettled
from ...operations.shared.helper import HELPER_PREFIX
from ...ports import Catalog, Hypervisor
from ...store import layout
from ...store.contents import Directory, StoreContents, read_store
from ...store.ownership import Ownership
from ..unsettled import report_open


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


@dataclass(frozen=True, kw_only=True)
class DoctorFacts:
    now: datetime
    host: Host
    domains: Mapping[str, Domain]  # by UUID
    store: StoreContents
    free_bytes: int
    reserve_bytes: int
    catalog_health: CatalogHealth
    operations: tuple[Unsettled, ...]
    checkpoints: tuple[Catalogued, ...]
    standings: tuple[Standing, ...]
    missing: frozenset[str]  # files that checkpoints need
    helpers: tuple[Domain, ...]  # helper domains, or named like one, that no open operation has
    outside: Mapping[str, str]  # path -> backing file, of what domains have for disks
    left_over: tuple[Layer, ...] = ()  # that an operation discarded, and that something stood on
    abandoned: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Operations that were closed as they were, and the layers that they had yet to remove."""
    owner: StoreOwner | None = None  # of the store
    is_ours: bool = False  # the store is this catalog's
    refused: Refused | None = None  # why this catalog may not change anything in the store
    was_reported: str | None = None  # the UUID that libvirt reported before, if that was another one

    def knows(self, directory: Directory) -> bool:
        """Whether the catalog has anything in a directory, or an open operation is at work in it."""
        is_open = directory.operation_id in {each.record.id for each in self.operations}
        return is_open or directory.path in self.catalogued_directories

    @property
    def is_store_gone(self) -> bool:
        """Whether nothing at all is where the catalog has checkpoints: the store is not mounted, or lost."""
        is_bare = self.store.itself is None or not self.store.domains
        return is_bare and any(self.is_in_store(each.checkpoint.directory) for each in self.checkpoints)

    def is_in_store(self, path: str) -> bool:
        return path.startswith(f"{self.store.path}/")

    @cached_property
    def disks(self) -> frozenset[str]:
        """All that any domain has for a disk, now or from its next start on, as far down as it says."""
        disks = [disk for domain in self.domains.values() for disk in (*domain.disks, *domain.persistent_disks)]
        return frozenset(normpath(source.path) for disk in disks for source in disk.chain)

    @cached_property
    def busy(self) -> frozenset[str]:
        """The UUIDs of domains with an open operation: between two steps nothing is as the catalog says."""
        return frozenset(member.domain_uuid for each in self.operations for member in each.record.members)

    @cached_property
    def catalogued_files(self) -> frozenset[str]:
        active = {layer.path for each in self.standings for chain in each.chains.values() for layer in chain}
        return frozenset(active.union(*(each.files for each in self.checkpoints)))

    @cached_property
    def left_over_files(self) -> frozenset[str]:
        return frozenset(layer.path for layer in self.left_over)

    @cached_property
    def catalogued_directories(self) -> frozenset[str]:
        return frozenset(map(layout.directory_of, self.catalogued_files | self.left_over_files))


def gather(
    hypervisor: Hypervisor, catalog: Catalog, *, store: str, reserve_bytes: int, now: datetime, owner: Ownership
) -> DoctorFacts:
    """Raises `HypervisorError` or `CatalogError`.

    The store is read before the catalog. An operation's journal row is older than its directory, so
    a directory that was seen, and that the catalog does not know then, is of no operation of its.
    """
    host = hypervisor.host
    former = owner.owner.former_hosts if owner.is_ours and owner.owner is not None else ()
    contents = read_store(hypervisor.storage, store, host.uuid, former)
    operations = tuple(report_open(hypervisor, catalog, record) for record in catalog.unsettled())
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
        abandoned=catalog.abandoned(),
        outside={},
        owner=owner.owner,
        is_ours=owner.is_ours,
        refused=_refused(owner),
        was_reported=owner.was_reported,
        left_over=tuple(catalog.left_over_layers()),
    )
    if facts.left_over or not all(facts.knows(directory) for directory in contents.directories):
        # only where there is something to remove does it matter what else might be backed by it
        inside = [each.path for each in contents.files()]
        facts = replace(facts, outside=backing_files(hypervisor, catalog, domains, inside))
    return facts


def _refused(owner: Ownership) -> Refused | None:
    try:
        owner.require()
    except Refused as refused:
        return refused
    return None


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
