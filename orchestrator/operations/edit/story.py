"""edit: planned → recorded* → described → done.

The catalog first, in one transaction; then the manifest beside the memory image, so that a rebuilt
catalog says the same. A crash leaves a catalog that is ahead of the manifest: forward only.
"""

from __future__ import annotations

from ...engine.story import Commit, Step
from ...errors import Refused, Unfinished
from ...model import CheckpointState
from ...ports import Evidence
from ...store.manifest import Manifest
from ...store.workspace import describe, is_described
from ..shared.base import PlannedStory
from ..shared.manifests import manifest_anew
from .plan import EditPlan


class EditStory(PlannedStory[EditPlan]):
    @property
    def steps(self) -> tuple[Step, ...]:
        return (
            Commit("recorded", self._record, self._is_recorded),
            Step("described", self._describe, self._is_described),
        )

    def check_preconditions(self) -> None:
        """The checkpoint is still what it was when the plan was made, and the new name is free."""
        plan, name = self.plan, self.plan.labels.name
        checkpoint = self._catalog.checkpoint_by_id(plan.checkpoint_id)
        if checkpoint is None or checkpoint.state is not CheckpointState.READY:
            raise Refused(
                f"checkpoint {plan.previous.name} was deleted after the plan was made", hint="choose another one"
            )
        if checkpoint.labels != plan.previous:
            raise Refused(f"checkpoint {plan.previous.name} was edited after the plan was made", hint="try again")
        holder = self._catalog.checkpoint(plan.domain_uuid, name)
        if holder is not None and holder.id != plan.checkpoint_id:
            raise Refused(
                f"a checkpoint named {name} of {plan.domain_name} was created in the meantime",
                hint="choose another name",
            )

    def _record(self) -> None:
        self._operation.edit_checkpoint(self.plan.checkpoint_id, self.plan.labels)

    def _is_recorded(self) -> Evidence | None:
        checkpoint = self._catalog.checkpoint_by_id(self.plan.checkpoint_id)
        return {} if checkpoint is not None and checkpoint.labels == self.plan.labels else None

    def _describe(self) -> None:
        if self._hypervisor.storage.files(self.plan.directory) is not None:
            describe(self._hypervisor, self.plan.directory, self._manifest())

    def _is_described(self) -> Evidence | None:
        """Done, too, if the directory was removed outside snapctl: that must not block the domain."""
        if self._hypervisor.storage.files(self.plan.directory) is None:
            return {}
        return {} if is_described(self._hypervisor, self.plan.directory, self._manifest()) else None

    def _manifest(self) -> Manifest:
        checkpoint = self._catalog.checkpoint_by_id(self.plan.checkpoint_id)
        assert checkpoint is not None  # noqa: S101 - it is not deleted while we have the domain
        return manifest_anew(self._catalog, self.plan.host, checkpoint)

    def is_past_no_return(self) -> bool:
        return self._is_recorded() is not None

    def unfinished_error(self, problem: str) -> Unfinished:
        return Unfinished(
            f"editing checkpoint {self.plan.previous.name} of {self.plan.domain_name} is not finished: {problem}",
            effect="the catalog has the change, the manifest in the store may not have it yet",
            hint=f"run: snapctl recover {self.plan.domain_name}",
        )
