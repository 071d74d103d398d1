"""The manifest of an operation's directory: when it is made, and when its checkpoint is whole."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from ...engine.story import Plan
from ...model import Checkpoint, Host, Layer, NewOverlay, OperationKind
from ...ports import Catalog
from ...store import manifest
from ...store.manifest import Manifest


def whole_manifest(catalog: Catalog, host: Host, begun: Manifest, checkpoint_id: str) -> Manifest:
    """`begun` with all that the catalog knows of a checkpoint that is committed, and was not deleted since."""
    checkpoint = catalog.checkpoint_by_id(checkpoint_id)
    assert checkpoint is not None  # noqa: S101 - it is not deleted while we have the domain
    chains = [catalog.chain(layer.path) for layer in checkpoint.layers.values()]
    parent = catalog.checkpoint_by_id(checkpoint.parent_id) if checkpoint.parent_id else None
    ancestors = catalog.ancestors(checkpoint_id)
    return manifest.with_checkpoint(begun, checkpoint, parent.name if parent else None, chains, ancestors)


def line_of(catalog: Catalog, checkpoint_id: str | None) -> tuple[str, ...]:
    """A checkpoint and its ancestors, nearest first: see `Manifest.line`."""
    return (checkpoint_id, *catalog.ancestors(checkpoint_id)) if checkpoint_id is not None else ()


def manifest_anew(catalog: Catalog, host: Host, checkpoint: Checkpoint) -> Manifest:
    """The whole manifest from the catalog alone: what is in the directory may be lost, or half written.

    Of the overlays that were made with the checkpoint it names those that are still there.
    """
    paths = catalog.known_paths(checkpoint.directory)
    made = [layer for path in paths if (layer := catalog.layer(path)) is not None]
    head = catalog.head(checkpoint.domain_uuid)
    is_here = head is not None and not set(head.overlays.values()).isdisjoint(paths)  # else no head will be again
    begun = Manifest(
        host_uuid=host.uuid,
        host_name=host.name,
        domain_uuid=checkpoint.domain_uuid,
        domain_name=checkpoint.domain_name,
        operation_id=checkpoint.operation_id,
        kind=OperationKind.CHECKPOINT,
        created=checkpoint.created,
        stands_on=checkpoint.id,
        overlays=tuple(overlay for layer in made if (overlay := _as_made(catalog, layer, checkpoint)) is not None),
        collapsed=tuple(layer for layer in made if _is_on_other(layer, checkpoint)),
        line=line_of(catalog, head.checkpoint_id if head is not None and is_here else checkpoint.id),
        kept_id=head.kept_id if head is not None and is_here else None,
    )
    return whole_manifest(catalog, host, begun, checkpoint.id)


def _as_made(catalog: Catalog, layer: Layer, checkpoint: Checkpoint) -> NewOverlay | None:
    """A checkpoint's overlays are made on what it freezes, but for those of a rollback that kept it."""
    below = checkpoint.layers.get(layer.target) or (catalog.layer(layer.backing) if layer.backing else None)
    if below is None:
        return None
    return NewOverlay(
        target=layer.target,
        path=layer.path,
        backing=below.path,
        backing_format=below.format,
        capacity=layer.capacity,
    )


def _is_on_other(layer: Layer, checkpoint: Checkpoint) -> bool:
    """Whether it absorbed layers since it was made, or is that of a rollback: its manifest has it as it is."""
    return layer.target in checkpoint.layers and layer.backing != checkpoint.layers[layer.target].path


class MakesOverlays(Plan, Protocol):
    """A plan of an operation that makes overlays in a directory of its own."""

    @property
    def overlays(self) -> tuple[NewOverlay, ...]: ...


def begun_manifest(
    plan: MakesOverlays,
    stands_on: str,
    opened: datetime,
    line: tuple[str, ...],
    kept_id: str | None = None,
) -> Manifest:
    """The manifest with which an operation marks its directory; `opened` is when its journal row was.

    No checkpoint of the domain comes or goes while the operation is open, so `line` is the same each time.
    """
    return Manifest(
        host_uuid=plan.host.uuid,
        host_name=plan.host.name,
        domain_uuid=plan.domain_uuid,
        domain_name=plan.domain_name,
        operation_id=plan.operation_id,
        kind=plan.kind,
        created=opened,
        stands_on=stands_on,
        overlays=plan.overlays,
        line=line,
        kept_id=kept_id,
    )
