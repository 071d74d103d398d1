"""What a collapse or flatten is planned from: read only, from the hypervisor and the catalog."""

from __future__ import annotations

from ...errors import NotFound, Refused
from ...integrity.users import holders
from ...model import Collapsible
from ..shared.guest import Guest, is_only_copy
from ..shared.site import Site
from .plan import CollapseFacts


def gather(site: Site, guest: Guest, found: Collapsible) -> CollapseFacts:
    layers = (found.layer, *found.absorbed, *([found.base] if found.base else []))
    return CollapseFacts(
        host=site.hypervisor.host,
        domain_uuid=guest.uuid,
        domain_name=guest.domain.name if guest.domain else guest.name,
        domain=guest.domain,
        like=_definition_like(site, guest),
        found=found,
        seen=site.hypervisor.storage.stat_all([layer.path for layer in layers]),
        holders=holders(site.hypervisor.domains.disks()),
        free_bytes=site.hypervisor.storage.free_bytes(site.store),
        store=site.store,
        reserve_bytes=site.reserve_bytes,
    )


def stacks(site: Site, guest: Guest) -> list[Collapsible]:
    """The domain's active overlays, each with its whole backing chain; those without a backing file are left out.

    Raises `Refused` for a domain whose memory is only in its current checkpoint: empty overlays show that no guest
    ran since.
    """
    head = site.catalog.head(guest.uuid)
    if head is None:
        raise Refused(f"{guest.name} has no snapctl overlay", hint="there is nothing to flatten")
    checkpoint = site.catalog.checkpoint_by_id(head.checkpoint_id) if head.checkpoint_id else None
    if checkpoint is not None and is_only_copy(site.hypervisor, guest.domain, checkpoint, head):
        raise Refused(
            f"{guest.name} is shut off and was not started since checkpoint {checkpoint.name}",
            hint=f"first restore it: snapctl rollback {guest.name} {checkpoint.name}",
        )
    chains = [site.catalog.chain(path) for path in head.overlays.values()]
    return [Collapsible(layer=top, absorbed=tuple(below), base=None) for top, *below in chains if below]


def _definition_like(site: Site, guest: Guest) -> str:
    if guest.domain is not None:
        return guest.domain.xml
    if (known := site.catalog.some_checkpoint(guest.uuid)) is not None:
        return known.origin.domain_xml
    raise NotFound(f"there is no domain XML of {guest.name}", hint="define it again: virsh define FILE")
