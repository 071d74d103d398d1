"""One owner: a store belongs to one catalog, and only that one changes anything in it (order rule 12).

What the store says is read once a connection. A store of which no catalog is recorded belongs to the first one that
changes something, if it is empty or that catalog knows what is in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from time import sleep
from uuid import uuid4

from ..errors import Busy, Refused, SnapctlError
from ..model import CatalogIdentity, KnownHost, StoreOwner
from ..ports import Catalog, Hypervisor
from . import identity, layout, owner
from .identity import Identified
from .owner import OwnerFile

ADOPT = "snapctl catalog adopt"

BLANK_S = 1.0
"""Seconds after which a file that still is blank was left so."""


class Ownership:
    """What a catalog has to do with a store of a hypervisor. Reading it changes nothing."""

    def __init__(self, hypervisor: Hypervisor, catalog: Catalog, store: str) -> None:
        self._hypervisor = hypervisor
        self._catalog = catalog
        self.store = store
        self.reported_uuid = hypervisor.host.uuid
        self.was_reported: str | None = None  # what it reported before, if that was another UUID
        self._claimed = False
        # Not functools.cached_property: until Python 3.12 one thread that waits for its value holds up all others.
        self._file: OwnerFile | None = None
        self._us: CatalogIdentity | None = None

    @property
    def file(self) -> OwnerFile:
        """What the store says of itself; read once. Raises `HypervisorError`."""
        if self._file is None:
            self._file = owner.read(self._hypervisor.storage, self.store)
        return self._file

    @property
    def us(self) -> CatalogIdentity:
        """Read once."""
        if self._us is None:
            self._us = self._catalog.identity()
        return self._us

    @property
    def owner(self) -> StoreOwner | None:
        return self.file.owner

    @property
    def is_ours(self) -> bool:
        return self.owner is not None and self.owner.catalog == self.us.id

    @property
    def is_foreign(self) -> bool:
        return self.owner is not None and self.owner.catalog != self.us.id

    @property
    def hypervisor(self) -> Hypervisor:
        """As the catalog knows it."""
        return self._hypervisor

    @property
    def known_host(self) -> KnownHost | None:
        uuid = self._hypervisor.host.uuid
        return next((each for each in self._catalog.hosts() if each.uuid == uuid), None)

    @property
    def registered_id(self) -> str | None:
        """The id under which the catalog knows a store of this host at this path."""
        known = self.known_host
        return next((id_ for id_, path in known.stores.items() if path == self.store), None) if known else None

    # ------------------------------------------------------------------ who the host is

    def identify(self) -> Hypervisor:
        """The hypervisor as the catalog knows it, which is about that host from then on."""
        found = identity.resolve(
            self._hypervisor.host,
            self._owner_if_ours(),
            self._catalog.hosts(),
            has_files_of=self._has_files_of,
            unused=str(uuid4()),
        )
        self.was_reported = found.was
        self._hypervisor = Identified(self._hypervisor, found.uuid)
        self._catalog.bind(self._hypervisor.host)
        return self._hypervisor

    def _owner_if_ours(self) -> StoreOwner | None:
        try:
            return self.owner if self.is_ours else None
        except SnapctlError:  # who only reads the catalog need not be able to read the store
            return None

    def _has_files_of(self, host_uuid: str) -> bool:
        try:
            return self._catalog.knows_any(self._directories(), host_uuid)
        except SnapctlError:
            return False

    def _directories(self) -> Iterator[str]:
        """Those of operations that are in the store."""
        storage = self._hypervisor.storage
        for domain in storage.directories(self.store) or ():
            for place in storage.directories(domain.path) or ():
                yield place.path

    def knows_files(self) -> bool:
        """Whether the catalog knows anything of what is in the store."""
        return self._catalog.knows_any(self._directories())

    # ------------------------------------------------------------------ whose it is

    def require(self) -> None:
        """Raise `Refused` unless the store is the catalog's, or would be with the next change."""
        if self._claimed:
            return
        self.refuse_foreign()
        if self.is_ours:
            self._require_host()
        elif not self.file.claimable:
            raise Refused(
                f"{layout.owner_path(self.store)} {self.file.problem}, so it is unknown whose the store is",
                hint=f"restore that file, or: {ADOPT}",
            )
        elif self.registered_id is not None:
            raise Refused(
                f"the store {self.store} of {self._hypervisor.host.name} is not there, or has lost its store.json",
                hint=f"mount it; if it is lost, or this is another host: {ADOPT}, once that directory is there",
            )
        elif not self._is_empty() and not self.knows_files():
            raise Refused(
                f"the store {self.store} has files of another catalog, {self._missing()}",
                hint=f"use the catalog that made them (--catalog), or: {ADOPT}",
            )

    def refuse_foreign(self) -> None:
        """Raise `Refused` if the store says that it is another catalog's."""
        if not self.is_ours:
            self.look_again()
        if self.is_foreign:
            raise self._foreign()

    def look_again(self) -> None:
        """Another client may have made this very catalog, or claimed the store for it, since that was looked at."""
        if self.us.id is None and self._catalog.was_made():
            self._catalog.make()
            self._us = None
        self._file = None

    def notes(self) -> list[str]:
        """What who only reads should know; nothing for what cannot be read."""
        try:
            return list(self._notes())
        except SnapctlError:
            return []

    def _notes(self) -> Iterator[str]:
        if self.us.id is None:
            yield f"there is no catalog {self.us.where} yet: the first checkpoint creates it"
        if self.is_foreign:
            assert self.owner is not None  # noqa: S101 - what makes it foreign
            yield f"the store {self.store} belongs to {self.owner.shown}, which this catalog cannot change"
        elif self.is_of_another_host:
            yield self._other_host().problem
        if self.was_reported is not None:
            yield (
                f"the UUID of host {self._hypervisor.host.name} was {self.was_reported} and is {self.reported_uuid}: "
                "it is known by its store"
            )

    def _missing(self) -> str:
        return "and this one is new" if self.us.id is None else "none of which this one knows"

    def _foreign(self) -> Refused:
        assert self.owner is not None  # noqa: S101 - what makes it foreign
        that = "that one (--catalog)" if self.us.id is not None else "that one, not a new one"
        return Refused(f"the store {self.store} belongs to {self.owner.shown}", hint=f"use {that}, or: {ADOPT}")

    @property
    def is_of_another_host(self) -> bool:
        """Whether the store is the catalog's, but on a host that UUID and name say is another one."""
        if self.owner is None or self.owner.host == self._hypervisor.host.uuid:
            return False
        known = self.known_host
        return self.is_ours and (known is None or self.owner.store not in known.stores)

    def _require_host(self) -> None:
        if self.is_of_another_host:
            raise self._other_host()

    def _other_host(self) -> Refused:
        assert self.owner is not None  # noqa: S101 - it is of another host
        return Refused(
            f"the store {self.store} is that of host {self.owner.host_name}, and this is {self._hypervisor.host.name}",
            hint=f"if it is the same host: {ADOPT}; else give this one another store.path",
        )

    def _is_empty(self) -> bool:
        return next(self._directories(), None) is None

    # ------------------------------------------------------------------ to become the owner

    def claim(self, *, rebuilt: bool = False) -> None:
        """Make the catalog if it is not there, and the store its own unless it is. Raises as `require` does; it was
        `rebuilt` from the store if it may own what it does not know, too."""
        if self._claimed:
            return
        if not rebuilt:
            self.require()
        self._catalog.make()
        self._us = None
        if not self.is_ours:
            self._create()
        self.record()

    def _create(self) -> None:
        if self.file.problem == owner.BLANK:
            sleep(BLANK_S)  # it may be in the making
            self._file = None
            self.require()
        found = owner.create(self._hypervisor.storage, self.store, self.new_owner(), self.file)
        self._file = found
        if self.is_foreign:  # another client was faster
            raise self._foreign()
        if not self.is_ours:
            raise Busy(f"another client is at {layout.owner_path(self.store)}", hint="try again")

    def become(self, host_uuid: str) -> None:
        """Take the hypervisor for that host, as the user says, or because nothing says anything else."""
        self._hypervisor = Identified(self._hypervisor, host_uuid)
        self._catalog.bind(self._hypervisor.host)

    def take(self, former_hosts: tuple[str, ...]) -> None:
        """Make the store the catalog's, whosever it is."""
        new = self.new_owner(former_hosts)
        self._catalog.record_store(new.store, self.store, self.reported_uuid)
        self._file = owner.replace(self._hypervisor.storage, self.store, new, self.file)
        self._claimed = True

    def record(self) -> None:
        """Let the catalog know the store, and what the host reports now."""
        assert self.owner is not None  # noqa: S101 - it was just claimed
        host, known = self._hypervisor.host, self.known_host
        if (
            known is None
            or (known.name, known.reported_uuid) != (host.name, self.reported_uuid)
            or known.stores.get(self.owner.store) != self.store
        ):
            self._catalog.record_store(self.owner.store, self.store, self.reported_uuid)
        self._claimed = True

    def new_owner(self, former_hosts: tuple[str, ...] = ()) -> StoreOwner:
        host, us = self._hypervisor.host, self._catalog.identity()
        assert us.id is not None  # noqa: S101 - it was created
        return StoreOwner(
            store=self.owner.store if self.owner is not None else str(uuid4()),
            catalog=us.id,
            where=us.where,
            user=us.user,
            client=us.client,
            since=datetime.now(UTC).isoformat(timespec="seconds"),
            host=host.uuid,
            host_uuid=self.reported_uuid,
            host_name=host.name,
            former_hosts=former_hosts,
        )
