"""show: a checkpoint and its neighbours."""

from __future__ import annotations

from collections.abc import Iterable

from ..model import Checkpoint, CheckpointDetails, Host, Layer
from ..ports import Catalog


def details(host: Host, catalog: Catalog, checkpoint: Checkpoint) -> CheckpointDetails:
    head = catalog.head(checkpoint.domain_uuid)
    parent = catalog.checkpoint_by_id(checkpoint.parent_id) if checkpoint.parent_id else None
    freed = catalog.layers_freed_by(checkpoint.id)
    frozen = [layer for layer in checkpoint.layers.values() if layer.operation_id is not None]
    return CheckpointDetails(
        checkpoint=checkpoint,
        host=host,
        parent=parent.name if parent else None,
        current=head is not None and head.checkpoint_id == checkpoint.id,
        children=tuple(catalog.child_names(checkpoint.id)),
        exclusive_bytes=checkpoint.own_bytes + _allocation(freed),
        shared_bytes=_allocation(layer for layer in frozen if layer.path not in {each.path for each in freed}),
    )


def _allocation(layers: Iterable[Layer]) -> int:
    """What they took when they froze."""
    return sum(layer.allocation or 0 for layer in layers)
