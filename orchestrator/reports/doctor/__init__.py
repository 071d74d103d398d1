"""`snapctl doctor`: checks everything, changes nothing, and recommends fixes.

facts          what is checked                    guests      checks of domains and checkpoints
surroundings   checks of what they live on        orphans     directories not in use
leftovers      what is said of those              helpers     domains that a collapse left behind

All but `facts` is pure. With `clean` it deletes what is provably nobody's data (directories whose overlays are empty,
and layers that this catalog itself discarded), ends helpers, and does nothing else.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from ...integrity.file_users import find_users
from ...model import Advice, Cleaning
from ...ports import Catalog, Hypervisor
from ...store.contents import Directory
from ...store.ownership import Ownership
from ...store.workspace import remove_directories, remove_files, remove_if_empty
from . import environment, guests
from .facts import DoctorFacts, gather
from .helpers import Helpers, find_helpers, helpers
from .leftovers import leftovers
from .orphans import Orphans, find_orphans

CHECKS = (
    *(environment.hypervisor, environment.catalog, environment.store, environment.owner, environment.space),
    *(guests.operations, guests.domains, guests.files, guests.chains),
)


def examine(
    hypervisor: Hypervisor,
    catalog: Catalog,
    *,
    store: str,
    reserve_bytes: int,
    now: datetime,
    clean: bool,
    owner: Ownership,
    agreed: Cleaning | None = None,
) -> list[Advice]:
    """At least one piece of advice for each check; "ok" where nothing is amiss. With `clean` only what is among
    `agreed` is removed, if that is given.

    Raises `HypervisorError` or `CatalogError` when one of them cannot be asked.
    """
    facts = gather(hypervisor, catalog, store=store, reserve_bytes=reserve_bytes, now=now, owner=owner)
    orphans, left = _found(hypervisor, facts)
    if clean:
        orphans, left = _limited(orphans, left, agreed)
        orphans = _still_unused(hypervisor, catalog, orphans)
        for domain in left.removable:
            hypervisor.domains.destroy(domain.uuid)
        for directory in orphans.removable:
            _remove(hypervisor, directory)
        _remove_layers(hypervisor, catalog, orphans.layers)
    orphans = replace(orphans, users=find_users(hypervisor, catalog, orphans.layers_in_use))
    return [*judge(facts), *helpers(left, cleaned=clean), *leftovers(facts, orphans, cleaned=clean)]


def plan_cleaning(
    hypervisor: Hypervisor, catalog: Catalog, *, store: str, reserve_bytes: int, now: datetime, owner: Ownership
) -> Cleaning:
    """What `examine` with `clean` would remove now."""
    facts = gather(hypervisor, catalog, store=store, reserve_bytes=reserve_bytes, now=now, owner=owner)
    orphans, left = _found(hypervisor, facts)
    return Cleaning(
        directories=tuple(each.path for each in orphans.removable),
        layers=orphans.layers,
        helpers=tuple(domain.name for domain in left.removable),
    )


def _found(hypervisor: Hypervisor, facts: DoctorFacts) -> tuple[Orphans, Helpers]:
    return _still_there(hypervisor, find_orphans(facts)), find_helpers(facts)


def _limited(orphans: Orphans, left: Helpers, agreed: Cleaning | None) -> tuple[Orphans, Helpers]:
    if agreed is None:
        return orphans, left
    directories = tuple(each for each in orphans.removable if each.path in agreed.directories)
    layers = tuple(path for path in orphans.layers if path in agreed.layers)
    ended = tuple(domain for domain in left.removable if domain.name in agreed.helpers)
    return replace(orphans, removable=directories, layers=layers), replace(left, removable=ended)


def _still_unused(hypervisor: Hypervisor, catalog: Catalog, orphans: Orphans) -> Orphans:
    """Asked again right before anything is removed: without the directories and layers that somebody stands on."""
    directories = {each.path for each in orphans.removable}
    files = [path for each in orphans.removable for path in each.paths]
    users = find_users(hypervisor, catalog, [*files, *orphans.layers], apart_from=directories)
    return replace(
        orphans,
        removable=tuple(each for each in orphans.removable if not each.paths & users.keys()),
        layers=tuple(path for path in orphans.layers if path not in users),
        layers_in_use=tuple(sorted({*orphans.layers_in_use, *(path for path in orphans.layers if path in users)})),
    )


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


def _remove_layers(hypervisor: Hypervisor, catalog: Catalog, paths: tuple[str, ...]) -> None:
    """As an operation does it: the files, then the directories in which nothing is left, then the names."""
    for path in paths:
        hypervisor.storage.remove(path)
    remove_directories(hypervisor, catalog, paths)
    catalog.forget_left_over(paths)
