"""The one list of operations: which plan and which story each kind has. A new operation is a line here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from ..engine.story import Plan, Story
from ..errors import CatalogError
from ..model import MemberRecord, OperationKind, OperationRecord
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
from .keeping.plan import KeepingPlan
from .keeping.story import KeepingStory
from .rollback.plan import RollbackPlan
from .rollback.story import RollbackStory
from .shared.base import PlannedStory


@dataclass(frozen=True, slots=True)
class Kind:
    plan: type[Plan]
    story: type[PlannedStory[Any]]
    version: int = 2
    """Of plan and steps: see `Registry.version`. 1 was that of snapctl before operations had members."""


ABANDONED = 1
"""The version of an operation that is open only because it was abandoned when the catalog was upgraded."""

OPERATIONS: dict[OperationKind, Kind] = {
    OperationKind.CHECKPOINT: Kind(CheckpointPlan, CheckpointStory),
    OperationKind.ROLLBACK: Kind(RollbackPlan, RollbackStory),
    OperationKind.KEEPING_ROLLBACK: Kind(KeepingPlan, KeepingStory),
    OperationKind.DELETE: Kind(DeletePlan, DeleteStory),
    OperationKind.COLLAPSE: Kind(CollapsePlan, CollapseStory),
    OperationKind.FLATTEN: Kind(CollapsePlan, CollapseStory),
    OperationKind.EDIT: Kind(EditPlan, EditStory),
}


class Operations:
    """Implements `engine.story.Registry` for the operations above."""

    def version(self, kind: OperationKind) -> int:
        return OPERATIONS[kind].version

    def plans(self, operation: OperationRecord) -> list[Plan]:
        if operation.version != (known := self.version(operation.kind)):
            raise CatalogError(
                f"the {operation.kind.label} of {operation.domains} was started by another version of snapctl "
                f"(version {operation.version} of that operation; this one has {known})",
                hint="finish it with that version: snapctl recover"
                if operation.version > ABANDONED
                else "finish it with that version, in the backup of the catalog from before its upgrade",
            )
        return [_plan(operation, member) for member in operation.members]

    def stories(
        self, hypervisor: Hypervisor, catalog: Catalog, operation: OpenOperation, progress: Progress
    ) -> list[Story]:
        story, record = OPERATIONS[operation.record.kind].story, operation.record
        return [
            story(plan, hypervisor, catalog, operation, dict(member.results), progress)
            for plan, member in zip(self.plans(record), record.members, strict=True)
        ]


def _plan(operation: OperationRecord, member: MemberRecord) -> Plan:
    try:
        plan = msgspec.convert(member.plan, OPERATIONS[operation.kind].plan)
    except msgspec.ValidationError as error:
        raise _damaged(operation, str(error)) from error
    if (plan.operation_id, plan.domain_uuid) != (operation.id, member.domain_uuid):
        raise _damaged(operation, "it belongs to another operation")
    for path in misplaced(plan):
        raise _damaged(operation, f"{path!r} is not a path that snapctl gives a file")
    return plan


def misplaced(plan: Plan) -> list[str]:
    """The files that a plan would make or delete as our own, and that are not where those lie."""
    maker, files = plan.made
    return [path for path in files if not is_made_by(path, plan.domain_uuid, maker)]


def _damaged(operation: OperationRecord, problem: str) -> CatalogError:
    return CatalogError(
        f"the plan of operation {operation.id} is damaged: {problem}", hint="restore the catalog from a backup"
    )
