"""The SQL database: checkpoints, layers and heads, and the journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from ..model import (
    CatalogCondition,
    Checkpoint,
    CheckpointSummary,
    Collapsible,
    Head,
    Holdings,
    Host,
    Labels,
    Layer,
    OperationKind,
    OperationRecord,
    OperationState,
    RebuiltDomain,
)
from .journal import Lease


class Catalog(Protocol):
    """The SQL database. Each method is one transaction; each raises `CatalogError` when it cannot."""

    # reading
    def domain_uuid(self, host_uuid: str, name: str) -> str | None:
        """The UUID under which the catalog knows a domain of that name (the newest, if it was made anew)."""

    def checkpoint(self, host_uuid: str, domain_uuid: str, name: str) -> Checkpoint | None:
        """A checkpoint by its name, in whatever state."""

    def checkpoint_by_id(self, checkpoint_id: str) -> Checkpoint | None: ...
    def some_checkpoint(self, host_uuid: str, domain_uuid: str) -> Checkpoint | None:
        """A checkpoint of a domain, no matter which one and in what state; None when it has none."""

    def summaries(
        self, host_uuid: str, domain_uuid: str | None = None, name: str | None = None
    ) -> list[CheckpointSummary]:
        """All checkpoints of a host or domain, or those of that name, oldest first, without their documents."""

    def relying_on(self, host_uuid: str, path: str) -> list[CheckpointSummary]:
        """The ready checkpoints that could not be restored without that file, oldest first."""

    def ready_names(self, host_uuid: str, domain_uuid: str, beginning: str) -> list[str]:
        """Names, of the ready checkpoints of a domain, that begin so (not with nothing), oldest first."""

    def child_names(self, checkpoint_id: str) -> list[str]:
        """Names of the checkpoints whose parent it is, oldest first."""

    def head(self, host_uuid: str, domain_uuid: str) -> Head | None: ...
    def layer(self, host_uuid: str, path: str) -> Layer | None: ...
    def chain(self, host_uuid: str, path: str) -> list[Layer]:
        """The layer at `path` and all below it that are catalogued, nearest first."""

    def discarded_layers(self, operation_id: str) -> list[Layer]:
        """The layers that this operation discarded and whose rows are still there."""

    def layers_freed_by(self, *checkpoint_ids: str) -> list[Layer]:
        """The layers of ours that nothing would need if those checkpoints of one domain were gone."""

    def collapsible(self, host_uuid: str, domain_uuid: str, paths: Sequence[str] | None = None) -> list[Collapsible]:
        """The layers of ours that no checkpoint and no head needs, and only one layer stands on, with that
        layer: all of the domain, or those among or next to `paths`."""

    def holdings(self, host_uuid: str, domain_uuid: str | None = None) -> Holdings:
        """Every catalogued file of a host or domain: as many queries for many checkpoints as for one."""

    def known_paths(self, host_uuid: str, directory: str) -> list[str]:
        """Every catalogued file (memory images and layers) in that directory."""

    def unsettled(self, host_uuid: str, domain_uuid: str | None = None) -> list[OperationRecord]:
        """The operations that are open, oldest first."""

    def is_abandoned(self, operation: OperationRecord) -> bool:
        """Whether nobody is at work on it any more, so that `take_over` would succeed."""

    def condition(self) -> CatalogCondition: ...

    # the journal
    def open_operation(
        self,
        *,
        operation_id: str,
        kind: OperationKind,
        host: Host,
        domain_uuid: str,
        domain_name: str,
        plan: Mapping[str, Any],
    ) -> Lease:
        """Record the intent durably and take the domain. Raises `Busy` when somebody else has it."""

    def take_over(self, operation: OperationRecord) -> Lease:
        """Become the owner of an open operation whose owner is gone. Raises `Busy` while it is not."""

    def enter(self, lease: Lease, step: str) -> None:
        """Record that the effect of `step` may begin to exist."""

    def complete(self, lease: Lease, step: str, facts: Mapping[str, Any], entering: str | None = None) -> None:
        """Record that `step` was observed done, merge `facts` into the operation's, and that the effect
        of the step `entering` may begin to exist."""

    def close(self, lease: Lease, state: OperationState, error: str | None = None) -> None:
        """Settle the operation (done or undone), release the lease. Repeating it changes nothing."""

    # what operations commit: each one transaction under the lease
    def commit_checkpoint(
        self,
        lease: Lease,
        checkpoint: Checkpoint,
        chains: Sequence[Layer],
        head: Head,
        overlays: Sequence[Layer],
    ) -> None:
        """Record a checkpoint, the layers it froze with all below them (`chains`), the new active
        overlays, and the head that stands on it. Repeating it changes nothing."""

    def commit_rollback(self, lease: Lease, head: Head, overlays: Sequence[Layer]) -> list[Layer]:
        """Move the head onto new active overlays.

        Returns the layers of ours that nothing needs any more, and marks them discarded by this
        operation: they stay catalogued until `forget_layers`. Repeating it returns the same.
        """

    def hide_checkpoint(self, lease: Lease, checkpoint_id: str) -> list[Layer]:
        """Put a checkpoint into state `deleting` and mark what only it needs as discarded by this
        operation; returns those layers. Its children, and a head that stands on it, stand on its parent
        from then on. Repeating it returns the same."""

    def begin_rewrite(self, lease: Lease, path: str) -> None:
        """Say that this operation pulls data into a layer: its facts are no longer those recorded."""

    def commit_rewrite(self, lease: Lease, layer: Layer) -> list[Layer]:
        """Record what a layer is after it was rewritten: its backing file and facts.

        Returns the layers of ours that nothing needs any more, marked as discarded by this operation.
        Repeating it returns the same.
        """

    def edit_checkpoint(self, lease: Lease, checkpoint_id: str, labels: Labels) -> None:
        """Say other things of a ready checkpoint. Repeating it changes nothing."""

    def record_sha256(self, lease: Lease, checkpoint_id: str, sha256: str) -> None: ...
    def forget_layers(self, lease: Lease, paths: Sequence[str]) -> None:
        """Drop the rows of files that are gone."""

    def forget_checkpoint(self, lease: Lease, checkpoint_id: str) -> None:
        """Drop a hidden checkpoint whose files are gone."""

    # what replaces a catalog that was lost
    def rebuild(self, host: Host, domains: Sequence[RebuiltDomain]) -> None:
        """Record these domains in one transaction. Raises `Refused` when the catalog already has a
        checkpoint or an open operation of that host."""

    # what verify found: no lease, as no domain is changed
    def mark_damage(self, checkpoint_id: str, damage: str | None) -> None:
        """Say on a checkpoint what is wrong with it, or that nothing is any more. Harmless when it is gone."""

    def record_memory_read(self, checkpoint_id: str, sha256: str) -> None:
        """Record the SHA-256 of a memory image, unless there is one."""

    def record_layer_read(self, host_uuid: str, layer: Layer, sha256: str) -> None:
        """Record the SHA-256 of a layer that was read while `layer` was what the catalog said of it,
        unless there is one, or the catalog says something else by now."""

    def close_connection(self) -> None: ...
