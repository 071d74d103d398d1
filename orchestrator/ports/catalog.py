"""The SQL database: checkpoints, layers and heads, and the journal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from ..model import (
    CatalogHealth,
    CatalogIdentity,
    Chain,
    Checkpoint,
    CheckpointDisk,
    CheckpointSummary,
    Collapsible,
    Head,
    Host,
    Inventory,
    KnownHost,
    Layer,
    MemberRecord,
    MemoryImage,
    OperationKind,
    OperationRecord,
    RebuiltDomain,
)
from .journal import OpenOperation


class Catalog(Protocol):
    """What the SQL database has of one host. Each method is one transaction, and raises `CatalogError` when it
    cannot."""

    # what it is, and whose host it is about
    def identity(self) -> CatalogIdentity: ...
    def was_made(self) -> bool:
        """Whether it is there, perhaps made by another client in the meantime."""

    def make(self) -> None:
        """Make the catalog, if it is not there: who only reads makes none, and sees an empty one."""

    def hosts(self) -> list[KnownHost]:
        """All that it knows."""

    def bind(self, host: Host) -> None:
        """Be about that host from now on: what was resolved of who the connection leads to."""

    def record_store(self, store_id: str, path: str, reported_uuid: str) -> None:
        """Record a store of the host, and what libvirt reports as the host's UUID."""

    def knows_any(self, directories: Iterable[str], host_uuid: str | None = None) -> bool:
        """Whether the host, or another one, has catalogued files or an operation in one of these directories."""

    # reading
    def domain_uuid(self, name: str) -> str | None:
        """The UUID under which the catalog knows a domain of that name (the newest, if there were several)."""

    def checkpoint(self, domain_uuid: str, name: str) -> Checkpoint | None:
        """A checkpoint by its name, in any state."""

    def checkpoint_by_id(self, checkpoint_id: str) -> Checkpoint | None: ...
    def some_checkpoint(self, domain_uuid: str) -> Checkpoint | None:
        """A checkpoint of a domain, no matter which one and in what state; None when it has none."""

    def summaries(self, domain_uuid: str | None = None, name: str | None = None) -> list[CheckpointSummary]:
        """All checkpoints of a host or domain, or those of that name, oldest first, without their documents."""

    def relying_on(self, path: str) -> list[CheckpointSummary]:
        """The ready checkpoints that could not be restored without that file, oldest first."""

    def ready_names(self, domain_uuid: str, beginning: str) -> list[str]:
        """Names, of the ready checkpoints of a domain, that begin so (not with nothing), oldest first."""

    def child_names(self, checkpoint_id: str) -> list[str]:
        """Names of the checkpoints whose parent it is, oldest first."""

    def ancestors(self, checkpoint_id: str) -> list[str]:
        """The ids of the checkpoints that one descends from, its parent first."""

    def head(self, domain_uuid: str) -> Head | None: ...
    def layer(self, path: str) -> Layer | None: ...
    def chain(self, path: str) -> Chain[Layer]:
        """The layer at `path` and all below it that are catalogued, nearest first."""

    def layers_freed_by(self, *checkpoint_ids: str) -> list[Layer]:
        """The layers of ours that nothing would need if those checkpoints of one domain were gone."""

    def collapsible(self, domain_uuid: str, paths: Sequence[str] | None = None) -> list[Collapsible]:
        """The layers of ours that no checkpoint and no head needs, and that back only one layer, with that
        layer: all of the domain, or those among or next to `paths`."""

    def inventory(self, domain_uuid: str | None = None) -> Inventory:
        """Every catalogued file of a host or domain: as many queries for many checkpoints as for one."""

    def known_paths(self, directory: str) -> list[str]:
        """Every catalogued file (memory images, sidecars and layers) in that directory."""

    def known_directories(self) -> frozenset[str]:
        """The directories of operations of which it has every file."""

    def unsettled(self, domain_uuid: str | None = None) -> list[OperationRecord]:
        """The operations that are open, oldest first."""

    def at_work(self, url: str) -> list[str]:
        """The operations that processes work on in the catalog at a URL, for people; none if that cannot be seen."""

    def is_abandoned(self, operation: OperationRecord) -> bool:
        """Whether no process works on it any more, so that `take_over` would succeed."""

    def abandoned(self) -> dict[str, list[str]]:
        """The operations that were closed as they were, by `recover --abandon`: by id, the paths of the layers that
        each had discarded and not removed."""

    def health(self) -> CatalogHealth: ...

    def left_over_layers(self) -> list[Layer]:
        """The layers that a settled operation discarded without removing their files, as something outside the catalog
        stood on them; newest first."""

    def forget_left_over(self, paths: Sequence[str]) -> None:
        """Drop the rows of such layers, whose files are gone."""

    # the journal
    def open_operation(
        self,
        *,
        operation_id: str,
        kind: OperationKind,
        version: int,
        members: Sequence[MemberRecord],
    ) -> OpenOperation:
        """Record the intent durably and take its domains, all or none. Raises `Busy` when another operation has one."""

    def take_over(self, operation: OperationRecord) -> OpenOperation:
        """Become the owner of an open operation whose owner is gone. Raises `Busy` while it is not."""

    # what replaces a catalog that was lost
    def rebuild(self, domains: Sequence[RebuiltDomain]) -> None:
        """Record these domains in one transaction. Raises `Refused` when the catalog already has a
        checkpoint or an open operation of its host."""

    # what verify found: no lease, as no domain is changed
    def mark_damage(self, checkpoint_id: str, damage: str | None) -> None:
        """Say on a checkpoint what is wrong with it, or that nothing is any more. Harmless when it is gone."""

    def record_memory(self, checkpoint_id: str, then: MemoryImage, now: MemoryImage) -> None:
        """Record what was read of a memory image while `then` was what the catalog said of it (its time of last change
        and SHA-256), unless the catalog says something else by now."""

    def record_layer(self, then: Layer, now: Layer) -> None:
        """The same of a layer: its length, time, fingerprint and SHA-256."""

    def record_medium(self, checkpoint_id: str, then: CheckpointDisk, now: CheckpointDisk) -> None:
        """The same of a disk that did not freeze."""

    def close_connection(self) -> None: ...
