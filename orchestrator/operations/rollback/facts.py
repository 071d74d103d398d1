"""What a rollback is planned from: read only, from the hypervisor and the catalog."""

from __future__ import annotations

from ...errors import NotFound
from ...formats.needs import catalogued_needs
from ...integrity.damage import qcow2_layers
from ...integrity.differences import Chains, Inspected
from ...integrity.inspection import Inspection
from ...integrity.strangers import strangers
from ...model import Checkpoint, FileInfo, Head, Stranger
from ..shared.guest import Guest
from ..shared.host import inspect_host
from ..shared.site import Site
from .plan import RollbackFacts


def gather(site: Site, guest: Guest, checkpoint: Checkpoint) -> RollbackFacts:
    head = site.catalog.head(guest.uuid)
    chains = {target: site.catalog.chain(layer.path) for target, layer in checkpoint.layers.items()}
    if not all(chains.values()):  # a foreign key has them there for as long as it is there itself
        raise NotFound(
            f"checkpoint {checkpoint.name} of {guest.name} was deleted in the meantime", hint="choose another"
        )
    needed = catalogued_needs(checkpoint.origin.domain_xml)
    return RollbackFacts(
        host=site.hypervisor.host,
        domain=guest.domain,
        checkpoint=checkpoint,
        head=head,
        chains=chains,
        seen=_inspect(site, checkpoint, chains),
        needs=needed,
        found=inspect_host(site.hypervisor, needed, guest.domain, needed.boot_files),
        discards=tuple(sorted(head.overlays.values())) if head else (),
        free_bytes=site.hypervisor.storage.free_bytes(site.store),
        store=site.store,
        reserve_bytes=site.reserve_bytes,
        strangers=_strangers(site, guest),
        tops=() if guest.active else _tops(site, guest, head),
        namesake=None if guest.domain is not None else _namesake(site, checkpoint),
    )


def _strangers(site: Site, guest: Guest) -> tuple[Stranger, ...]:
    if guest.domain is None:
        return ()
    return strangers(site.hypervisor.storage, site.catalog, site.owner, guest.domain)


def _namesake(site: Site, checkpoint: Checkpoint) -> str | None:
    other = site.hypervisor.domains.find(checkpoint.domain_name)
    return other.uuid if other is not None and other.uuid != checkpoint.domain_uuid else None


def _tops(site: Site, guest: Guest, head: Head | None) -> list[FileInfo]:
    """They show later whether it ran since. A transient guest that is off has no definition, but may have a head."""
    disks = guest.domain.disks if guest.domain is not None else ()
    defined = [disk.source.path for disk in disks if disk.writable and disk.source and disk.source_type == "file"]
    paths = sorted({*defined, *(head.overlays.values() if head is not None else ())})
    return [info for info in site.hypervisor.storage.stat_all(paths).values() if info is not None]


def _inspect(site: Site, checkpoint: Checkpoint, chains: Chains) -> Inspected:
    """All files, but only the headers of the checkpoint's own layers are read: the guest waits for it.

    Nor does it matter what the domain itself has for disks: the rollback gives it others.
    """
    tops = qcow2_layers(checkpoint.layers.values())
    return Inspection(site.hypervisor).inspect(checkpoint, chains, into=tops, exclude_domain=checkpoint.domain_uuid)
