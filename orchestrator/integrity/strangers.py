"""Disks of a domain that another catalog has in its hands (order rule 12): no checkpoint may take them for a user's own
file, and freeze what that catalog will rewrite or remove."""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import NotFound
from ..model import Domain, Stranger
from ..ports import Catalog, Storage
from ..store import layout, manifest, owner
from ..store.manifest import BadManifest
from ..store.ownership import Ownership


def strangers(storage: Storage, catalog: Catalog, owned: Ownership, domain: Domain) -> tuple[Stranger, ...]:
    """Of the writable disks of a domain, now and from its next start on. Raises `HypervisorError`."""
    disks = (disk for disk in (*domain.disks, *domain.persistent_disks) if disk.writable)
    found = {path: disk.target for disk in disks for path in _unknown(catalog, [each.path for each in disk.chain])}
    return tuple(
        stranger for path, target in found.items() if (stranger := _stranger(storage, owned, target, path)) is not None
    )


def _unknown(catalog: Catalog, chain: list[str]) -> Iterator[str]:
    """All that is below a known layer is known."""
    for path in chain:
        if not layout.is_in_a_store(path):
            continue
        if catalog.knows_any([layout.directory_of(path)]):
            return
        yield path


def _stranger(storage: Storage, owned: Ownership, target: str, path: str) -> Stranger | None:
    """None for a file that only lies as if it were of a store: nothing says that snapctl made it."""
    directory = layout.directory_of(path)
    store = layout.store_of(directory)
    if store == owned.store:
        return Stranger(target=target, path=path, store=store, whose=owned.us.where, own=True)
    of = owner.read(storage, store).owner
    own = of is not None and of.catalog == owned.us.id
    whose = of.shown if of is not None and not own else _maker(storage, directory)
    if whose is None:
        return None
    return Stranger(target=target, path=path, store=store, whose=whose, own=own)


def _maker(storage: Storage, directory: str) -> str | None:
    try:
        found = manifest.decode(storage.read(layout.manifest_path(directory), 0, manifest.LONGEST + 1), directory)
    except NotFound:
        return None
    except BadManifest:
        return "an unknown catalog"
    return f"the unknown catalog that created it for {found.domain_name} on {found.host_name}"
