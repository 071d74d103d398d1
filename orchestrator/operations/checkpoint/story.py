"""checkpoint: planned → prepared → saved* → repointed → committed → restored → resumed → hashed → described → done.

Until a whole memory image exists everything can be undone and the guest does not notice. From then
on the image *is* the guest, so the story goes forward; if that is impossible it first restores the
guest onto its unchanged disks and only then removes the image.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from ...engine.story import Commit, Step, problem_of, undone_error
from ...errors import GuestLost, Refused, SnapctlError, Unfinished
from ...model import After, Head, Source, runs_after
from ...ports import Catalog, Evidence, Hypervisor, OpenOperation, Progress
from ...store.manifest import Manifest
from ...store.workspace import describe, is_described, new_layers
from ..shared.base import PlannedStory
from ..shared.manifests import begun_manifest, whole_manifest
from ..shared.prepared import prepared
from ..shared.rewind import Rewind, point_back
from . import record
from .capture import capture_of
from .plan import CheckpointPlan


class CheckpointStory(PlannedStory[CheckpointPlan]):
    """States a crash may leave: some overlays; overlays and a partial image (guest running); a
    whole image (guest off); the same with persistent XML repointed, checkpoint committed, or guest
    restored. `settle()` ends each of them."""

    def __init__(
        self,
        plan: CheckpointPlan,
        hypervisor: Hypervisor,
        catalog: Catalog,
        operation: OpenOperation,
        results: MutableMapping[str, Any],
        progress: Progress,
    ) -> None:
        super().__init__(plan, hypervisor, catalog, operation, results, progress)
        definition = plan.origin.domain_xml
        self._rewind = Rewind(
            hypervisor,
            plan.domain_uuid,
            plan.memory_path,
            plan.overlays,
            results,
            operation_id=plan.operation_id,
            persistent=plan.origin.persistent,
            definition=lambda: definition,
        )
        self._capture = capture_of(plan, hypervisor, results, progress)
        self._manifest = begun_manifest(plan, plan.checkpoint_id, operation.record.opened)

    @property
    def steps(self) -> tuple[Step, ...]:
        stopped = self._capture.stops_guest
        restores, runs = stopped and self.plan.after is not After.STOP, stopped and self._runs_after
        repointed = (Step("repointed", self._repoint, self._rewind.is_repointed, self._point_back),) if stopped else ()
        restored = (Step("restored", self._restore, self._rewind.is_restored),) if restores else ()
        resumed = (Step("resumed", self._rewind.resume, self._rewind.is_resumed),) if runs else ()
        return (
            prepared(self._hypervisor, self.plan.directory, self._manifest, self.results),
            self._capture.step,
            *repointed,
            Commit("committed", self._commit, self._is_committed, prepare=self._gather),
            *restored,
            *resumed,
            Step("hashed", self._hash, self._is_hashed),
            Step("described", self._describe, self._is_described),
        )

    @property
    def _runs_after(self) -> bool:
        return runs_after(self.plan.after, self.plan.was_running)

    def check_preconditions(self) -> None:
        plan = self.plan
        if self._catalog.head(plan.domain_uuid) != plan.head:
            raise Refused(
                f"{plan.domain_name} was rolled back or checkpointed after the plan was made", hint="try again"
            )
        if self._catalog.checkpoint(plan.domain_uuid, plan.labels.name) is not None:
            raise Refused(
                f"a checkpoint named {plan.labels.name} of {plan.domain_name} was created in the meantime",
                hint="choose another name",
            )

    # ------------------------------------------------------------------ repointed, committed

    def _repoint(self) -> None:
        self._capture.require_pair()
        self._rewind.repoint()

    def _restore(self) -> None:
        self._capture.require_unwritten()
        self._rewind.restore()

    def _point_back(self) -> None:
        point_back(self._hypervisor, self.plan.domain_uuid, self._tops, self.plan.overlays)

    def _gather(self) -> None:
        """What the transaction is to write, so that nothing is asked of the hypervisor within it."""
        self._checkpoint = record.checkpoint(self.plan, self.results, self._catalog)
        self._chains = record.chains(self.plan, self._checkpoint, self._hypervisor)

    def _commit(self) -> None:
        head = Head(
            host_uuid=self.plan.host.uuid,
            domain_uuid=self.plan.domain_uuid,
            checkpoint_id=self._checkpoint.id,
            overlays={overlay.target: overlay.path for overlay in self.plan.overlays},
            kept_id=self.plan.head.kept_id if self.plan.head else None,
        )
        overlays = new_layers(self.plan.operation_id, self.plan.overlays)
        self._operation.commit_checkpoint(self._checkpoint, self._chains, head, overlays)

    def _is_committed(self) -> Evidence | None:
        return {} if self._catalog.checkpoint_by_id(self.plan.checkpoint_id) is not None else None

    # ------------------------------------------------------------------ hashed, described

    def _hash(self) -> None:
        digest = self._hypervisor.storage.sha256(self.plan.memory_path, self._progress)
        self._operation.record_sha256(self.plan.checkpoint_id, digest)

    def _is_hashed(self) -> Evidence | None:
        checkpoint = self._catalog.checkpoint_by_id(self.plan.checkpoint_id)
        return {} if checkpoint is not None and not checkpoint.unhashed else None

    def _describe(self) -> None:
        """Put all that the catalog now knows of the checkpoint beside its memory image."""
        describe(self._hypervisor, self.plan.directory, self._whole_manifest())

    def _is_described(self) -> Evidence | None:
        return {} if is_described(self._hypervisor, self.plan.directory, self._whole_manifest()) else None

    # ------------------------------------------------------------------ settling

    def is_past_no_return(self) -> bool:
        """Committed, or saved and not run since; or started outside snapctl on the very overlays that its
        persistent XML names by then, which leaves the frozen layers and the image a pair."""
        if self._is_committed() is not None:
            return True
        domain = self._hypervisor.domains.get(self.plan.domain_uuid)
        if domain is not None and domain.active and self._rewind.is_used_by(domain):
            return "frozen" in self.results
        return self._capture.is_captured() is not None

    def may_advance(self) -> bool:
        return False  # the others can be restored onto their disks

    def may_fall_back(self) -> bool:
        """Only while no checkpoint relies on the tops, they are as they were when the memory was saved, and no guest
        has worked on the overlays above them."""
        captured = self._is_committed() is None and self._capture.is_captured() is not None
        return captured and not self._rewind.has_run()

    def fall_back(self) -> None:
        """Restore the guest onto the unchanged tops."""
        self._point_back()
        self._rewind.restore_back(self._tops)

    def undone_error(self, cause: Exception) -> SnapctlError:
        domain = self._hypervisor.domains.get(self.plan.domain_uuid)
        if domain is None or not domain.active:
            return GuestLost(
                f"{self.plan.domain_name} was shut off before its memory was saved ({problem_of(cause)})",
                effect="its disks are as it left them; no checkpoint was created",
                hint=f"start it: virsh start {self.plan.domain_name}",
            )
        return undone_error(cause, self.plan.domain_name)

    def caveat(self) -> SnapctlError | None:
        return self._rewind.caveat(self.plan.domain_name, self.plan.labels.name)

    def unfinished_error(self, problem: str) -> Unfinished:
        return Unfinished(
            f"checkpoint {self.plan.labels.name} of {self.plan.domain_name} is not finished: {problem}",
            effect="nothing is lost",
            hint=f"run: snapctl recover {self.plan.domain_name}",
        )

    # ------------------------------------------------------------------ values

    @property
    def _tops(self) -> dict[str, Source]:
        return {o.target: Source(path=o.backing, format=o.backing_format) for o in self.plan.overlays}

    def _whole_manifest(self) -> Manifest:
        return whole_manifest(self._catalog, self.plan.host, self._manifest, self.plan.checkpoint_id)
