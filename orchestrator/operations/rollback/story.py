"""rollback: planned → prepared → stopped* → repointed → restored (paused) → committed → resumed → cleaned → done.

Everything is checked and made before the guest is stopped; up to then it never notices. Afterwards
the story goes forward. Not one guest instruction runs on storage that the catalog does not know,
and the files that hold the discarded state go only after the commit.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import msgspec

from ...engine.story import Commit, Step, nothing
from ...errors import Refused, Unfinished
from ...model import CheckpointState, Head, runs_after
from ...ports import Catalog, Evidence, Hypervisor, OpenOperation, Progress
from ...store.workspace import (
    new_layers,
    nothing_discarded,
    read_tops,
    remove_discarded,
    written_since,
)
from ..shared.base import PlannedStory
from ..shared.manifests import begun_manifest
from ..shared.prepared import prepared
from ..shared.rewind import Rewind, define_sources, require_sources
from .plan import RollbackPlan


class RollbackStory(PlannedStory[RollbackPlan]):
    """States a crash may leave: new overlays (guest as before); guest off, its former disks still
    there; guest restored and paused; guest on its new disks with discarded files still there."""

    def __init__(
        self,
        plan: RollbackPlan,
        hypervisor: Hypervisor,
        catalog: Catalog,
        operation: OpenOperation,
        facts: MutableMapping[str, Any],
        progress: Progress,
    ) -> None:
        super().__init__(plan, hypervisor, catalog, operation, facts, progress)
        self._rewind = Rewind(
            hypervisor, plan.domain_uuid, plan.memory_path, plan.overlays, facts, definition=self._definition
        )
        self._manifest = begun_manifest(plan, plan.checkpoint_id, operation.record.opened)

    @property
    def steps(self) -> tuple[Step, ...]:
        runs = runs_after(self.plan.after, self.plan.was_running)
        resumed = (Step("resumed", self._rewind.resume, self._rewind.is_resumed),) if runs else ()
        return (
            prepared(self._hypervisor, self.plan.directory, self._manifest, self.facts),
            Step("stopped", self._stop, self._is_stopped, nothing),
            Step("repointed", self._rewind.repoint, self._rewind.is_repointed, self._point_back),
            Step("restored", self._rewind.restore, self._rewind.is_restored),
            Commit("committed", self._commit, self._is_committed),
            *resumed,
            Step("cleaned", self._clean, self._is_cleaned),
        )

    def _definition(self) -> str:
        """As the catalog has it: no checkpoint that is being restored is deleted."""
        checkpoint = self._catalog.checkpoint_by_id(self.plan.checkpoint_id)
        assert checkpoint is not None  # noqa: S101 - one open operation per domain
        return checkpoint.origin.domain_xml

    def premises(self) -> None:
        plan = self.plan
        checkpoint = self._catalog.checkpoint_by_id(plan.checkpoint_id)
        if self._catalog.head(plan.domain_uuid) != plan.head:
            raise Refused(f"{plan.domain_name} was rolled back or checkpointed meanwhile", hint="try again")
        if checkpoint is None or checkpoint.state is not CheckpointState.READY:
            raise Refused(f"checkpoint {plan.checkpoint_name} was deleted meanwhile", hint="take another one")

    # ------------------------------------------------------------------ stopped: the point of no return

    def _stop(self) -> None:
        """End the run that the plan was made for, and no other."""
        if self.plan.run_id is None:
            return
        domain = self._hypervisor.domains.get(self.plan.domain_uuid)
        if domain is not None and domain.active:
            require_sources(domain, self.plan.previous_sources, self.plan.run_id)
            self._hypervisor.domains.destroy(self.plan.domain_uuid)

    def _is_stopped(self) -> Evidence | None:
        self._hypervisor.domains.wait_for_job(self.plan.domain_uuid)
        domain = self._hypervisor.domains.get(self.plan.domain_uuid)
        if domain is not None and domain.active:
            return None
        return {"stopped_on": msgspec.to_builtins(read_tops(self._hypervisor, self.plan.previous))}

    # ------------------------------------------------------------------ repointed

    def _point_back(self) -> None:
        previous = {disk.target: disk.source for disk in self.plan.defined if disk.source is not None}
        define_sources(self._hypervisor, self.plan.domain_uuid, previous)

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

    def decided(self) -> bool:
        """Beyond the stop, unless somebody has started the guest on its former disks since: then it has
        a present state again that nobody asked us to discard."""
        if self._is_committed() is not None:
            return True
        if "overlay_lengths" not in self.facts:
            return False
        domain = self._hypervisor.domains.get(self.plan.domain_uuid)
        if domain is not None and domain.active:
            return "stopped_on" in self.facts and domain.sources() != self.plan.previous_sources
        if "stopped_on" not in self.facts:
            return True
        return not written_since(self.facts["stopped_on"], read_tops(self._hypervisor, self.plan.previous))

    def unfinished(self, problem: str) -> Unfinished:
        return Unfinished(
            f"the rollback of {self.plan.domain_name} to {self.plan.checkpoint_name} is not finished: {problem}",
            effect="nothing of the checkpoint is lost",
            hint=f"run: snapctl recover {self.plan.domain_name}",
        )
