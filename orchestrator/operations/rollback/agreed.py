"""Whether all still is as agreed: the state that is given up, the checkpoint, and what its memory is restored on."""

from __future__ import annotations

from ...errors import IntegrityError, Refused
from ...formats.fingerprint import is_comparable
from ...formats.needs import catalogued_needs
from ...model import Checkpoint, CheckpointState, Layer
from ...ports import Catalog, Hypervisor
from ..shared.base import require_head
from .plan import RollbackPlan


def require_agreed(plan: RollbackPlan, catalog: Catalog) -> None:
    """As far as the catalog can tell."""
    checkpoint = catalog.checkpoint_by_id(plan.checkpoint_id)
    require_head(plan, catalog)
    if checkpoint is None or checkpoint.state is not CheckpointState.READY:
        raise Refused(
            f"checkpoint {plan.checkpoint_name} was deleted after the plan was made", hint="choose another one"
        )


def require_intact(plan: RollbackPlan, hypervisor: Hypervisor, catalog: Catalog) -> None:
    if not is_intact(plan, hypervisor, catalog):
        raise IntegrityError(
            f"a layer of checkpoint {plan.checkpoint_name} was changed after the rollback was started",
            hint=f"see: snapctl verify {plan.domain_name} {plan.checkpoint_name}",
        )


def is_intact(plan: RollbackPlan, hypervisor: Hypervisor, catalog: Catalog) -> bool:
    """Whether the layers below the overlays are as catalogued: an owner who finds the guest off may restore the
    very image by hand, and let the guest work on them, or write to a base."""
    checkpoint = catalog.checkpoint_by_id(plan.checkpoint_id)
    if checkpoint is None:
        return False
    chains = [catalog.chain(layer.path) for layer in checkpoint.layers.values()]
    files = {layer.path: layer for chain in chains for layer in chain if _is_to_be_as_catalogued(layer)}
    found = hypervisor.storage.stat_all(list(files))
    return _are_printed_intact(plan, checkpoint, hypervisor) and all(
        info is not None and (info.physical, info.mtime) == (files[path].physical, files[path].mtime)
        for path, info in found.items()
    )


def _are_printed_intact(plan: RollbackPlan, checkpoint: Checkpoint, hypervisor: Hypervisor) -> bool:
    """The same of block devices, and of the media that the guest is restored with."""
    known = {
        path: disk.layer.fingerprint if disk.layer is not None else disk.fingerprint
        for disk in checkpoint.disks
        if (path := disk.path) is not None and disk.target not in plan.ejects
    }
    known = {path: each for path, each in known.items() if is_comparable(each)}
    if not known:
        return True
    optional = {file.path for file in catalogued_needs(checkpoint.origin.domain_xml).media if file.optional}
    found = hypervisor.storage.fingerprints(list(known))
    return all(found[path] == was or (found[path] is None and path in optional) for path, was in known.items())


def _is_to_be_as_catalogued(layer: Layer) -> bool:
    """One that is being rewritten shows the same all the while, and is another file."""
    return layer.is_frozen_file and layer.rewritten_by is None
