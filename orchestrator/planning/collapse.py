"""Plan to pull layers into the one above them, or refuse it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from posixpath import normpath

from ..errors import IntegrityError, Refused
from ..formats import domainxml
from ..model import Collapsible, Domain, DomainDisks, FileFacts, Host, Layer, Source
from .files import Seen, layer_damage
from .plans import MIB, CollapsePlan
from .refusals import refuse_busy


@dataclass(frozen=True, slots=True, kw_only=True)
class CollapseFacts:
    host: Host
    domain_uuid: str
    domain_name: str
    domain: Domain | None  # None: the hypervisor does not know it now (it was transient)
    like: str  # a domain XML of it
    found: Collapsible
    seen: Mapping[str, FileFacts | None]  # of the layers that are found
    holders: Mapping[str, str]  # of files below the disk of a running domain: its name
    free_bytes: int
    store: str
    reserve_bytes: int = 0


def plan_collapse(operation_id: str, facts: CollapseFacts) -> CollapsePlan:
    """Raises `Busy`, `IntegrityError`, or `Refused` while a running domain has the layer below its disk:
    QEMU lets nobody write to it then."""
    layer, drops, base = facts.found.layer, facts.found.drops, facts.found.base
    if facts.domain is not None:
        refuse_busy(facts.domain)
    if holder := facts.holders.get(normpath(layer.path)):
        raise Refused(
            f"{layer.path} is in use below a disk of {holder}, which runs",
            hint=f"when {holder} is off or elsewhere: snapctl collapse; or at once: snapctl flatten {holder}",
        )
    _refuse_damaged(facts)
    moved = sum(each.allocation or each.physical or 0 for each in drops)
    if facts.free_bytes < moved + facts.reserve_bytes:
        raise Refused(
            f"the store {facts.store} has {facts.free_bytes // MIB} MiB free, "
            f"{layer.path} may grow by {moved // MIB} MiB",
            hint="delete checkpoints or enlarge the store",
        )
    return CollapsePlan(
        operation_id=operation_id,
        host=facts.host,
        domain_uuid=facts.domain_uuid,
        domain_name=facts.domain_name,
        layer=layer,
        drops=tuple(each.path for each in drops if each.operation_id is not None),
        base=Source(path=base.path, format=base.format) if base else None,
        moved_bytes=moved,
        helper_xml=domainxml.helper(
            facts.like,
            uuid=operation_id,
            name=f"{HELPER_PREFIX}{operation_id}",
            target=HELPER_TARGET,
            layer=Source(path=layer.path, format=layer.format),
        ),
    )


HELPER_PREFIX = "snapctl-helper-"
HELPER_TARGET = "vda"


def is_helper(domain: Domain) -> bool:
    """Whether a plan of ours made it: it carries the mark, and is named after the operation that is its UUID."""
    return domain.name == f"{HELPER_PREFIX}{domain.uuid}" and domainxml.is_helper(domain.xml)


def holders(domains: Iterable[DomainDisks]) -> dict[str, str]:
    """By path: the running domain that has it below one of its disks."""
    return {
        normpath(source.path): domain.name
        for domain in domains
        if domain.active
        for disk in domain.disks
        for source in disk.backing
    }


def _refuse_damaged(facts: CollapseFacts) -> None:
    """What is pulled up is believed from then on: so every layer must be what the catalog says."""
    below = (*facts.found.drops, *([facts.found.base] if facts.found.base else []))
    chain: tuple[Layer, ...] = (*([] if facts.found.layer.physical is None else [facts.found.layer]), *below)
    for found in layer_damage(chain, Seen(facts=facts.seen, heads={})):
        raise IntegrityError(found.problem, hint=f"see: snapctl verify {facts.domain_name}")
