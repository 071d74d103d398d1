"""rollback --keep-current: planned → prepared → saved* → repointed → restored (paused) → committed → resumed → hashed →
described → cleaned → done.

The guest is saved, as in a checkpoint, and stays off; what is restored then is another checkpoint. Both sides are
committed in one transaction: the checkpoint has all that the guest did, and nothing is discarded.

Until a whole memory image exists everything can be undone. From then on that image *is* the guest, until another one
took its place and this is committed. Where the other one cannot be restored, the guest is restored from its own image
onto its unchanged disks, and goes on as if nothing had been.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from ...engine.story import Commit, Step
from ...errors import SnapctlError, Unfinished
from ...model import Head, runs_after
from ...ports import Catalog, Evidence, Hypervisor, OpenOperation, Progress
from ...store.manifest import Manifest
from ..checkpoint.capture import capture_of
from ..checkpoint.made import MadeCheckpoint
from ..checkpoint.retreat import Retreat
from ..checkpoint.saving import SavingStory
from ..rollback.agreed import require_agreed, require_intact
from ..rollback.definition import Definition, catalogued
from ..rollback.renamed import RenamedImage
from ..shared.manifests import begun_manifest, line_of
from ..shared.prepared import prepared
from ..shared.rewind import Rewind
from .plan import KeepingPlan


class KeepingStory(SavingStory[KeepingPlan]):
    """States a crash may leave: new overlays, and perhaps a partial image (guest as before); a whole image (guest off);
    the same with the persistent XML on the overlays, or with the other checkpoint restored there, paused; all of it
    committed, and the guest paused."""

    def __init__(
        self,
        plan: KeepingPlan,
        hypervisor: Hypervisor,
        catalog: Catalog,
        operation: OpenOperation,
        results: MutableMapping[str, Any],
        progress: Progress,
    ) -> None:
        super().__init__(plan, hypervisor, catalog, operation, results, progress)
        keep, back = plan.keep, plan.back
        image = back.renamed_path or back.memory_path
        self._rewind = Rewind(
            hypervisor,
            plan.domain_uuid,
            image,
            back.overlays,
            results,
            operation_id=plan.operation_id,
            persistent=back.persistent or back.defines,
            definition=lambda: catalogued(back, catalog),
            ejects=back.ejects,
        )
        home = Rewind(
            hypervisor,
            plan.domain_uuid,
            keep.memory_path,
            keep.overlays,
            results,
            operation_id=plan.operation_id,
            persistent=keep.origin.persistent,
            definition=lambda: keep.origin.domain_xml,
        )
        others = tuple(overlay.path for overlay in back.overlays)
        self._capture = capture_of(keep, back.new_sources, others, hypervisor, results, progress)
        self._made = MadeCheckpoint(keep, hypervisor, catalog, operation, results, progress, self._manifest, others)
        self._renamed = RenamedImage(back, back.renamed_path, hypervisor) if back.renamed_path else None
        self._persistent = Definition(back, hypervisor, self._rewind, image)
        self._retreat = Retreat(keep, hypervisor, self._capture, self._made, self._rewind, home, results)

    @property
    def steps(self) -> tuple[Step, ...]:
        back = self.plan.back
        runs = runs_after(back.after, back.was_running)
        copied = (self._renamed.step,) if self._renamed is not None else ()
        cleaned = (Step("cleaned", self._clean, self._is_cleaned),) if self._renamed is not None else ()
        return (
            *copied,
            prepared(
                self._hypervisor, self._catalog, back.directory, self._manifest, self.results, self._made.before_save
            ),
            self._capture.step,
            Step("repointed", self._repoint, self._persistent.is_repointed, self._persistent.point_back),
            Step("restored", self._restore, self._rewind.is_restored),
            Commit("committed", self._commit, self._made.is_committed, prepare=self._gather),
            *((Step("resumed", self._resume, self._rewind.is_resumed),) if runs else ()),
            *self._made.last_steps,
            *cleaned,
        )

    def _manifest(self) -> Manifest:
        plan, to = self.plan, self.plan.back.checkpoint_id
        line = line_of(self._catalog, to)
        return begun_manifest(plan, to, self._operation.record.opened, line, plan.keep.checkpoint_id)

    def check_preconditions(self) -> None:
        require_agreed(self.plan.back, self._catalog)
        self._made.require_free_name()

    # ------------------------------------------------------------------ repointed, restored, resumed

    def _repoint(self) -> None:
        self._capture.require_pair()
        self._made.require_its_disks()
        self._rewind.require_name()  # else it would stay defined on disks that it does not come back on
        self._persistent.repoint()

    def _restore(self) -> None:
        self._capture.require_unwritten()
        self._made.require_its_disks()
        self._keep_repointed()
        require_intact(self.plan.back, self._hypervisor, self._catalog)
        self._rewind.restore()

    def _keep_repointed(self) -> None:
        """Its owner may have edited the definition while it was off: no start may write to what is frozen."""
        if self._persistent.is_repointed() is None and not self._rewind.is_going():
            self._persistent.repoint()

    def _resume(self) -> None:
        self._rewind.resume(self._restore)

    # ------------------------------------------------------------------ committed

    def _gather(self) -> None:
        self._keep_repointed()
        self._capture.require_unwritten()
        self._made.gather()

    def _commit(self) -> None:
        back = self.plan.back
        head = Head(
            host_uuid=back.host.uuid,
            domain_uuid=back.domain_uuid,
            checkpoint_id=back.checkpoint_id,
            overlays={overlay.target: overlay.path for overlay in back.overlays},
            kept_id=self.plan.keep.checkpoint_id,
        )
        self._made.commit(head, back.overlays)

    def _clean(self) -> None:
        if self._renamed is not None:
            self._renamed.remove()

    def _is_cleaned(self) -> Evidence | None:
        return {} if self._renamed is None or self._renamed.is_removed() else None

    # ------------------------------------------------------------------ settling

    def is_past_no_return(self) -> bool:
        """Only an image that still is a pair with its disks is committed."""
        beyond = super().is_past_no_return()
        if beyond and self._made.is_committed() is None and "frozen" in self.results:
            self._capture.require_unwritten()
        return beyond

    def fall_back(self) -> None:
        """The definition at once, too: until then the next start would be on the disks of the other checkpoint."""
        super().fall_back()
        self._persistent.point_back()

    def caveat(self) -> SnapctlError | None:
        return self._rewind.caveat(self.plan.domain_name, self.plan.back.checkpoint_name)

    def unfinished_error(self, problem: str) -> Unfinished:
        back = self.plan.back
        return self._made.unfinished_error(f"the rollback of {back.domain_name} to {back.checkpoint_name}", problem)
