"""delete: planned → hidden* → removed → described → done.

The checkpoint is hidden first, in one transaction with the list of what only it needs; its files
go after that. A crash leaves a hidden checkpoint some of whose files are gone: forward only.
What descended from it descends from its parent from then on; layers that they need stay.
"""

from __future__ import annotations

import msgspec

from ...engine.story import Commit, Step
from ...errors import Refused, Unfinished
from ...model import Checkpoint, CheckpointState, Head, Source
from ...ports import Evidence
from ...store import manifest
from ...store.workspace import changed_manifest, describe_as, is_described_as, remove_files
from ..shared.base import PlannedStory
from ..shared.elsewhere import refuse_elsewhere
from ..shared.guest import is_only_copy
from .plan import DeletePlan, only_copy


class DeleteStory(PlannedStory[DeletePlan]):
    @property
    def steps(self) -> tuple[Step, ...]:
        return (
            Commit("hidden", self._hide, self._is_hidden, prepare=self._require_copy),
            Step("removed", self._remove, self._is_removed),
            Step("described", self._describe, self._is_described),
        )

    def check_preconditions(self) -> None:
        """It still exists, and did not become current after the plan was made."""
        plan = self.plan
        checkpoint = self._catalog.checkpoint_by_id(plan.checkpoint_id)
        head = self._catalog.head(plan.domain_uuid)
        gone = checkpoint is None or checkpoint.state is not CheckpointState.READY
        if gone or head != plan.head or (plan.sparing and checkpoint and checkpoint.labels.protected):
            raise Refused(
                f"{plan.domain_name} or checkpoint {plan.checkpoint_name} changed after the plan was made",
                hint="try again",
            )

        if checkpoint is not None and plan.head is not None:
            self._refuse_elsewhere(checkpoint, plan.head)

    def _refuse_elsewhere(self, checkpoint: Checkpoint, head: Head) -> None:
        domain = self._hypervisor.domains.get(self.plan.domain_uuid)
        if domain is None or not domain.active:
            refuse_elsewhere(
                self._hypervisor,
                self._catalog,
                self.plan.operation_id,
                self.plan.domain_name,
                checkpoint.origin.domain_xml,
                [Source(path=path, format="qcow2") for path in head.overlays.values()],
            )

    def _require_copy(self) -> None:
        """As late as can be: a guest that is paused may end at any time."""
        plan = self.plan
        checkpoint = self._catalog.checkpoint_by_id(plan.checkpoint_id)
        domain = self._hypervisor.domains.get(plan.domain_uuid)
        if plan.force or checkpoint is None or plan.head is None:
            return
        if is_only_copy(self._hypervisor, self._catalog, domain, checkpoint, plan.head):
            raise only_copy(plan.domain_name, plan.checkpoint_name)

    def _hide(self) -> None:
        self._operation.hide_checkpoint(self.plan.checkpoint_id)

    def _is_hidden(self) -> Evidence | None:
        checkpoint = self._catalog.checkpoint_by_id(self.plan.checkpoint_id)
        return {} if checkpoint is None or checkpoint.state is CheckpointState.DELETING else None

    def _remove(self) -> None:
        """The memory image first: it is most of the bytes. The names go after the files."""
        plan = self.plan
        remove_files(self._hypervisor, plan.domain_uuid, plan.files)
        self._removal.remove(besides=plan.files, keeping=dict(plan.kept), then=msgspec.to_builtins(plan.seen))
        self._operation.forget_checkpoint(plan.checkpoint_id)

    def _is_removed(self) -> Evidence | None:
        gone = self._catalog.checkpoint_by_id(self.plan.checkpoint_id) is None
        removed = self._removal.is_done()
        if not gone or removed is None:
            return None
        changed = changed_manifest(self._hypervisor, self.plan.directory, manifest.without_checkpoint)
        return {**removed, **changed}

    def _describe(self) -> None:
        """Where layers are kept, the manifest no longer describes a checkpoint: a rebuild would miss its image."""
        describe_as(self._hypervisor, self.plan.directory, self.results)

    def _is_described(self) -> Evidence | None:
        return is_described_as(self._hypervisor, self.plan.directory, self.results)

    def is_past_no_return(self) -> bool:
        return self._is_hidden() is not None

    def unfinished_error(self, problem: str) -> Unfinished:
        return Unfinished(
            f"deleting checkpoint {self.plan.checkpoint_name} of {self.plan.domain_name} is not finished: {problem}",
            effect="nothing else was changed",
            hint=f"run: snapctl recover {self.plan.domain_name}",
        )
