"""JSON documents that are not just a value of the model as it stands."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from .tree import DomainTree


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
