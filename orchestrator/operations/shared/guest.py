"""The domain that a verb is about: looked up once, and handed down."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import monotonic
from uuid import UUID

from ...errors import Busy, NotFound, Refused
from ...formats import domainxml, qcow2
from ...model import Checkpoint, Domain, Head
from ...ports import Catalog, Hypervisor
from .site import Site

FRESH_S = 1.0
"""Seconds for which what was seen is taken to be so now."""


@dataclass(frozen=True, slots=True)
class Guest:
    """A domain as the hypervisor showed it when it was looked up.

    `domain` is None when only the catalog knows it. `looked_up` is when that was, by a clock that never jumps.
    """

    uuid: str
    name: str
    domain: Domain | None
    looked_up: float = field(default_factory=monotonic, compare=False)

    @property
    def active(self) -> bool:
        return self.domain is not None and self.domain.active


def find(site: Site, name: str) -> Guest:
    """The domain of that name or UUID, running, defined or only catalogued; raises `NotFound`."""
    domain = site.hypervisor.domains.find(name)
    if domain is not None:
        return Guest(domain.uuid, domain.name, domain)
    uuid = site.catalog.domain_uuid(name) or _uuid(name)
    if uuid is not None and _is_catalogued(site, uuid):
        domain = site.hypervisor.domains.get(uuid)  # by another name than the catalog's: it was renamed
        return Guest(uuid, domain.name if domain else name, domain)
    raise NotFound(
        f"there is no domain {name} on {site.hypervisor.host.name}",
        hint="see: virsh list --all",
    )


def recorded(site: Site, guest: Guest) -> Guest:
    """The domain whose checkpoints are known by that name: a domain that was created again under it has none, and the
    one that had them before is gone, or has another name."""
    other = namesake(site, guest)
    if other is None or _has_checkpoints(site, guest.uuid):
        return guest
    return Guest(other, guest.name, site.hypervisor.domains.get(other))


def all_of_its_name(site: Site, guest: Guest) -> list[Guest]:
    """The domain; and those that had its name when an operation on them began that is open: it was created again, and
    is another one now."""
    members = [member for record in site.catalog.unsettled() for member in record.members]
    others = {each.domain_uuid for each in members if each.domain_name == guest.name} - {guest.uuid}
    return [guest, *(Guest(each, guest.name, site.hypervisor.domains.get(each)) for each in sorted(others))]


def again(site: Site, guest: Guest) -> Guest:
    """The same domain as it is now."""
    return Guest(guest.uuid, guest.name, site.hypervisor.domains.get(guest.uuid))


def is_recent(when: float) -> bool:
    """Whether what was seen then, by a clock that never jumps, is taken to be so now."""
    return monotonic() - when < FRESH_S


def fresh(site: Site, guest: Guest) -> Guest:
    """The same domain; looked up again unless that was done just now."""
    return guest if is_recent(guest.looked_up) else again(site, guest)


def catalogued(site: Site) -> list[str]:
    """The UUIDs of the domains that have checkpoints."""
    return list(dict.fromkeys(each.domain_uuid for each in site.catalog.summaries()))


def checkpoint_of(site: Site, guest: Guest, name: str) -> Checkpoint:
    checkpoint = site.catalog.checkpoint(guest.uuid, name)
    if checkpoint is None and (other := namesake(site, guest)) is not None:
        raise Refused(
            f"the checkpoints under the name {guest.name} belong to another domain, {other}",
            hint=f"first rename the new one, while it is shut off: virsh domrename {guest.name} NEW-NAME; "
            f"see: snapctl list {other}",
        )
    if checkpoint is None:
        raise NotFound(
            f"{guest.name} has no checkpoint {name}",
            hint=f"see: snapctl list {guest.name}",
        )
    return checkpoint


def current_checkpoint(site: Site, guest: Guest) -> Checkpoint:
    """The checkpoint that the domain's head descends from."""
    head = site.catalog.head(guest.uuid)
    found = site.catalog.checkpoint_by_id(head.checkpoint_id) if head and head.checkpoint_id else None
    if found is None:
        raise Refused(f"{guest.name} has no current checkpoint", hint=f"name one: snapctl list {guest.name}")
    return found


def wanted_checkpoint(site: Site, guest: Guest, name: str | None) -> Checkpoint:
    """The checkpoint of that name; without one, the current checkpoint."""
    return current_checkpoint(site, guest) if name is None else checkpoint_of(site, guest, name)


def agreed_checkpoint(site: Site, guest: Guest, checkpoint_id: str, name: str) -> Checkpoint:
    """The checkpoint that a plan is for: by its id, as another one may be called `name` by now.

    Raises `Refused` when it is gone.
    """
    checkpoint = site.catalog.checkpoint_by_id(checkpoint_id)
    if checkpoint is None:
        raise Refused(f"checkpoint {name} of {guest.name} was deleted in the meantime", hint="try again")
    return checkpoint


def require_not_deleted(site: Site, guest: Guest, checkpoint: Checkpoint) -> None:
    """Raise `Busy` or `NotFound` when a file may be missing because the checkpoint is being, or was, deleted."""
    open_ = site.catalog.unsettled(guest.uuid)
    if any(not site.catalog.is_abandoned(operation) for operation in open_):
        raise Busy(f"another operation on {guest.name} is in progress", hint="wait until it ends")
    checkpoint_of(site, guest, checkpoint.name)


def is_only_copy(
    hypervisor: Hypervisor, catalog: Catalog, domain: Domain | None, checkpoint: Checkpoint, head: Head
) -> bool:
    """Whether the domain was saved in it and has not run since: its overlays are right on what froze, and empty."""
    if head.checkpoint_id != checkpoint.id or checkpoint.memory is None:
        return False
    if domain is not None and set(head.overlays.values()) <= _run_on(hypervisor, domain):
        return False
    frozen = {target: layer.path for target, layer in checkpoint.layers.items()}
    tops = {target: catalog.layer(path) for target, path in head.overlays.items()}
    if any(top is None or top.backing != frozen.get(target) for target, top in tops.items()):
        return False
    seen = hypervisor.storage.stat_all([checkpoint.memory.path, *head.overlays.values()])
    overlays = [seen[path] for path in head.overlays.values()]
    is_there = seen[checkpoint.memory.path] is not None
    return is_there and all(each and each.physical <= qcow2.empty_length(each.capacity) for each in overlays)


def _run_on(hypervisor: Hypervisor, domain: Domain) -> set[str | None]:
    """The disks of the run that its memory is of now: it goes on, or libvirt suspended it."""
    if domain.active:
        return set(domain.sources().values())
    xml = hypervisor.domains.managed_save_xml(domain.uuid) if domain.managed_save else None
    return {disk.path for disk in domainxml.disks(xml)} if xml else set()


def namesake(site: Site, guest: Guest) -> str | None:
    known = site.catalog.domain_uuid(guest.name)
    if known in (None, guest.uuid):
        return None
    return known if _has_checkpoints(site, known) else None


def _is_catalogued(site: Site, uuid: str) -> bool:
    """Also by an operation alone: the image of a transient domain may be all that is left of it."""
    return _has_checkpoints(site, uuid) or bool(site.catalog.unsettled(uuid))


def _has_checkpoints(site: Site, uuid: str) -> bool:
    return site.catalog.some_checkpoint(uuid) is not None


def _uuid(text: str) -> str | None:
    try:
        return str(UUID(text))
    except ValueError:
        return None
