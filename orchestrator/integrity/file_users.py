"""Who on this host stands on a file: asked before the file is deleted or rewritten (order rule 13).

Asked of every domain (running or off, its live and its persistent definition, with the chains below their disks), of
every operation that is open, and of every directory of the store that the catalog does not know: another, newer or lost
catalog may have made it. What the catalog itself needs is not asked here: that is decided within its transactions.

A chain is known from the live XML or from the catalog as far as they have it. Only what neither has is read from
the image itself, and only through images that are declared as qcow2, by the domain XML or by the header above: what a
guest wrote at the beginning of a raw disk is no header.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import pairwise
from posixpath import join, normpath

from ..errors import HypervisorError, NotFound, UsageError
from ..formats import qcow2
from ..model import Disk, Domain, DomainDisks, OperationRecord, Source
from ..ports import Catalog, Hypervisor
from ..store import layout
from ..store.contents import Directory, read_directory
from ..store.manifest import Manifest
from .headers import backing_name
from .users import FileUser

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def find_users(
    hypervisor: Hypervisor,
    catalog: Catalog,
    paths: Collection[str],
    *,
    besides: Collection[str] = (),
    apart_from: Collection[str] = (),
) -> dict[str, FileUser]:
    """By path: one that stands on it. Not asked are the domains and operations `besides`, by UUID, and directories
    `apart_from`.

    Costs some calls for each domain, one or two for each image that neither a live XML nor the catalog knows, and two
    for each domain that has a directory in the store; none when there are no `paths`.
    """
    at_risk = {normpath(path): path for path in paths}
    if not at_risk:
        return {}
    search = _Search(hypervisor, catalog, at_risk)
    for domain in hypervisor.domains.disks():
        if domain.uuid not in besides:
            search.ask(domain)
    for record in catalog.unsettled():
        if record.id not in besides:
            search.ask_operation(record)
    for store in sorted({layout.store_of(layout.directory_of(path)) for path in at_risk}):
        for directory in _unknown_directories(hypervisor, catalog, store, apart_from):
            search.ask_directory(directory)
    return search.found


def backing_files(
    hypervisor: Hypervisor, catalog: Catalog, domains: Iterable[Domain], store: Collection[str]
) -> dict[str, str]:
    """The backing file of each image below a disk of these domains, by its path; `store` are the files there."""
    search = _Search(hypervisor, catalog, {path: path for path in store})
    found: dict[str, str] = {}
    for domain in domains:
        for running, disks in ((domain.active, domain.disks), (False, domain.persistent_disks)):
            for disk in disks:
                found.update(pairwise(map(normpath, search.chain(disk, running=running))))
    return found


def files_below(hypervisor: Hypervisor, catalog: Catalog, layer: Source) -> list[str]:
    """All that a layer is backed by, its backing file first."""
    return _Search(hypervisor, catalog, {}).below(layer)


class _Search:
    def __init__(self, hypervisor: Hypervisor, catalog: Catalog, at_risk: dict[str, str]) -> None:
        self._hypervisor = hypervisor
        self._catalog = catalog
        self._at_risk = at_risk
        self._below: dict[tuple[str, bool], list[str]] = {}  # chains that were followed, by their top
        self.found: dict[str, FileUser] = {}

    def ask(self, domain: DomainDisks) -> None:
        for later, disks in ((False, domain.disks), (True, domain.persistent_disks)):
            for disk in disks:
                user = FileUser(
                    domain_uuid=domain.uuid, name=domain.name, target=disk.target, active=domain.active, later=later
                )
                self._note(self.chain(disk, running=domain.active and not later), user)

    def ask_directory(self, directory: Directory) -> None:
        user = FileUser(name=directory.path)
        known = set(self._catalog.known_paths(directory.path))
        for info in directory.files:
            if info.backing is not None and info.path not in known:
                self._note([info.backing, *self._followed(info.path, is_qcow2=info.format == "qcow2")], user)
        if layout.memory_path(directory.path) in directory.paths - known and directory.manifest is not None:
            self._ask_memory(directory.manifest, user)
        if directory.record is None or self._catalog.checkpoint_by_id(directory.record.checkpoint.id) is not None:
            return
        checkpoint = directory.record.checkpoint
        user = FileUser(name=directory.path, checkpoint=f"{checkpoint.domain_name}/{checkpoint.name}")
        self._note(directory.record.files, user)

    def _ask_memory(self, manifest: Manifest, user: FileUser) -> None:
        """A guest that a checkpoint saved had for its disks what the overlays were made on, whatever these are backed
        by now, and whether the catalog knows them or not."""
        for overlay in manifest.overlays:
            layer = Source(path=overlay.backing, format=overlay.backing_format)
            self._note([layer.path, *self.below(layer)], user)

    def ask_operation(self, record: OperationRecord) -> None:
        """A guest that it saved stands on disks that no definition may name."""
        for member in record.members:
            user = FileUser(name=member.domain_name, operation=record.kind.label)
            for layer in _named_layers(member.plan):
                self._note([layer.path, *self.below(layer)], user)

    def _note(self, chain: Iterable[str], user: FileUser) -> None:
        for path in chain:
            risked = self._at_risk.get(normpath(path))
            known = self.found.get(risked) if risked is not None else None
            if risked is not None and (known is None or (user.checkpoint and not known.checkpoint)):
                self.found[risked] = user  # a checkpoint is what says most

    def chain(self, disk: Disk, *, running: bool) -> Iterator[str]:
        """A disk and all that it stands on. What libvirt reports of a run in progress is whole; a persistent
        definition may name less than there is."""
        yield from disk.chain.paths
        lowest = disk.chain.layers[-1] if disk.chain.layers else None
        if lowest is not None and not (running and disk.backing) and disk.source_type == "file":
            yield from self.below(lowest)

    def below(self, layer: Source) -> list[str]:
        return self._followed(layer.path, is_qcow2=layer.format == "qcow2")

    def _followed(self, path: str, *, is_qcow2: bool) -> list[str]:
        key = (normpath(path), is_qcow2)
        if key not in self._below:
            self._below[key] = []  # a chain may go in a circle
            self._below[key] = list(self._follow(*key))
        return self._below[key]

    def _follow(self, path: str, is_qcow2: bool) -> Iterator[str]:
        if known := self._catalog.chain(path):
            yield from known.paths[1:]
            path, is_qcow2 = known.layers[-1].path, known.layers[-1].format == "qcow2"
        if not is_qcow2 or (header := self._header(path)) is None or header.backing is None:
            return
        named = backing_name(header.backing, path)
        if not named.startswith("/"):  # such as json:…: not a path, but it may contain one
            yield from (path for path in self._at_risk if path in named)
            return
        yield named
        yield from self._followed(named, is_qcow2=header.backing_format == "qcow2")

    def _header(self, path: str) -> qcow2.Header | None:
        """None for what cannot be read, or is no qcow2 image: no QEMU can start on it either."""
        try:
            return qcow2.parse_header(self._hypervisor.storage.read(path, 0, qcow2.HEAD_LENGTH))
        except (NotFound, UsageError, qcow2.BadHeader):
            return None
        except HypervisorError:
            return self._header_of_doubtful(path)

    def _header_of_doubtful(self, path: str) -> qcow2.Header | None:
        """Asked once more: an image of somebody else that the hypervisor cannot read keeps nobody from deleting."""
        try:
            return qcow2.parse_header(self._hypervisor.storage.read(path, 0, qcow2.HEAD_LENGTH))
        except (NotFound, UsageError, HypervisorError, qcow2.BadHeader):
            return None


def _named_layers(plan: object) -> Iterator[Source]:
    """All files with their formats that a plan names, as disks, as layers or as what overlays are made on. It is taken
    as the journal has it: another version of snapctl may have written it."""
    if isinstance(plan, Mapping):
        for path, its_format in (("path", "format"), ("backing", "backing_format")):
            if isinstance(plan.get(path), str) and isinstance(plan.get(its_format), str):
                yield Source(path=plan[path], format=plan[its_format])
        for value in plan.values():
            yield from _named_layers(value)
    elif isinstance(plan, list | tuple):
        for value in plan:
            yield from _named_layers(value)


def _unknown_directories(
    hypervisor: Hypervisor, catalog: Catalog, store: str, apart_from: Collection[str]
) -> Iterator[Directory]:
    """Those of operations that have files of which the catalog may know nothing."""
    storage = hypervisor.storage
    known = catalog.known_directories()
    for domain in filter(_UUID.fullmatch, storage.names(store) or ()):
        place = layout.domain_directory(store, domain)
        for operation in filter(_UUID.fullmatch, storage.names(place) or ()):
            path = join(place, operation)
            if path in known or path in apart_from:
                continue
            if (found := read_directory(storage, path, hypervisor.host.uuid)) is not None:
                yield found
