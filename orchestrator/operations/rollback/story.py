"""rollback: planned → prepared → stopped* → repointed → restored (paused) → committed → resumed → cleaned → done.

Everything is checked and made before the guest is stopped; up to then it never notices. Afterwards
the story goes forward. Not one guest instruction runs on storage that the catalog does not know,
and the files that hold the discarded state go only after the commit.

What may be discarded is the state of the time at which that was asked for. So a rollback that was interrupted is
finished only where the stop is proved to be its own: it is recorded, or the guest was destroyed and its active layers
have the times that "prepared" recorded. Nor may they have been written to, the guest been saved, or its definition been
edited since. In all other cases it is undone.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import msgspec

from ...engine.story import Commit, Step, no_undo
from ...errors import IntegrityError, Refused, SnapctlError, Unfinished
from ...model import CheckpointState, Domain, FileInfo, GuestState, Head, OffReason, runs_after
from ...ports import Catalog, Evidence, Hypervisor, OpenOperation, Progress
from ...store.workspace import (
    new_layers,
    nothing_discarded,
    read_tops,
    remove_discarded,
    written_after_stop,
    written_since,
)
from ..shared.base import PlannedStory
from ..shared.manifests import begun_manifest
from ..shared.prepared import prepared
from ..shared.refusals import refuse_foreign_state
from ..shared.rewind import Rewind, point_back, require_sources, suspended_outside
from .plan import RollbackPlan

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
        self._rewind = Rewind(
            hypervisor,
            plan.domain_uuid,
            plan.memory_path,
            plan.overlays,
            results,
            operation_id=plan.operation_id,
            persistent=plan.persistent,
            definition=self._definition,
        )
        self._manifest = begun_manifest(plan, plan.checkpoint_id, operation.record.opened)
        self._has_stopped = False  # by this very process

    @property
    def steps(self) -> tuple[Step, ...]:
        runs = runs_after(self.plan.after, self.plan.was_running)
        resumed = (Step("resumed", self._rewind.resume, self._rewind.is_resumed),) if runs else ()
        return (
            prepared(self._hypervisor, self.plan.directory, self._manifest, self.results, self._before_stop),
            Step("stopped", self._stop, self._is_stopped, no_undo),
            Step("repointed", self._repoint, self._rewind.is_repointed, self._point_back),
            Step("restored", self._restore, self._rewind.is_restored, self._unrestore),
            Commit("committed", self._commit, self._is_committed),
            *resumed,
            Step("cleaned", self._clean, self._is_cleaned),
        )

    def _definition(self) -> str:
        """As the catalog has it: no checkpoint that is being restored is deleted."""
        checkpoint = self._catalog.checkpoint_by_id(self.plan.checkpoint_id)
        assert checkpoint is not None  # noqa: S101 - one open operation per domain
        return checkpoint.origin.domain_xml

    def check_preconditions(self) -> None:
        plan = self.plan
        checkpoint = self._catalog.checkpoint_by_id(plan.checkpoint_id)
        if self._catalog.head(plan.domain_uuid) != plan.head:
            raise Refused(
                f"{plan.domain_name} was rolled back or checkpointed after the plan was made", hint="try again"
            )
        if checkpoint is None or checkpoint.state is not CheckpointState.READY:
            raise Refused(
                f"checkpoint {plan.checkpoint_name} was deleted after the plan was made", hint="choose another one"
            )
        if plan.kept_id is not None and self._catalog.checkpoint_by_id(plan.kept_id) is None:
            raise Refused("the checkpoint of the state before was deleted", hint="try again")

    # ------------------------------------------------------------------ stopped: the point of no return

    def _before_stop(self) -> Evidence:
        return {"stops_on": msgspec.to_builtins(self._read_tops())}

    def _read_tops(self) -> dict[str, FileInfo | None]:
        """By target, or by path where the domain as planned had no such disk."""
        known = self.plan.previous_sources.values()
        others = [path for path, *_ in self.plan.off_on if path not in known]
        return {**read_tops(self._hypervisor, self.plan.previous), **self._hypervisor.storage.stat_all(others)}

    def _stop(self) -> None:
        """End the run that the plan was made for, and no other."""
        if self.plan.run_id is None:
            return
        domain = self._hypervisor.domains.get(self.plan.domain_uuid)
        if domain is not None and domain.active:
            require_sources(domain, self.plan.previous_sources, self.plan.run_id)
            self._require_state_of_then()
            self._hypervisor.domains.destroy(self.plan.domain_uuid)
            self._has_stopped = True

    def _is_stopped(self) -> Evidence | None:
        self._hypervisor.domains.wait_for_job(self.plan.domain_uuid)
        domain = self._hypervisor.domains.get(self.plan.domain_uuid)
        if domain is not None and domain.active:
            return None
        if domain is not None:
            refuse_foreign_state(domain)
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

    # ------------------------------------------------------------------ repointed

    def _repoint(self) -> None:
        domain = self._hypervisor.domains.get(self.plan.domain_uuid)
        if (domain is not None and domain.active) or self._is_others(domain) or not self._is_our_stop(domain):
            raise Refused(f"{self.plan.domain_name} was changed outside snapctl after it was stopped", hint="try again")
        self._rewind.repoint()

    def _point_back(self) -> None:
        previous = {disk.target: disk.source for disk in self.plan.defined if disk.source is not None}
        point_back(self._hypervisor, self.plan.domain_uuid, previous, self.plan.overlays)

    # ------------------------------------------------------------------ restored

    def _restore(self) -> None:
        if not self._is_intact():
            raise IntegrityError(
                f"a layer of checkpoint {self.plan.checkpoint_name} was changed after the rollback was started",
                hint=f"see: snapctl verify {self.plan.domain_name} {self.plan.checkpoint_name}",
            )
        self._rewind.restore()

    def _is_intact(self) -> bool:
        """Whether the layers right below the overlays are as catalogued: an owner who finds the guest off may restore
        the very image by hand, and let the guest work on them."""
        checkpoint = self._catalog.checkpoint_by_id(self.plan.checkpoint_id)
        if checkpoint is None:
            return False
        files = {layer.path: layer for layer in checkpoint.layers.values() if layer.is_frozen_file}
        found = self._hypervisor.storage.stat_all(list(files))
        return all(
            info is not None and (info.physical, info.mtime) == (files[path].physical, files[path].mtime)
            for path, info in found.items()
        )

    def _unrestore(self) -> None:
        """End the run that was restored, paused: its memory is in the checkpoint still. Any other run is left alone."""
        domain = self._hypervisor.domains.get(self.plan.domain_uuid)
        if domain is None or domain.state is not GuestState.PAUSED or domain.sources() != self.plan.new_sources:
            return
        if self._rewind.is_ours() and not self._rewind.has_run():
            self._hypervisor.domains.destroy(self.plan.domain_uuid)

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
        remove_discarded(self._hypervisor, self._catalog, self._operation, self.plan.domain_uuid)

    def _is_cleaned(self) -> Evidence | None:
        return nothing_discarded(self._operation, self.plan.domain_uuid)

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
        return not self._is_others(domain) and self._is_our_stop(domain) and self._is_intact()

    def _is_our_stop(self, domain: Domain | None) -> bool:
        """Whether a guest that is off was stopped by this operation, and has not run since."""
        if "stopped_on" in self.results:
            return not written_since(self.results["stopped_on"], self._read_tops())
        if self._has_stopped:
            return self._is_state_of_then()
        if self.plan.run_id is None or "stops_on" not in self.results:  # an older snapctl recorded no such evidence
            return False
        if domain is not None and domain.off_reason is not OffReason.DESTROYED:
            return False
        return not written_after_stop(self.results["stops_on"], self._read_tops())

    def _is_others(self, domain: Domain | None) -> bool:
        """Whether a domain that is off was given something since that a restore would mix up or discard.

        Raises `Unfinished` when it relies on the new overlays.
        """
        if domain is None:
            return False
        defined, new = domain.persistent_sources(), self.plan.new_sources
        if domain.managed_save and any(defined.get(target) == path for target, path in new.items()):
            raise suspended_outside(domain)
        before = {disk.target: disk.path for disk in self.plan.defined}
        edited = any(path not in (before.get(target), new.get(target)) for target, path in defined.items())
        return edited or domain.managed_save or bool(domain.libvirt_snapshots or domain.libvirt_checkpoints)

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

    def caveat(self) -> SnapctlError | None:
        return self._rewind.caveat(self.plan.domain_name, self.plan.checkpoint_name)

    def unfinished_error(self, problem: str) -> Unfinished:
        return Unfinished(
            f"the rollback of {self.plan.domain_name} to {self.plan.checkpoint_name} is not finished: {problem}",
            effect="the checkpoint is unchanged",
            hint=f"run: snapctl recover {self.plan.domain_name}",
        )
