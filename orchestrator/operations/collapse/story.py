"""collapse, flatten: planned → marked → streamed* → committed → described → removed → done.

The data of the layers below a layer is copied up into it; then its backing file is the base, and those that
nothing else needs go. What a guest sees in the layer is the same at every moment, so a crash leaves
a whole chain, with more in it than before or with the layer on its new base. A running guest whose own
disk it is has its QEMU do it (a block job); else a helper domain does, which is paused, has no network
and never boots.
"""

from __future__ import annotations

from dataclasses import replace

from ...engine.story import Commit, Step
from ...errors import HypervisorError, NotFound, Refused, Unfinished
from ...integrity.file_users import find_users
from ...model import Domain, Layer
from ...ports import Evidence
from ...store import manifest
from ...store.layout import directory_of
from ...store.workspace import changed_manifest, describe_as, is_described_as
from ..shared.base import PlannedStory
from ..shared.helper import HELPER_TARGET
from .plan import CollapsePlan


class CollapseStory(PlannedStory[CollapsePlan]):
    """States a crash may leave: a layer that the catalog holds for being rewritten; with it a helper domain, or
    a block job in progress; a layer on its new base; its former backing files still there."""

    _may_have_streamed = False

    @property
    def steps(self) -> tuple[Step, ...]:
        return (
            Step("marked", self._mark, self._is_marked, self._unmark),
            Step("streamed", self._stream, self._is_streamed, self._stop),
            Commit("committed", self._commit, self._see_committed, prepare=self._gather),
            Step("described", self._describe, self._is_described),
            Step("removed", self._remove, self._is_removed),
        )

    def check_preconditions(self) -> None:
        if self._catalog.layer(self.plan.layer.path) != self.plan.layer:
            raise Refused(f"{self.plan.layer.path} was changed after the plan was made", hint="try again")
        besides = (self.plan.domain_uuid, self.plan.operation_id)
        for path, user in find_users(self._hypervisor, self._catalog, [self.plan.layer.path], besides=besides).items():
            raise Refused(f"{path} cannot be collapsed: {user}", hint="try again when that is no longer so")

    # ------------------------------------------------------------------ marked

    def _mark(self) -> None:
        self._operation.begin_rewrite(self.plan.layer.path)

    def _is_marked(self) -> Evidence | None:
        return {} if self._catalogued.rewritten_by == self.plan.operation_id else None

    def _unmark(self) -> None:
        """If data may have been copied, it has more in it than before, on the same base. Otherwise all that is recorded
        of it still holds: what else has written to it is left for `verify` to find."""
        if self._is_marked() is not None:
            layer = self.plan.layer
            self._operation.commit_rewrite(self._as_it_is(layer.backing) if self._may_have_streamed else layer)

    # ------------------------------------------------------------------ streamed: the point of no return

    def _stream(self) -> None:
        domains, plan = self._hypervisor.domains, self.plan
        if (target := self._disk_of_running_guest()) is not None:
            self._pull(plan.domain_uuid, target)
            return
        if not self._stands_on_base():
            if self._helper() is None:
                domains.create_paused(plan.helper_xml)
            self._pull(plan.operation_id, HELPER_TARGET)
        domains.destroy(plan.operation_id)  # and with it the last of what QEMU had yet to write

    def _pull(self, uuid: str, target: str) -> None:
        try:
            self._hypervisor.domains.stream(uuid, target, self.plan.base_path, self._progress)
        except NotFound as gone:  # a transient domain ends with its QEMU
            problem = f"the QEMU process that copied data into {self.plan.layer.path} ended"
            raise HypervisorError(problem, effect="how much was copied is unknown") from gone

    def _is_streamed(self) -> Evidence | None:
        return {} if self._stands_on_base() and self._helper() is None and not self._job_of_guest() else None

    def _stop(self) -> None:
        self._may_have_streamed = True  # this undo is only called for a step that may have begun
        if (target := self._disk_of_running_guest()) is not None:
            self._hypervisor.domains.stop_streaming(self.plan.domain_uuid, target)
        self._hypervisor.domains.destroy(self.plan.operation_id)

    def _helper(self) -> Domain | None:
        return self._hypervisor.domains.get(self.plan.operation_id)

    def _disk_of_running_guest(self) -> str | None:
        """The disk of the domain, if it runs, whose active layer this is."""
        domain = self._hypervisor.domains.get(self.plan.domain_uuid)
        if domain is None or not domain.active:
            return None
        return next((target for target, path in domain.sources().items() if path == self.plan.layer.path), None)

    def _job_of_guest(self) -> bool:
        domain = self._hypervisor.domains.get(self.plan.domain_uuid)
        return domain is not None and self._disk_of_running_guest() in domain.block_jobs

    def _stands_on_base(self) -> bool:
        found = self._hypervisor.storage.stat(self.plan.layer.path)
        return found is not None and (found.format, found.backing) == ("qcow2", self.plan.base_path)

    # ------------------------------------------------------------------ committed

    def _gather(self) -> None:
        self._rewritten = self._as_it_is(self.plan.base_path)

    def _commit(self) -> None:
        self._operation.commit_rewrite(self._rewritten)

    def _see_committed(self) -> Evidence | None:
        if not self._is_committed():
            return None
        layer = self._catalogued
        return changed_manifest(self._hypervisor, self._directory, lambda found: manifest.with_collapsed(found, layer))

    def _is_committed(self) -> bool:
        layer = self._catalogued
        return layer.backing == self.plan.base_path and layer.rewritten_by is None

    def _as_it_is(self, backing: str | None) -> Layer:
        """The layer with the file information that it has now; of an active one none is recorded."""
        layer = replace(self.plan.layer, backing=backing, sha256=None, rewritten_by=None)
        found = self._hypervisor.storage.stat(layer.path)
        if layer.is_active or found is None:
            return layer
        return replace(layer, physical=found.physical, allocation=found.allocation, mtime=found.mtime)

    @property
    def _catalogued(self) -> Layer:
        layer = self._catalog.layer(self.plan.layer.path)
        if layer is None:
            raise Refused(f"{self.plan.layer.path} is no longer in the catalog")
        return layer

    # ------------------------------------------------------------------ described, removed

    def _describe(self) -> None:
        """So that a catalog rebuilt from the store knows the layer as it is."""
        describe_as(self._hypervisor, self._directory, self.results)

    def _is_described(self) -> Evidence | None:
        return is_described_as(self._hypervisor, self._directory, self.results)

    @property
    def _directory(self) -> str:
        return directory_of(self.plan.layer.path)

    def _remove(self) -> None:
        self._removal.remove()

    def _is_removed(self) -> Evidence | None:
        return self._removal.is_done()

    # ------------------------------------------------------------------ settling

    def is_past_no_return(self) -> bool:
        return self._is_committed() or (self._is_marked() is not None and self._stands_on_base())

    def unfinished_error(self, problem: str) -> Unfinished:
        return Unfinished(
            f"collapsing layers into {self.plan.layer.path} is not finished: {problem}",
            effect="the contents of all disks are unchanged",
            hint=f"run: snapctl recover {self.plan.domain_name}",
        )
