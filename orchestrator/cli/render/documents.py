"""JSON documents that are not just a value of the model."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from ...engine.story import Plan
from ...model import CheckpointDetails
from ...operations.keeping.plan import KeepingPlan
from ...operations.shared.compound import Compound
from .details import summary
from .tree import DomainTree


def details(found: CheckpointDetails) -> dict[str, Any]:
    """The object of `show -o json`: that of `list`, and all that the catalog knows beside it."""
    checkpoint = found.checkpoint
    fields: dict[str, Any] = msgspec.to_builtins(summary(found))
    origin: dict[str, Any] = msgspec.to_builtins(checkpoint.origin)
    return fields | {
        "damage": checkpoint.damage,
        "children": found.children,
        "memory": checkpoint.memory,
        "disks": checkpoint.disks,
        "artifacts": checkpoint.artifacts,
        "directory": checkpoint.directory,
        "operation_id": checkpoint.operation_id,
        "host": found.host,
        **origin,
    }


def plan(planned: Plan) -> dict[str, Any]:
    """The object of a dry run. The fields of a checkpoint's labels and origin are repeated at the top level; the
    checkpoint that a rollback makes of the present state is what comes before it."""
    if isinstance(planned, KeepingPlan):
        return plan(planned.back) | {"before": [plan(planned.keep)]}
    fields: dict[str, Any] = msgspec.to_builtins(planned)
    if "origin" not in fields:
        return fields
    return {**fields, **fields["labels"], **fields["origin"]}


def compound(planned: Compound[Any]) -> dict[str, Any]:
    """The object of a dry run of several operations: that of the last one, which is what was asked for, and what
    comes before it."""
    *before, last = planned.shown
    return plan(last) | ({"before": [plan(each) for each in before]} if before else {})


def forest(trees: Iterable[DomainTree]) -> list[dict[str, Any]]:
    """The domains of `tree -o json`; checkpoints in the order of the drawing, each with its depth."""
    return [
        {
            "domain": tree.name,
            "domain_uuid": tree.uuid,
            "unfinished": [
                {
                    "id": each.id,
                    "kind": each.kind,
                    "step": each.member(tree.uuid).step,
                    "decision": each.decision,
                    "opened": each.opened,
                    "owner": each.owner,
                }
                for each in tree.unfinished
            ],
            "checkpoints": [msgspec.to_builtins(node.checkpoint) | {"depth": node.depth} for node in tree.nodes],
        }
        for tree in trees
    ]
