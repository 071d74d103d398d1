"""The manifest of a whole checkpoint, as the catalog has it now."""

from __future__ import annotations

from collections.abc import Iterator

from .. import manifest
from ..manifest import Manifest
from ..model import Checkpoint, Host, NewOverlay, OperationKind
from ..ports import Catalog


def whole_manifest(catalog: Catalog, host: Host, begun: Manifest, checkpoint_id: str) -> Manifest:
    """`begun` with all that the catalog knows of a checkpoint that is committed, and not deleted meanwhile."""
    checkpoint = catalog.checkpoint_by_id(checkpoint_id)
    assert checkpoint is not None  # noqa: S101 - it is not deleted while we have the domain
    chains = [catalog.chain(host.uuid, layer.path) for layer in checkpoint.layers.values()]
    parent = catalog.checkpoint_by_id(checkpoint.parent_id) if checkpoint.parent_id else None
    return manifest.with_checkpoint(begun, checkpoint, parent.name if parent else None, chains)


def manifest_anew(catalog: Catalog, host: Host, checkpoint: Checkpoint) -> Manifest:
    """The whole manifest from the catalog alone: what is in the directory may be lost, or half written.

    Of the overlays that were made with the checkpoint it names those that are still there.
    """
    begun = Manifest(
        host_uuid=host.uuid,
        host_name=host.name,
        domain_uuid=checkpoint.domain_uuid,
        domain_name=checkpoint.domain_name,
        operation_id=checkpoint.id,
        kind=OperationKind.CHECKPOINT,
        created=checkpoint.created,
        stands_on=checkpoint.id,
        overlays=tuple(_overlays(catalog, host, checkpoint)),
    )
    return whole_manifest(catalog, host, begun, checkpoint.id)


def _overlays(catalog: Catalog, host: Host, checkpoint: Checkpoint) -> Iterator[NewOverlay]:
    for path in catalog.known_paths(host.uuid, checkpoint.directory):
        layer = catalog.layer(host.uuid, path)
        below = catalog.layer(host.uuid, layer.backing) if layer and layer.backing else None
        if layer is not None and below is not None:
            yield NewOverlay(
                target=layer.target,
                path=layer.path,
                backing=below.path,
                backing_format=below.format,
                capacity=layer.capacity,
            )
