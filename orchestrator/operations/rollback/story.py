"""rollback: planned → prepared → stopped* → repointed → restored (paused) → committed → resumed → cleaned → done; the
managed-save image of a guest that has one is removed (unsaved) right after the commit.

Everything is checked and made before the guest is stopped; up to then it never notices. Afterwards
the story goes forward. Not one guest instruction runs on storage that the catalog does not know,
and the files that hold the discarded state go only after the commit.

What may be discarded is the state of the time at which that was asked for. So a rollback that was interrupted is
finished only where the stop is recorded, and only if nothing was written to the guest's disks, the guest was not saved
and its definition was not edited since. In all other cases it is undone. One that was killed between its stop and the
record of it has to be asked for again: the guest may have been stopped by its owner.

When the restore fails for good, the persistent XML goes back onto the disks of before, which are all there, and the
new overlays go: the guest is off, and the rollback is undone.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import msgspec

from ...engine.story import Commit, Step, no_undo
from ...errors import Refused, SnapctlError, Unfinished
from ...model import Domain, FileInfo, Head, OffReason, runs_after
from ...ports import Catalog, Evidence, Hypervisor, OpenOperation, Progress
from ...store.manifest import Manifest
from ...store.workspace import (
    new_layers,
    read_tops,
    written_after_stop,
    written_since,
)
from ..shared.base import PlannedStory
from ..shared.elsewhere import lock_elsewhere, refuse_elsewhere
from ..shared.manifests import begun_manifest, line_of
from ..shared.prepared import prepared
from ..shared.refusals import refuse_foreign_marks
from ..shared.rewind import Rewind, require_sources, suspended_outside
from .agreed import is_intact, require_agreed, require_intact
from .definition import Definition, catalogued
from .plan import RollbackPlan
from .renamed import RenamedImage

HESITATION_SECONDS = 60.0
"""How much later than prepared a guest may be stopped: a slow catalog takes seconds, a laptop sleeps for hours."""


class RollbackStory(PlannedStory[RollbackPlan]):
    """States a crash may leave: new overlays (guest as before); guest off, its former disks still
    there; guest restored and paused; guest on its new disks with discarded files still there."""

    def __init__(
        self,
        plan: RollbackPlan,
        hypervisor: Hypervisor,
        catalog: Catalog,
        operation: OpenOperation,
        results: MutableMapping[str, Any],
        progress: Progress,
    ) -> None:
        super().__init__(plan, hypervisor, catalog, operation, results, progress)
        memory_path = plan.renamed_path or plan.memory_path
        self._rewind = Rewind(
            hypervisor,
            plan.domain_uuid,
            memory_path,
            plan.overlays,
            results,
            operation_id=plan.operation_id,
            persistent=plan.persistent or plan.defines,
            definition=lambda: catalogued(plan, catalog),
            ejects=plan.ejects,
            managed_save=plan.managed_save,
        )
        self._renamed = RenamedImage(plan, plan.renamed_path, hypervisor) if plan.renamed_path else None
        self._persistent = Definition(plan, hypervisor, self._rewind, memory_path)
        self._has_stopped = False  # by this very process, or almost: an interrupt may come before the call returns
        self._is_off_everywhere = False  # as this very process has seen

    @property
    def steps(self) -> tuple[Step, ...]:
        runs = runs_after(self.plan.after, self.plan.was_running)
        resumed = (Step("resumed", self._resume, self._rewind.is_resumed),) if runs else ()
        saved = (Step("unsaved", self._remove_managed_save, self._is_unsaved),) if self.plan.managed_save else ()
        copied = (self._renamed.step,) if self._renamed is not None else ()
        return (
            *copied,
            prepared(
                self._hypervisor, self._catalog, self.plan.directory, self._manifest, self.results, self._before_stop
            ),
            Step("stopped", self._stop, self._is_stopped, no_undo),
            Step("repointed", self._repoint, self._persistent.is_repointed, self._persistent.point_back),
            Step("restored", self._restore, self._rewind.is_restored, self._rewind.unrestore),
            Commit("committed", self._commit, self._is_committed),
            *saved,
            *resumed,
            Step("cleaned", self._clean, self._is_cleaned),
        )

    def _manifest(self) -> Manifest:
        plan = self.plan
        line = line_of(self._catalog, plan.checkpoint_id)
        return begun_manifest(plan, plan.checkpoint_id, self._operation.record.opened, line, plan.kept_id)

    def check_preconditions(self) -> None:
        require_agreed(self.plan, self._catalog)
        if self.plan.kept_id is not None and self._catalog.checkpoint_by_id(self.plan.kept_id) is None:
            raise Refused("the checkpoint of the state before was deleted", hint="try again")

    # ------------------------------------------------------------------ stopped: the point of no return

    def _before_stop(self) -> Evidence:
        going = self._hypervisor.storage.stat_all(self.plan.discards)
        return {"stops_on": msgspec.to_builtins(self._read_tops()), "discards_on": msgspec.to_builtins(going)}

    def _read_tops(self) -> dict[str, FileInfo | None]:
        """By target, or by path where the domain as planned had no such disk."""
        known = self.plan.previous_sources.values()
        others = [path for path, *_ in self.plan.off_on if path not in known]
        return {**read_tops(self._hypervisor, self.plan.previous), **self._hypervisor.storage.stat_all(others)}

    def _stop(self) -> None:
        """End the run that the plan was made for, and no other."""
        if self.plan.run_id is None:
            self._refuse_elsewhere()
            self._is_off_everywhere = True
            return
        domain = self._hypervisor.domains.get(self.plan.domain_uuid)
        if domain is not None and domain.active:
            require_sources(domain, self.plan.previous_sources, self.plan.run_id)
            self._require_state_of_then()
            self._has_stopped = True
            self._hypervisor.domains.destroy(self.plan.domain_uuid)
            self._is_off_everywhere = True

    def _is_stopped(self) -> Evidence | None:
        self._hypervisor.domains.wait_for_job(self.plan.domain_uuid)
        domain = self._hypervisor.domains.get(self.plan.domain_uuid)
        if domain is not None and domain.active:
            return None
        if domain is not None:
            self._require_same_save(domain)
        self._require_state_of_then()
        return {"stopped_on": msgspec.to_builtins(self._read_tops())}

    def _require_state_of_then(self) -> None:
        """A client that was stopped, or whose machine slept, must not discard what the guest did in the meantime."""
        if not self._is_state_of_then():
            raise Refused(f"{self.plan.domain_name} kept running after the rollback was started", hint="try again")

    def _is_state_of_then(self) -> bool:
        then = {target: info for target, info in self.results.get("stops_on", {}).items() if info is not None}
        now = {target: info for target, info in self._read_tops().items() if target in then}
        return not written_after_stop(then, now, within=HESITATION_SECONDS)

    # ------------------------------------------------------------------ the managed-save image

    def _require_same_save(self, domain: Domain) -> None:
        """What libvirt keeps of a guest is that of the plan: it would mix up with ours, or be discarded unasked."""
        if domain.managed_save != self.plan.managed_save:
            what = "was suspended" if domain.managed_save else "was started"
            raise Refused(f"{domain.name} {what} outside snapctl after the plan was made", hint="try again")
        refuse_foreign_marks(domain)

    def _remove_managed_save(self) -> None:
        """Only now: until the new state is committed it may be the only copy of the guest's memory."""
        if self._rewind.is_saved_before():
            self._hypervisor.domains.remove_managed_save(self.plan.domain_uuid)

    def _is_unsaved(self) -> Evidence | None:
        """One of a run on the new overlays is its owner's, and stays."""
        return None if self._rewind.is_saved_before() else {}

    def _refuse_elsewhere(self) -> None:
        """As long as this very process has not seen that nobody else runs it on shared storage."""
        plan = self.plan
        like = catalogued(plan, self._catalog)
        refuse_elsewhere(self._hypervisor, self._catalog, plan.operation_id, plan.domain_name, like, plan.active_layers)

    # ------------------------------------------------------------------ repointed

    def _repoint(self) -> None:
        domain = self._hypervisor.domains.get(self.plan.domain_uuid)
        if (domain is not None and domain.active) or self._is_others(domain) or not self._is_our_stop(domain):
            raise Refused(f"{self.plan.domain_name} was changed outside snapctl after it was stopped", hint="try again")
        self._persistent.repoint()

    # ------------------------------------------------------------------ restored

    def _restore(self) -> None:
        require_intact(self.plan, self._hypervisor, self._catalog)
        if not self._is_off_everywhere:
            self._refuse_elsewhere()
        self._rewind.restore()

    def _resume(self) -> None:
        self._rewind.resume(self._restore)

    # ------------------------------------------------------------------ committed, cleaned

    def _commit(self) -> None:
        plan = self.plan
        head = Head(
            host_uuid=plan.host.uuid,
            domain_uuid=plan.domain_uuid,
            checkpoint_id=plan.checkpoint_id,
            overlays={overlay.target: overlay.path for overlay in plan.overlays},
            kept_id=plan.kept_id,
        )
        overlays = new_layers(plan.operation_id, plan.overlays)
        self._operation.commit_rollback(head, overlays)

    def _is_committed(self) -> Evidence | None:
        head = self._catalog.head(self.plan.domain_uuid)
        wanted = {overlay.target: overlay.path for overlay in self.plan.overlays}
        return {} if head is not None and dict(head.overlays) == wanted else None

    def _clean(self) -> None:
        if self._renamed is not None:
            self._renamed.remove()
        keeping: dict[str, str] = {}
        if not self._is_off_everywhere:
            operation_id, like = self.plan.operation_id, catalogued(self.plan, self._catalog)
            locked = lock_elsewhere(self._hypervisor, self._catalog, operation_id, like, self.plan.active_layers)
            if locked is not None:
                keeping = dict.fromkeys(self.plan.discards, locked)
        self._removal.remove(keeping=keeping, then=self._agreed_to_go())

    def _agreed_to_go(self) -> dict[str, Any]:
        """What the files that hold the discarded state were like, the tops when the guest was stopped: its owner may
        have started it on them again, or something else."""
        sources = self.plan.previous_sources
        tops = {sources.get(key, key): info for key, info in self.results.get("stopped_on", {}).items()}
        return {**self.results.get("discards_on", {}), **{path: info for path, info in tops.items() if path}}

    def _is_cleaned(self) -> Evidence | None:
        if self._renamed is not None and not self._renamed.is_removed():
            return None
        return self._removal.is_done()

    # ------------------------------------------------------------------ settling

    def is_past_no_return(self) -> bool:
        """Whether the guest is off and that is our doing, or it is on the new overlays, which it can be no sooner."""
        if self._is_committed() is not None:
            return True
        if "overlay_lengths" not in self.results:
            return False
        domain = self._hypervisor.domains.get(self.plan.domain_uuid)
        if domain is not None and domain.active:
            return self._rewind.is_used_by(domain)
        if self._rewind.has_run():
            return True
        if domain is None and self.plan.persistent:
            return False  # it was undefined since
        if self._is_others(domain) or not self._is_our_stop(domain):
            return False
        return is_intact(self.plan, self._hypervisor, self._catalog)

    def _is_our_stop(self, domain: Domain | None) -> bool:
        """Whether a guest that is off was stopped by this operation, and has not run since."""
        if "stopped_on" in self.results:
            tops = self._read_tops()
            ran = domain is not None and domain.off_reason is OffReason.RAN and None in tops.values()
            return not ran and not written_since(self.results["stopped_on"], tops)
        return self._has_stopped and self._is_state_of_then()

    def _is_others(self, domain: Domain | None) -> bool:
        """Whether a domain that is off was given something since that a restore would mix up or discard.

        Raises `Unfinished` when it relies on the new overlays.
        """
        if domain is None:
            return False
        defined, new = domain.persistent_sources(), self.plan.new_sources
        saved = domain.managed_save and not (self.plan.managed_save and self._rewind.is_saved_before())
        if saved and any(defined.get(target) == path for target, path in new.items()):
            raise suspended_outside(domain)
        before = {disk.target: disk.path for disk in self.plan.defined}
        edited = any(path not in (before.get(target), new.get(target)) for target, path in defined.items())
        return edited or saved or bool(domain.libvirt_snapshots or domain.libvirt_checkpoints)

    def may_advance(self) -> bool:
        """Whether the guest is the very run that was to be stopped, or is off as it was, and has not worked on."""
        plan, domain = self.plan, self._hypervisor.domains.get(self.plan.domain_uuid)
        if "stops_on" not in self.results:
            return False
        if domain is None:
            return not plan.persistent and plan.run_id is None
        if self._is_others(domain) or domain.run_id != plan.run_id or domain.sources() != plan.previous_sources:
            return False
        return not written_after_stop(self.results["stops_on"], self._read_tops())

    def may_give_up(self) -> bool:
        """As long as no guest has run on the new overlays, and none is to be resumed on them: the disks of before are
        all there. What ran on them is lost, as was agreed to."""
        if self._is_committed() is not None or self._rewind.has_run():
            return False
        domain = self._hypervisor.domains.get(self.plan.domain_uuid)
        if domain is not None and domain.active:
            return self._rewind.is_held()
        self._is_others(domain)  # raises when it relies on them
        return True

    def loss(self) -> str | None:
        """A transient guest that was stopped is gone, and nothing else says where its disks are."""
        plan = self.plan
        if plan.persistent or plan.run_id is None or self._hypervisor.domains.get(plan.domain_uuid) is not None:
            return None
        return f"its disks are as it left them: {self._previous_disks}"

    @property
    def _previous_disks(self) -> str:
        return ", ".join(path for path in self.plan.previous_sources.values() if path)

    def undone_error(self, cause: Exception) -> SnapctlError:
        """The guest that was stopped does not run again: its memory was not kept. Nor is a transient one defined."""
        error, plan = super().undone_error(cause), self.plan
        domain = self._hypervisor.domains.get(plan.domain_uuid)
        stopped = plan.run_id is not None and (self._has_stopped or "stopped_on" in self.results)
        if not stopped or (domain is not None and domain.active):
            return error
        if domain is not None:
            error.effect = f"undone: the disks of {plan.domain_name} are as it left them when it was stopped"
            error.hint = error.hint or f"start it: virsh start {plan.domain_name}"
        else:
            error.effect = f"undone: the disks of {plan.domain_name} are as it left them: {self._previous_disks}"
            error.hint = f"create it on them, or: snapctl rollback {plan.domain_name} {plan.checkpoint_name}"
        return error

    def caveat(self) -> SnapctlError | None:
        return self._rewind.caveat(self.plan.domain_name, self.plan.checkpoint_name)

    def unfinished_error(self, problem: str) -> Unfinished:
        return Unfinished(
            f"the rollback of {self.plan.domain_name} to {self.plan.checkpoint_name} is not finished: {problem}",
            effect="the checkpoint is unchanged",
            hint=f"run: snapctl recover {self.plan.domain_name}",
        )
