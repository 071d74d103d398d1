"""What a collapse or flatten is planned from: read only, from the hypervisor and the catalog."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ...errors import NotFound, Refused
from ...integrity.file_users import find_users
from ...integrity.users import FileUser, holders
from ...model import Collapsible, Layer
from ..shared.guest import Guest, is_only_copy
from ..shared.site import Site
from .plan import CollapseFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class InUse:
    """Who stands on the layers of some collapses: looked for once, for all of them."""

    holders: Mapping[str, str]
    users: Mapping[str, FileUser]


def in_use(site: Site, guest: Guest, candidates: Iterable[Collapsible]) -> InUse:
    layers = {layer.path: layer for found in candidates for layer in (found.layer, *found.absorbed)}
    ours = [path for path, layer in layers.items() if layer.operation_id is not None]
    return InUse(
        holders=holders(site.hypervisor.domains.disks()) if ours else {},
        users=find_users(site.hypervisor, site.catalog, ours, besides=[guest.uuid]),
    )


def gather(site: Site, guest: Guest, found: Collapsible, used: InUse) -> CollapseFacts:
    layers = (found.layer, *found.absorbed, *([found.base] if found.base else []))
    return CollapseFacts(
        host=site.hypervisor.host,
        domain_uuid=guest.uuid,
        domain_name=guest.domain.name if guest.domain else guest.name,
        domain=guest.domain,
        like=_definition_like(site, guest),
        found=found,
        seen=site.hypervisor.storage.stat_all([layer.path for layer in layers]),
        prints=_fingerprints(site, layers),
        holders=used.holders,
        users=used.users,
        free_bytes=site.hypervisor.storage.free_bytes(site.store),
        store=site.store,
        reserve_bytes=site.reserve_bytes,
    )


def _fingerprints(site: Site, layers: Iterable[Layer]) -> dict[str, str | None]:
    devices = [layer.path for layer in layers if layer.is_block]
    return site.hypervisor.storage.fingerprints(devices) if devices else {}


def stacks(site: Site, guest: Guest) -> list[Collapsible]:
    """The domain's active overlays, each with its whole backing chain; those without a backing file are left out.

    Raises `Refused` for a domain whose memory is only in its current checkpoint: empty overlays show that no guest
    ran since.
    """
    head = site.catalog.head(guest.uuid)
    if head is None:
        raise Refused(f"{guest.name} has no snapctl overlay", hint="there is nothing to flatten")
    checkpoint = site.catalog.checkpoint_by_id(head.checkpoint_id) if head.checkpoint_id else None
    if checkpoint is not None and is_only_copy(site.hypervisor, site.catalog, guest.domain, checkpoint, head):
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
