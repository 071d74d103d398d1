"""An open operation: the right to change its domains, and all that is written under it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from ..model import Checkpoint, Direction, Head, Labels, Layer, OperationRecord, OperationState

Evidence = Mapping[str, Any]
"""What a step that was observed done leaves in the journal."""


class OpenOperation(Protocol):
    """The right to change the domains of one operation: a row of the journal, and the token it was given.

    Kept alive by a heartbeat until it is released. Whoever lost it changes nothing: every method that writes
    does nothing and raises `Busy` when the token is not the row's any more. Each is one transaction; each
    raises `CatalogError` when it cannot.
    """

    @property
    def record(self) -> OperationRecord:
        """The journal row as it was last written by us."""

    def reread(self) -> None:
        """Read `record` again: what was last written may be there although an error said that it is not.

        Raises `Busy` when another process has taken the operation over."""

    def check(self) -> None:
        """Raise `Busy` unless the lease is still ours; called before each effect."""

    def release(self) -> None:
        """Stop the heartbeat. The row is not changed."""

    def discarded_layers(self, domain_uuid: str) -> list[Layer]:
        """The layers of a member that this operation discarded and whose rows are still there."""

    def withdraw_discards(self, domain_uuid: str) -> list[Layer]:
        """Take the mark off those of `discarded_layers` that a checkpoint, a head or a layer came to need since; called
        right before their files are removed.

        Returns those that nothing in the catalog stands on: the files of no others may be removed.
        """

    # the journal
    def complete(self, domain_uuid: str, step: str, results: Mapping[str, Any], entering: str | None = None) -> None:
        """Record that a member's `step` was observed done, add `results` to the member's, and that the effect of
        the step `entering` may begin to exist. Repeating it changes nothing."""

    def decide(self, direction: Direction) -> None:
        """Record where the operation goes, once and for all of its members."""

    def deciding(self) -> AbstractContextManager[None]:
        """All that is committed within is one transaction, which also decides that the operation goes forward.

        Nothing of it holds when anything within raises.
        """

    def close(self, state: OperationState, error: str | None = None) -> None:
        """Settle the operation (done or undone), release the lease. Repeating it changes nothing."""

    # what it commits
    def commit_checkpoint(
        self,
        checkpoint: Checkpoint,
        chains: Sequence[Layer],
        head: Head,
        overlays: Sequence[Layer],
    ) -> None:
        """Record a checkpoint, the layers it froze with all below them (`chains`), the new active
        overlays, and the head that refers to it. Repeating it changes nothing."""

    def commit_rollback(self, head: Head, overlays: Sequence[Layer]) -> list[Layer]:
        """Move the head onto new active overlays.

        Returns the layers of ours that nothing needs any more, and marks them discarded by this
        operation: they stay catalogued until `forget_layers`. Repeating it returns the same.
        """

    def hide_checkpoint(self, checkpoint_id: str) -> list[Layer]:
        """Put a checkpoint into state `deleting` and mark what only it needs as discarded by this
        operation; returns those layers. Its children, and a head that refers to it, refer to its parent
        from then on. Repeating it returns the same."""

    def begin_rewrite(self, path: str) -> None:
        """Record that this operation copies data into a layer: its file information is no longer that recorded."""

    def commit_rewrite(self, layer: Layer) -> list[Layer]:
        """Record what a layer is after it was rewritten: its backing file and file information.

        Returns the layers of ours that nothing needs any more, marked as discarded by this operation.
        Repeating it returns the same.
        """

    def edit_checkpoint(self, checkpoint_id: str, labels: Labels) -> None:
        """Say other things of a ready checkpoint. Repeating it changes nothing."""

    def record_sha256(self, checkpoint_id: str, sha256: str) -> None: ...
    def forget_layers(self, paths: Sequence[str]) -> None:
        """Drop the rows of files that are gone; one that something in the catalog came to need is kept."""

    def leave_layers(self, paths: Sequence[str]) -> None:
        """Drop the rows of files that stay, as somebody wrote to them after they were discarded. Before anything is
        removed that they are backed by, their directories are asked from then on."""

    def forget_checkpoint(self, checkpoint_id: str) -> None:
        """Drop a hidden checkpoint whose files are gone."""
