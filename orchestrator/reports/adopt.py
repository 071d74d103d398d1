"""`snapctl catalog adopt`: a store becomes this catalog's, whosever it was, by rebuilding the catalog from it.

First everything is read, and once more when the user has agreed; then the catalog is written, in one transaction, and
last `store.json`: if that does not come about, adopting again finds the catalog to have all that is in the store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from uuid import uuid4

from ..errors import Busy, Refused
from ..model import Adoption, Domain, GuestState, Rebuilt
from ..ports import Catalog, Hypervisor
from ..store.contents import StoreContents
from ..store.layout import is_in_a_store
from ..store.ownership import Ownership
from .rebuild import as_rebuilt, assemble, gather

AtWork = Callable[[str], Sequence[str]]
"""The operations in progress in the catalog at a URL, as far as that can be seen from here."""


def plan_adoption(hypervisor: Hypervisor, catalog: Catalog, owned: Ownership, at_work: AtWork) -> Adoption:
    """Only reads. Raises `Busy` while the owner is seen to have something in progress; `Refused` when there is no
    store, or when the catalog has checkpoints of this host that are not those in the store."""
    now = Adoption(
        store=owned.store, catalog=owned.us.where, owner=owned.owner.shown if owned.owner is not None else ""
    )
    if owned.is_of_another_host:
        assert owned.owner is not None  # noqa: S101 - which says of which
        owned.become(owned.owner.host)
        return replace(now, is_renamed=True, former_hosts=owned.owner.former_hosts)
    if owned.is_ours:
        return replace(now, is_ours=True)
    _refuse_not_there(hypervisor, owned)
    _refuse_at_work(hypervisor, owned, at_work)
    catalogued = catalog.summaries()
    if owned.file.missing and owned.registered_id is not None and not owned.knows_files():
        owned.become(str(uuid4()))  # nothing here says that it is the host of that name and UUID
    facts = gather(owned.hypervisor, owned.store, None)
    domains, skipped = assemble(facts)
    here = {each.id for domain in domains for each in domain.checkpoints}
    known = {each.id for each in catalog.summaries()}
    missing = [f"{each.domain}/{each.name}" for each in catalogued if each.id not in here]
    if known and known != here:
        apart = f", {len(missing)} of them not in the store {owned.store}" if missing else ""
        raise Refused(
            f"the catalog {owned.us.where} already has other checkpoints of {hypervisor.host.name}{apart}",
            hint="name a new catalog: snapctl --catalog URL catalog adopt",
        )
    return replace(
        now,
        rebuilds=known != here or not known,
        domains=tuple(domains),
        skipped=tuple(skipped),
        missing=tuple(missing),
        former_hosts=_former_hosts(owned, facts.store),
    )


def adopt(catalog: Catalog, owned: Ownership, agreed: Adoption) -> Rebuilt:
    if not agreed.is_ours:
        if not agreed.is_renamed:
            _refuse_changed(catalog, owned, agreed)
        catalog.make()
        if agreed.rebuilds:
            catalog.rebuild(agreed.domains)
        owned.take(agreed.former_hosts)
    return as_rebuilt(catalog, agreed.domains, agreed.skipped)


def _refuse_changed(catalog: Catalog, owned: Ownership, agreed: Adoption) -> None:
    """The owner may have gone on while its user was asked. Raises as `plan_adoption` does, too."""
    owned.look_again()
    now = plan_adoption(owned.hypervisor, catalog, owned, catalog.at_work)
    if now != replace(agreed, missing=now.missing):  # of a host that was given another UUID the catalog has none
        raise Refused(f"the store {owned.store} was changed after the question was asked", hint="try again")


def _refuse_not_there(hypervisor: Hypervisor, owned: Ownership) -> None:
    if hypervisor.storage.directories(owned.store) is None:
        raise Refused(
            f"the store {owned.store} is not there on {hypervisor.host.name}",
            hint="mount it; if it is lost, first create an empty directory there",
        )


def _refuse_at_work(hypervisor: Hypervisor, owned: Ownership, at_work: AtWork) -> None:
    """What can be seen: what the hypervisor does for the owner, and its journal, if it is a file of this machine."""
    for domain in hypervisor.domains.all():
        if (doing := _doing(domain)) and any(path.startswith(f"{owned.store}/") for path in _files(domain)):
            raise Busy(f"{domain.name} has its disks in {owned.store}, and {doing}", hint="wait until it ends")
    if owned.owner is not None and owned.owner.client == owned.us.client:
        for operation in at_work(owned.owner.where):
            raise Busy(f"in {owned.owner.where}, {operation} is in progress", hint="wait until it ends")


def _doing(domain: Domain) -> str:
    if domain.job or domain.state is GuestState.BUSY:
        return f"a job is in progress ({domain.job or 'unnamed'})"
    if domain.block_jobs:
        return f"a block job is in progress on {domain.block_jobs[0]}"
    return ""


def _former_hosts(owned: Ownership, contents: StoreContents) -> tuple[str, ...]:
    """What the host was known under in manifests that are in the store."""
    written_for = {each.written_for for each in contents.directories if each.written_for}
    return tuple(sorted(written_for - {owned.hypervisor.host.uuid}))


def _files(domain: Domain) -> Iterable[str]:
    return (source.path for disk in domain.disks for source in disk.chain if is_in_a_store(source.path))
