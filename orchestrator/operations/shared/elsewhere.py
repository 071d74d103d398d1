"""A domain that is off here may run on another host that shares the storage: after a migration its definition is left
behind. Only QEMU's lock on its disks shows that, so it is tried, by a helper domain.

That takes a third of a second. So it is asked only of a domain that is off, before its disks are given up: a
run that is seen here is the only one there can be.
"""

from __future__ import annotations

from collections.abc import Iterable

from ...errors import HypervisorError, Refused
from ...formats import domainxml
from ...integrity.file_users import files_below
from ...model import Source
from ...ports import Catalog, Hypervisor
from .helper import HELPER_PREFIX, HELPER_TARGET


def refuse_elsewhere(
    hypervisor: Hypervisor,
    catalog: Catalog,
    operation_id: str,
    name: str,
    like: str,
    active_layers: Iterable[Source],
) -> None:
    """Raise `Refused` when a QEMU process has the disk of a domain open that is off here."""
    if problem := lock_elsewhere(hypervisor, catalog, operation_id, like, active_layers):
        raise Refused(
            f"{name} is shut off here, but {problem}",
            hint="it may be running on another host: shut it down there first",
        )


def lock_elsewhere(
    hypervisor: Hypervisor, catalog: Catalog, operation_id: str, like: str, active_layers: Iterable[Source]
) -> str | None:
    """Whether a QEMU process, here or elsewhere, has the first of these layers open that is there.

    None also where that cannot be tried: what keeps a helper domain from starting is told by the preflight.
    """
    for layer in active_layers:
        if hypervisor.storage.stat(layer.path) is not None:
            xml = domainxml.helper(
                like, uuid=operation_id, name=f"{HELPER_PREFIX}{operation_id}", target=HELPER_TARGET, layer=layer
            )
            try:
                locked = hypervisor.domains.lock_problem(xml) is not None
            except HypervisorError:
                return None
            if not locked or _is_used_here(hypervisor, catalog, layer):
                return None
            return f"a QEMU process uses its disk {layer.path}"
    return None


def _is_used_here(hypervisor: Hypervisor, catalog: Catalog, layer: Source) -> bool:
    """Whether it is a running domain of this host that has the lock: it has the layer below one of its disks, which it
    could not if another one wrote to it, or writes to a layer further down."""
    disks = [disk for domain in hypervisor.domains.disks() if domain.active for disk in domain.disks]
    if any(disk.chain.contains(layer.path) for disk in disks):
        return True
    written = {disk.path for disk in disks if disk.writable}
    return not written.isdisjoint(files_below(hypervisor, catalog, layer))
