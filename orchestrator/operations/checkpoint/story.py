"""checkpoint: planned → prepared → saved* → repointed → restored → committed → resumed → hashed → described → done.

Until a whole memory image exists everything can be undone and the guest does not notice. From then
on the image *is* the guest, so the story goes forward. It restores, paused, before it commits: until then nothing
relies on the frozen layers. So where a restore fails for good, the guest is restored onto its unchanged disks instead,
and only once it runs on them is the image removed. If that fails, too, the image is kept and the operation stays open.

An earlier snapctl committed before it restored. Its operations have these steps in the other order, and are finished
in it.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any

import msgspec

from ...engine.story import Commit, Step, problem_of, undone_error
from ...errors import GuestLost, HypervisorError, Refused, SnapctlError, Unfinished
from ...integrity.media import read_media
from ...model import After, FileInfo, Head, Source, runs_after
from ...ports import Catalog, Evidence, Hypervisor, OpenOperation, Progress
from ...store.manifest import Manifest
from ...store.workspace import describe, is_described, new_layers, read_below, read_tops, replaced_since, written_since
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
        self._has_repointed = False  # by this very process

    @property
    def steps(self) -> tuple[Step, ...]:
        stopped = self._capture.stops_guest
        restores, runs = stopped and self.plan.after is not After.STOP, stopped and self._runs_after
        repointed = (Step("repointed", self._repoint, self._rewind.is_repointed, self._point_back),) if stopped else ()
        restored = (Step("restored", self._restore, self._rewind.is_restored),) if restores else ()
        resumed = (Step("resumed", self._resume, self._rewind.is_resumed),) if runs else ()
        return (
            prepared(self._hypervisor, self.plan.directory, self._manifest, self.results, self._before_save),
            self._capture.step,
            *repointed,
            *restored,
            Commit("committed", self._commit, self._is_committed, prepare=self._gather),
            *resumed,
            Step("hashed", self._hash, self._is_hashed),
            Step("described", self._describe, self._is_described),
        )

    @property
    def _runs_after(self) -> bool:
        """As it was when it was saved: its owner may have paused or resumed it since the plan was made."""
        was_running = self.results.get("memory", {}).get("was_running", self.plan.was_running)
        return runs_after(self.plan.after, was_running)

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

    # ------------------------------------------------------------------ prepared

    def _before_save(self) -> Evidence:
        """The guest's layers can only become newer until it is saved. Nobody may write to what is below them, or under
        the disks that do not freeze, of which the guest's memory may have parts cached: whoever does, does so outside
        snapctl."""
        tops, below = self._read_tops(), read_below(self._hypervisor, self.plan.disks)
        media = read_media(self._hypervisor.storage, self.plan.disks)
        found = {"before_save": tops, "below": below, "media": media}
        return {key: msgspec.to_builtins(value) for key, value in found.items()}

    def _read_tops(self) -> dict[str, FileInfo | None]:
        return {target: info for target, info in read_tops(self._hypervisor, self.plan.disks).items() if info}

    def _is_on_its_disks(self) -> bool:
        """Whether what lies under the overlays still is what the memory was saved with, as far as was seen before."""
        if "below" not in self.results:  # an older snapctl recorded none of it
            return True
        written = written_since(self.results["below"], read_below(self._hypervisor, self.plan.disks))
        return not written and not replaced_since(self.results["before_save"], self._read_tops())

    def _require_its_disks(self) -> None:
        if not self._is_on_its_disks():
            name = self.plan.domain_name
            raise Unfinished(
                f"a disk of {name}, or a layer below it, was written to or replaced after its memory was saved to "
                f"{self.plan.memory_path}",
                effect="the memory was not restored",
                hint=f"to discard the saved memory: virsh start {name}, then: snapctl recover {name}",
            )

    # ------------------------------------------------------------------ repointed, committed

    def _repoint(self) -> None:
        self._capture.require_pair()
        self._require_its_disks()
        self._rewind.repoint()
        self._has_repointed = True

    def _restore(self) -> None:
        self._capture.require_unwritten()
        self._require_its_disks()
        self._keep_repointed()
        self._rewind.restore()

    def _resume(self) -> None:
        self._rewind.resume(self._restore)

    def _keep_repointed(self) -> None:
        """The step may be recorded, and the definition name the tops again: an earlier snapctl fell back in that order,
        and was killed then."""
        if not self._has_repointed:
            self._rewind.repoint()

    def _point_back(self) -> None:
        point_back(self._hypervisor, self.plan.domain_uuid, self._tops, self.plan.overlays)

    def _gather(self) -> None:
        """What the transaction is to write, so that nothing is asked of the hypervisor within it."""
        if self._capture.stops_guest:
            self._keep_repointed()
        self._checkpoint = record.checkpoint(self.plan, self.results, self._catalog)
        self._chains = record.chains(self.plan, self._checkpoint, self._below(), self._hypervisor, self._catalog)

    def _below(self) -> Mapping[str, FileInfo | None]:
        """As they were before the memory was saved: it belongs to these."""
        if (recorded := self.results.get("below")) is not None:
            return msgspec.convert(recorded, dict[str, FileInfo | None])
        return read_below(self._hypervisor, self.plan.disks)

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
        has worked on the overlays above them.

        A guest that was restored is not stopped for it if one of them is a block device: nothing would show then
        whether it was written to since.
        """
        if self._is_committed() is not None or self._rewind.has_run():
            return False
        if self._rewind.is_held():
            may = None not in self.results["frozen"].values()
        else:
            may = self._capture.is_captured() is not None
        return may and self._is_on_its_disks()

    def fall_back(self) -> None:
        """Restore the guest onto the unchanged tops.

        The persistent XML names the overlays still. Killed there, whoever starts the guest writes to no top, and the
        image and the tops stay a pair.
        """
        self._rewind.unrestore()
        if self._capture.is_captured() is None:
            raise HypervisorError(f"{self.plan.domain_name} was not saved whole", effect="it was not restored")
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
            effect=self._where_memory_is(),
            hint=f"run: snapctl recover {self.plan.domain_name}",
        )

    def _where_memory_is(self) -> str:
        completed = self._operation.record.member(self.plan.domain_uuid).completed
        if "memory" in self.results and "committed" not in completed:
            return f"its memory is in {self.plan.memory_path}"
        return "nothing is lost"

    # ------------------------------------------------------------------ values

    @property
    def _tops(self) -> dict[str, Source]:
        return {o.target: Source(path=o.backing, format=o.backing_format) for o in self.plan.overlays}

    def _whole_manifest(self) -> Manifest:
        return whole_manifest(self._catalog, self.plan.host, self._manifest, self.plan.checkpoint_id)
