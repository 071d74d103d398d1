"""What is in the store, asked of the hypervisor only: directories, their files and manifests.

Reads only. Costs two or three calls a directory.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from posixpath import dirname

from ..errors import NotFound
from ..model import FileInfo
from ..ports import Storage
from . import layout, manifest
from .manifest import BadManifest, Manifest, Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """A directory where those of operations are. `manifest` is None unless it has a sound one, of this host."""

    path: str
    mode: int
    files: tuple[FileInfo, ...]
    manifest: Manifest | None
    problem: str = ""  # why there is no manifest: "has none", "is longer than ...", ...
    written_for: str = ""  # the UUID that its host was known under when the manifest was written

    @property
    def domain_uuid(self) -> str:
        return layout.domain_of(self.path)

    @property
    def operation_id(self) -> str:
        return layout.operation_of(self.path)

    @property
    def paths(self) -> frozenset[str]:
        """Of its files but for the manifest."""
        return frozenset(facts.path for facts in self.files) - {layout.manifest_path(self.path)}

    @property
    def record(self) -> Record | None:
        return self.manifest.record if self.manifest else None

    @property
    def memory(self) -> FileInfo | None:
        """The memory image of the checkpoint that is recorded here, if it has one and it is there."""
        memory = self.record.checkpoint.memory if self.record else None
        return next((facts for facts in self.files if memory is not None and facts.path == memory.path), None)

    @property
    def has_checkpoint(self) -> bool:
        """Whether a checkpoint is recorded here, and all that it alone has is there."""
        return self.record is not None and not set(self.record.checkpoint.own_files) - self.paths


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreContents:
    path: str
    itself: FileInfo | None  # None: there is no store yet
    domains: tuple[FileInfo, ...] = ()  # the directories that hold those of one domain's operations
    directories: tuple[Directory, ...] = ()
    strays: tuple[str, ...] = ()  # files where snapctl puts none

    @property
    def empty(self) -> list[str]:
        """The directories directly in it in which the hypervisor shows nothing."""
        held = {dirname(path) for path in (*self.strays, *(each.path for each in self.directories))}
        return [each.path for each in self.domains if each.path not in held]

    def files(self) -> Iterator[FileInfo]:
        for directory in self.directories:
            yield from directory.files


def read_store(
    storage: Storage, store: str, host_uuid: str, former_hosts: Collection[str] | None = ()
) -> StoreContents:
    """Everything in the store. Raises `HypervisorError`.

    Manifests of `former_hosts` (of any host for None) are as if they were of this one.
    """
    accepted = None if former_hosts is None else {host_uuid, *former_hosts}
    itself = next((each for each in storage.directories(dirname(store)) or () if each.path == store), None)
    if itself is None:
        return StoreContents(path=store, itself=None)
    domains = storage.directories(store) or []
    return StoreContents(
        path=store,
        itself=itself,
        domains=tuple(domains),
        directories=tuple(
            found
            for domain in domains
            for place in storage.directories(domain.path) or ()
            if (found := read_directory(storage, place.path, host_uuid, accepted, mode=place.mode))
        ),
        strays=tuple(
            facts.path
            for place in (store, *(each.path for each in domains))
            for facts in storage.files(place) or ()
            if place != store or not layout.is_owner_file(facts.path)
        ),
    )


def read_directory(
    storage: Storage, path: str, host_uuid: str, accepted: Collection[str] | None = None, *, mode: int = 0
) -> Directory | None:
    """None for one that was removed in between: operations may be in progress."""
    files = storage.files(path)
    if files is None:
        return None
    try:
        found = _manifest(storage, path, files, accepted)
    except BadManifest as error:
        return Directory(path=path, mode=mode, files=tuple(files), manifest=None, problem=str(error))
    return Directory(
        path=path,
        mode=mode,
        files=tuple(files),
        manifest=manifest.on_host(found, host_uuid),
        written_for=found.host_uuid,
    )


def _manifest(storage: Storage, directory: str, files: list[FileInfo], accepted: Collection[str] | None) -> Manifest:
    path = layout.manifest_path(directory)
    length = next((facts.physical for facts in files if facts.path == path), None)
    if length is None:
        raise BadManifest("is missing")
    if length > manifest.LONGEST:
        raise BadManifest(f"is longer than {manifest.LONGEST} bytes")
    try:
        found = manifest.decode(storage.read(path, 0, length), directory)
    except NotFound:
        raise BadManifest("is missing") from None
    if accepted is not None and found.host_uuid not in accepted:
        raise BadManifest(f"belongs to another host, {found.host_name}")
    return found
