"""`snapctl doctor`: checks everything, changes nothing, and recommends fixes.

facts          what is checked                    guests      checks of domains and checkpoints
surroundings   checks of what they live on        orphans     directories not in use
leftovers      what is said of those              helpers     domains that a collapse left behind

All but `facts` is pure. With `clean` it deletes orphan directories and ends helpers, and nothing else.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from ...model import Advice
from ...ports import Catalog, Hypervisor
from ...store.contents import Directory
from ...store.workspace import remove_files, remove_if_empty
from . import environment, guests
from .facts import DoctorFacts, gather
from .helpers import find_helpers, helpers
from .leftovers import leftovers
from .orphans import Orphans, find_orphans

CHECKS = (
    *(environment.hypervisor, environment.catalog, environment.store, environment.space),
    *(guests.operations, guests.domains, guests.files, guests.chains),
)


def examine(
    hypervisor: Hypervisor, catalog: Catalog, *, store: str, reserve_bytes: int, now: datetime, clean: bool
) -> list[Advice]:
    """At least one piece of advice for each check; "ok" where nothing is amiss.

    Raises `HypervisorError` or `CatalogError` when one of them cannot be asked.
    """
    facts = gather(hypervisor, catalog, store=store, reserve_bytes=reserve_bytes, now=now)
    orphans, left = _still_there(hypervisor, find_orphans(facts)), find_helpers(facts)
    if clean:
        for domain in left.removable:
            hypervisor.domains.destroy(domain.uuid)
        for directory in orphans.removable:
            _remove(hypervisor, directory)
    return [*judge(facts), *helpers(left, cleaned=clean), *leftovers(facts, orphans, cleaned=clean)]


def judge(facts: DoctorFacts) -> list[Advice]:
    return [advice for check in CHECKS for advice in check(facts)]


def _still_there(hypervisor: Hypervisor, orphans: Orphans) -> Orphans:
    """Without what an operation that ended in between has removed itself."""
    removable = (each for each in orphans.removable if hypervisor.storage.files(each.path) is not None)
    return replace(orphans, removable=tuple(removable))


def _remove(hypervisor: Hypervisor, directory: Directory) -> None:
    """The manifest is removed last: a kill leaves a directory that still says whose it is."""
    assert directory.manifest is not None  # noqa: S101 - what makes it removable
    remove_files(hypervisor, directory.manifest.domain_uuid, sorted(directory.paths))
    remove_if_empty(hypervisor, directory.path)
