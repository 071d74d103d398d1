"""Whose a store is, and which host: what catalogs and hypervisors are known by beside their addresses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from .reports import RebuiltDomain, Skipped


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogIdentity:
    """A catalog, and who uses it now. `id` is None for one that is not there yet."""

    id: str | None
    where: str  # its URL, without password
    user: str
    client: str  # the name of the machine that the user is on


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownHost:
    """A host as the catalog knows it: under `uuid`, whatever libvirt reports by now."""

    uuid: str
    name: str
    reported_uuid: str  # the UUID that libvirt reported last
    stores: Mapping[str, str] = field(default_factory=dict)  # path by id


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreOwner:
    """What `store.json` says. `host` is what the hypervisor is known under in the catalog and in manifests; the
    UUID and name that libvirt reported when this was written are for comparison. There is no secret in it."""

    schema: int = 1
    store: str  # the store's own id
    catalog: str  # the id of the catalog that it belongs to
    where: str  # that catalog's URL, without password
    user: str
    client: str
    since: str  # RFC 3339
    host: str
    host_uuid: str
    host_name: str
    former_hosts: tuple[str, ...] = ()  # what the host was known under before, in manifests that are still there

    @property
    def shown(self) -> str:
        """The owner, for people."""
        return f"the catalog {self.where} of {self.user}@{self.client}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Adoption:
    """What adopting a store would do. With `rebuilds` the catalog gets what the store has; else it has that."""

    store: str
    catalog: str
    owner: str  # the owner now, for people; "" without one
    is_ours: bool = False  # nothing is to be done
    is_renamed: bool = False  # the catalog owns it already, and the host is to be taken for the one it was
    rebuilds: bool = False
    domains: tuple[RebuiltDomain, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    missing: tuple[str, ...] = ()  # checkpoints of the host that the catalog has and the store has not: DOMAIN/NAME
    former_hosts: tuple[str, ...] = ()

    def lines(self) -> Iterator[str]:
        if self.is_ours:
            yield f"the store {self.store} already belongs to this catalog, {self.catalog}"
            return
        if self.is_renamed:
            yield f"take this host for the one that the store {self.store} is recorded with"
        for domain in self.domains if self.rebuilds else ():
            names = ", ".join(each.name for each in domain.checkpoints)
            yield f"record checkpoints of {domain.name} in {self.catalog}: {names}"
        for each in self.skipped:
            name = f" ({each.checkpoint})" if each.checkpoint else ""
            yield f"leave out {each.directory}{name}: {each.reason}"
        if self.missing:
            yield f"no longer list what is not in that store: {', '.join(self.missing)}"
        yield f"record {self.catalog} as the owner of {self.store}"
        if self.owner and not self.is_renamed:
            yield f"from then on {self.owner} can change nothing in that store"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stranger:
    """A layer in a directory of an operation that the catalog knows nothing of. `own` says that it is in the catalog's
    own store: then the catalog is older than that operation, or lost what it knew of it."""

    target: str
    path: str
    store: str
    whose: str  # the catalog, or whatever is known of who made it
    own: bool
