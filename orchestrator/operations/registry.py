"""The one list of operations: which plan and which story each kind has. A new operation is a line here."""

from __future__ import annotations

from typing import Any

import msgspec

from ..engine.story import Plan, Story
from ..errors import CatalogError
from ..model import OperationKind, OperationRecord
from ..ports import Catalog, Hypervisor, OpenOperation, Progress
from ..store.layout import is_made_by
from .checkpoint.plan import CheckpointPlan
from .checkpoint.story import CheckpointStory
from .collapse.plan import CollapsePlan
from .collapse.story import CollapseStory
from .delete.plan import DeletePlan
from .delete.story import DeleteStory
from .edit.plan import EditPlan
from .edit.story import EditStory
from .rollback.plan import RollbackPlan
from .rollback.story import RollbackStory
from .shared.base import PlannedStory

OPERATIONS: dict[OperationKind, tuple[type[Plan], type[PlannedStory[Any]]]] = {
    OperationKind.CHECKPOINT: (CheckpointPlan, CheckpointStory),
    OperationKind.ROLLBACK: (RollbackPlan, RollbackStory),
    OperationKind.DELETE: (DeletePlan, DeleteStory),
    OperationKind.COLLAPSE: (CollapsePlan, CollapseStory),
    OperationKind.FLATTEN: (CollapsePlan, CollapseStory),
    OperationKind.EDIT: (EditPlan, EditStory),
}


class Operations:
    """Implements `engine.story.Registry` for the operations above."""

    def plan(self, operation: OperationRecord) -> Plan:
        kind, _ = OPERATIONS[operation.kind]
        try:
            plan = msgspec.convert(operation.plan, kind)
        except msgspec.ValidationError as error:
            raise _damaged(operation, str(error)) from error
        for path in misplaced(plan):
            raise _damaged(operation, f"{path!r} is not where snapctl puts a file")
        return plan

    def story(self, hypervisor: Hypervisor, catalog: Catalog, operation: OpenOperation, progress: Progress) -> Story:
        _, kind = OPERATIONS[operation.record.kind]
        facts = dict(operation.record.facts)
        return kind(self.plan(operation.record), hypervisor, catalog, operation, facts, progress)


def misplaced(plan: Plan) -> list[str]:
    """The files that a plan would make or delete as our own, and that are not where those lie."""
    maker, files = plan.made
    return [path for path in files if not is_made_by(path, plan.domain_uuid, maker)]


def _damaged(operation: OperationRecord, problem: str) -> CatalogError:
    return CatalogError(
        f"the plan of operation {operation.id} is damaged: {problem}", hint="restore the catalog from a backup"
    )
