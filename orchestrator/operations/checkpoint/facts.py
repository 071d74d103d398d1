"""What a checkpoint is planned from: read only, from the hypervisor and the catalog."""

from __future__ import annotations

from posixpath import isabs

from ...errors import NotFound
from ...formats import qcow2
from ...formats.needs import needs
from ...integrity.users import writers
from ...model import Domain
from ..shared.guest import Guest, namesake
from ..shared.host import inspect_host
from ..shared.site import Site
from .plan import CheckpointFacts


def gather(site: Site, guest: Guest, name: str) -> CheckpointFacts:
    if guest.domain is None:
        raise NotFound(f"{guest.name} is not running on {site.hypervisor.host.name}", hint="start it")
    needed = needs(guest.domain.xml)
    return CheckpointFacts(
        host=site.hypervisor.host,
        domain=site.hypervisor.domains.measured(guest.domain),
        head=site.catalog.head(guest.uuid),
        name_taken=site.catalog.checkpoint(guest.uuid, name) is not None,
        namesake=namesake(site, guest),
        free_bytes=site.hypervisor.storage.free_bytes(site.store),
        store=site.store,
        reserve_bytes=site.reserve_bytes,
        soft_limit=site.soft_limit,
        heads=_unknown_heads(site, guest.domain),
        needs=needed,
        found=inspect_host(site.hypervisor, needed, guest.domain, (*needed.boot_files, *needed.media)),
        writers=writers(each for each in site.hypervisor.domains.disks() if each.uuid != guest.uuid),
    )


def _unknown_heads(site: Site, domain: Domain) -> dict[str, bytes]:
    """The beginnings of the qcow2 layers that are not catalogued yet: all others were made or seen before."""
    sources = [source for disk in domain.writable_disks for source in disk.chain]
    paths = [source.path for source in sources if source.format == "qcow2" and isabs(source.path)]
    heads = {}
    for path in dict.fromkeys(paths):
        if site.catalog.layer(path) is None and site.hypervisor.storage.stat(path) is not None:
            heads[path] = site.hypervisor.storage.read(path, 0, qcow2.HEAD_LENGTH)
    return heads
