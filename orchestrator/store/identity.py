"""Which of the hosts that a catalog knows the hypervisor is.

libvirt's host UUID is not enough: without readable firmware tables it is another one after each start of the daemon, a
firmware update may change it, and boards exist that share one. So a host keeps what it was first known under, and
its store says so (`store.json`); UUID and name as reported now are compared with those of before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ..model import Host, KnownHost, StoreOwner
from ..ports import Domains, Hypervisor, Storage


@dataclass(frozen=True, slots=True)
class Identity:
    """`uuid` is what the host is known under; `was` is the UUID that it reported before, if that is another one."""

    uuid: str
    was: str | None = None


def resolve(
    reported: Host,
    owner: StoreOwner | None,
    hosts: Sequence[KnownHost],
    *,
    has_files_of: Callable[[str], bool],
    unused: str,
) -> Identity:
    """Whom a hypervisor is to be taken for.

    `owner` is that of its store, if it is the catalog that knows these hosts. `has_files_of` says whether the
    store has files that the catalog knows of a host: it is asked only if there is no owner to go by, and UUID and
    name say different things. A host that is new, but has the UUID of another, becomes known under `unused`.
    """
    proven = _by_store(reported, owner, hosts) if owner is not None else None
    if proven is not None:
        return proven
    others = [each for each in hosts if owner is None or each.uuid != owner.host]
    reporting = [each for each in others if reported.uuid in (each.uuid, each.reported_uuid)]
    for known in sorted(reporting, key=lambda each: each.reported_uuid != reported.uuid):
        if known.name == reported.name or has_files_of(known.uuid):
            return Identity(known.uuid, _other(known.reported_uuid, reported.uuid))
    if not reporting and owner is None:
        namesakes = [each for each in others if each.name == reported.name and has_files_of(each.uuid)]
        if len(namesakes) == 1:
            return Identity(namesakes[0].uuid, _other(namesakes[0].reported_uuid, reported.uuid))
    is_taken = any(each.uuid == reported.uuid for each in hosts)
    return Identity(unused if is_taken else reported.uuid)


def _by_store(reported: Host, owner: StoreOwner, hosts: Sequence[KnownHost]) -> Identity | None:
    """What the store says, if UUID or name agree: a copy of a store on another host proves nothing."""
    known = next((each for each in hosts if owner.store in each.stores), None)
    names = {owner.host_name, *([known.name] if known else [])}
    uuids = {owner.host_uuid, *([known.reported_uuid] if known else [])}
    if reported.name not in names and reported.uuid not in uuids:
        return None
    before = known.reported_uuid if known else owner.host_uuid
    return Identity(known.uuid if known else owner.host, _other(before, reported.uuid))


def _other(before: str, now: str) -> str | None:
    return None if before == now else before


class Identified:
    """Implements `ports.Hypervisor` as another one, under the UUID that its host is known under."""

    def __init__(self, hypervisor: Hypervisor, uuid: str) -> None:
        self._hypervisor = hypervisor
        self._host = replace(hypervisor.host, uuid=uuid)

    @property
    def host(self) -> Host:
        return self._host

    @property
    def domains(self) -> Domains:
        return self._hypervisor.domains

    @property
    def storage(self) -> Storage:
        return self._hypervisor.storage

    def close(self) -> None:
        self._hypervisor.close()
