"""Which directories of the store no catalogued thing needs, and which of them may go. Pure.

A catalog that does not know a directory is no proof that it is not in use: the catalog may be new, or old,
or there may be another one. So the store is asked too. What may go is only what an operation of ours on this
host made, and what neither a domain, nor the catalog, nor a checkpoint recorded in the store, nor any other
file there stands on. A memory image never goes: it may be all that is left of a guest.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from posixpath import normpath

from ...model import walk
from ...store.contents import Directory
from .facts import DoctorFacts

SETTLED_AFTER = timedelta(hours=1)
"""What an operation with another catalog makes is in use by then: a domain has it, or a memory image is with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphans:
    """Directories that the catalog does not know and no open operation names."""

    checkpoints: tuple[Directory, ...]  # whole ones, as their manifests say
    removable: tuple[Directory, ...]
    kept: tuple[tuple[Directory, str], ...]  # with the reason


def find_orphans(facts: DoctorFacts) -> Orphans:
    unknown = [directory for directory in facts.store.directories if not facts.knows(directory)]
    checkpoints = [directory for directory in unknown if directory.has_checkpoint]
    reasons = {
        directory.path: _reason_to_keep(directory, facts) for directory in unknown if not directory.has_checkpoint
    }
    removable = _unneeded([each for each in unknown if reasons.get(each.path) == ""], checkpoints, facts)
    gone = {directory.path for directory in removable}
    return Orphans(
        checkpoints=tuple(checkpoints),
        removable=tuple(removable),
        kept=tuple(
            (directory, reasons[directory.path] or "another layer is backed by its files, or a domain uses them")
            for directory in unknown
            if directory.path in reasons and directory.path not in gone
        ),
    )


def _reason_to_keep(directory: Directory, facts: DoctorFacts) -> str:
    if directory.manifest is None:
        return f"its manifest {directory.problem}"
    unnamed = directory.paths - {overlay.path for overlay in directory.manifest.overlays}
    if unnamed:
        return f"its manifest does not name {', '.join(sorted(unnamed))}"
    if facts.now - directory.manifest.created < SETTLED_AFTER:
        return "it is less than an hour old: an operation in another catalog may be using it"
    return ""


# --------------------------------------------------------------------------- what is backed by what


def _unneeded(candidates: list[Directory], checkpoints: Iterable[Directory], facts: DoctorFacts) -> list[Directory]:
    """The candidates whose files back no layers but those of other candidates."""
    roots = facts.catalogued_files | facts.disks
    roots = roots.union(*(directory.record.files for directory in checkpoints if directory.record))
    inside = {each.path: normpath(each.backing) for each in facts.store.files() if each.backing is not None}
    backing = {**facts.outside, **inside}
    while True:
        going = {directory.path for directory in candidates}
        staying = {path for each in facts.store.directories if each.path not in going for path in each.paths}
        needed = _all_below(roots | staying, backing)
        free = [directory for directory in candidates if not directory.paths & needed]
        if len(free) == len(candidates):
            return free
        candidates = free


def _all_below(tops: Iterable[str], backing: dict[str, str]) -> set[str]:
    found: set[str] = set()
    for top in tops:
        deque(walk(top, backing.get, found), maxlen=0)
    return found
