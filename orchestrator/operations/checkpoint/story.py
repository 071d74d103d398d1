"""checkpoint: planned → prepared → saved* → repointed → restored → committed → resumed → hashed → described → done.

Until a whole memory image exists everything can be undone and the guest does not notice. From then
on the image *is* the guest, so the story goes forward. It restores, paused, before it commits: until then nothing
relies on the frozen layers. So where a restore fails for good, the guest is restored onto its unchanged disks instead,
and only once it runs on them is the image removed. If that fails, too, the image is kept and the operation stays open.

An earlier snapctl committed before it restored. Its operations have these steps in the other order, and are finished
in it.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from ...engine.story import Commit, Step
from ...errors import SnapctlError, Unfinished
from ...model import After, Head, Source, runs_after
from ...ports import Catalog, Hypervisor, OpenOperation, Progress
from ...store.manifest import Manifest
from ..shared.base import require_head
from ..shared.manifests import begun_manifest, line_of
from ..shared.prepared import prepared
from ..shared.rewind import Rewind, point_back
from .capture import capture_of
from .made import MadeCheckpoint
from .plan import CheckpointPlan
from .retreat import Retreat
from .saving import SavingStory


class CheckpointStory(SavingStory[CheckpointPlan]):
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
        self._capture = capture_of(plan, plan.new_sources, (), hypervisor, results, progress)
        self._made = MadeCheckpoint(plan, hypervisor, catalog, operation, results, progress, self._manifest, ())
        self._retreat = Retreat(plan, hypervisor, self._capture, self._made, self._rewind, self._rewind, results)
        self._has_repointed = False  # by this very process

    @property
    def steps(self) -> tuple[Step, ...]:
        stopped = self._capture.stops_guest
        restores, runs = stopped and self.plan.after is not After.STOP, stopped and self._runs_after
        repointed = (Step("repointed", self._repoint, self._rewind.is_repointed, self._point_back),) if stopped else ()
        restored = (Step("restored", self._restore, self._rewind.is_restored),) if restores else ()
        resumed = (Step("resumed", self._resume, self._rewind.is_resumed),) if runs else ()
        return (
            prepared(
                self._hypervisor,
                self._catalog,
                self.plan.directory,
                self._manifest,
                self.results,
                self._made.before_save,
            ),
            self._capture.step,
            *repointed,
            *restored,
            Commit("committed", self._commit, self._made.is_committed, prepare=self._gather),
            *resumed,
            *self._made.last_steps,
        )

    def _manifest(self) -> Manifest:
        plan = self.plan
        line = (plan.checkpoint_id, *line_of(self._catalog, plan.parent_id))
        kept_id = plan.head.kept_id if plan.head else None
        return begun_manifest(plan, plan.checkpoint_id, self._operation.record.opened, line, kept_id)

    @property
    def _runs_after(self) -> bool:
        """As it was when it was saved: its owner may have paused or resumed it since the plan was made."""
        was_running = self.results.get("memory", {}).get("was_running", self.plan.was_running)
        return runs_after(self.plan.after, was_running)

    def check_preconditions(self) -> None:
        require_head(self.plan, self._catalog)
        self._made.require_free_name()

    # ------------------------------------------------------------------ repointed, restored, resumed

    def _repoint(self) -> None:
        self._capture.require_pair()
        self._made.require_its_disks()
        self._rewind.repoint()
        self._has_repointed = True

    def _restore(self) -> None:
        self._capture.require_unwritten()
        self._made.require_its_disks()
        self._keep_repointed()
        self._rewind.restore()

    def _resume(self) -> None:
        self._rewind.resume(self._restore)

    def _keep_repointed(self) -> None:
        """The step may be recorded, and the definition name the tops again: an earlier snapctl fell back in that order,
        and was killed then."""
        if not self._has_repointed and not self._rewind.is_going():
            self._rewind.repoint()

    def _point_back(self) -> None:
        plan = self.plan
        tops = {o.target: Source(path=o.backing, format=o.backing_format) for o in plan.overlays}
        point_back(self._hypervisor, plan.domain_uuid, tops, plan.overlays)

    # ------------------------------------------------------------------ committed

    def _gather(self) -> None:
        if self._capture.stops_guest:
            self._keep_repointed()
        self._made.gather()

    def _commit(self) -> None:
        plan = self.plan
        head = Head(
            host_uuid=plan.host.uuid,
            domain_uuid=plan.domain_uuid,
            checkpoint_id=plan.checkpoint_id,
            overlays={overlay.target: overlay.path for overlay in plan.overlays},
            kept_id=plan.head.kept_id if plan.head else None,
        )
        self._made.commit(head, plan.overlays)

    # ------------------------------------------------------------------ settling

    def caveat(self) -> SnapctlError | None:
        return self._rewind.caveat(self.plan.domain_name, self.plan.labels.name)

    def unfinished_error(self, problem: str) -> Unfinished:
        return self._made.unfinished_error(f"checkpoint {self.plan.labels.name} of {self.plan.domain_name}", problem)
