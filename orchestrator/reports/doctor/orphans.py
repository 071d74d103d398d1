"""Which directories of the store no catalogued thing needs, and which of them may go. Pure.

A catalog that does not know a directory is no proof that it is not in use: the catalog may be new, or old,
or there may be another one. So the store is asked too. What may go is only what an operation of ours on this
host made, and what neither a domain, nor the catalog, nor a checkpoint recorded in the store, nor any other
file there stands on, and only if nothing was ever written to it. A memory image never goes, and no overlay with data in
it: it may be all that is left of a guest, which another catalog knows, or which is undefined, transient and off, or
has been migrated away. The one exception is what this catalog itself discarded when something else stood on it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from posixpath import basename, normpath

from ...formats import qcow2
from ...integrity.users import FileUser
from ...model import FileInfo, walk
from ...store import layout
from ...store.contents import Directory
from ...units import KIB
from .facts import DoctorFacts

SETTLED_AFTER = timedelta(hours=1)
"""What an operation with another catalog makes is in use by then: a domain has it, or a memory image is with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphans:
    """Directories that the catalog does not know and no open operation names."""

    checkpoints: tuple[Directory, ...]  # whole ones, as their manifests say
    removable: tuple[Directory, ...]
    kept: tuple[tuple[Directory, str], ...]  # with the reason
    layers: tuple[str, ...] = ()  # files that this catalog discarded, and that nobody stands on any more
    layers_in_use: tuple[str, ...] = ()  # those that somebody does
    users: Mapping[str, FileUser] = field(default_factory=dict)  # of those, as far as it is seen who does


def find_orphans(facts: DoctorFacts) -> Orphans:
    unknown = [directory for directory in facts.store.directories if not facts.knows(directory)]
    checkpoints = [directory for directory in unknown if directory.has_checkpoint]
    reasons = {
        directory.path: _reason_to_keep(directory, facts) for directory in unknown if not directory.has_checkpoint
    }
    removable = _unneeded([each for each in unknown if reasons.get(each.path) == ""], checkpoints, facts)
    gone = {directory.path for directory in removable}
    free = _unneeded_layers(removable, checkpoints, facts)
    return Orphans(
        checkpoints=tuple(checkpoints),
        removable=tuple(removable),
        kept=tuple(
            (directory, reasons[directory.path] or "another layer is backed by its files, or a domain uses them")
            for directory in unknown
            if directory.path in reasons and directory.path not in gone
        ),
        layers=tuple(sorted(free)),
        layers_in_use=tuple(sorted(facts.left_over_files - free)),
    )


def _reason_to_keep(directory: Directory, facts: DoctorFacts) -> str:
    left = {path for paths in facts.abandoned.values() for path in paths}
    if directory.operation_id in facts.abandoned or directory.paths & left:
        return "an operation that was abandoned left it"
    if directory.manifest is None:
        return f"its manifest {directory.problem}"
    unnamed = directory.paths - {overlay.path for overlay in directory.manifest.overlays}
    if unnamed:
        return f"its manifest does not name {', '.join(sorted(unnamed))}"
    if written := [info for info in directory.files if info.path in directory.paths and not is_untouched(info)]:
        names = ", ".join(basename(info.path) for info in written)
        return f"there is data in {names}, {sum(info.allocation for info in written) // KIB} KiB"
    if facts.now - directory.manifest.created < SETTLED_AFTER:
        return "it is less than an hour old: an operation in another catalog may be using it"
    return ""


def is_untouched(info: FileInfo) -> bool:
    """Whether nothing was ever written to an overlay: a qcow2 file grows with its first cluster of data."""
    return info.format == "qcow2" and info.physical <= qcow2.empty_length(info.capacity)


# --------------------------------------------------------------------------- what is backed by what


def _unneeded(candidates: list[Directory], checkpoints: Iterable[Directory], facts: DoctorFacts) -> list[Directory]:
    """The candidates whose files back no layers but those of other candidates."""
    roots, backing = _roots(checkpoints, facts), _backing(facts)
    while True:
        going = {directory.path for directory in candidates}
        staying = {path for each in facts.store.directories if each.path not in going for path in each.paths}
        needed = _all_below(roots | staying, backing)
        free = [directory for directory in candidates if not directory.paths & needed]
        if len(free) == len(candidates):
            return free
        candidates = free


def _unneeded_layers(removable: Iterable[Directory], checkpoints: Iterable[Directory], facts: DoctorFacts) -> set[str]:
    """The discarded layers on which nothing stands but other such layers, or what goes with them."""
    roots, backing = _roots(checkpoints, facts), _backing(facts)
    going = {path for directory in removable for path in directory.paths}
    others = {info.path for info in facts.store.files()} - going
    free = set(facts.left_over_files)
    while needed := free & _all_below(roots | (others - free), backing):
        free -= needed
    return free


def _roots(checkpoints: Iterable[Directory], facts: DoctorFacts) -> frozenset[str]:
    known = facts.catalogued_files | facts.disks | _saved_on(facts)
    return known.union(*(directory.record.files for directory in checkpoints if directory.record))


def _saved_on(facts: DoctorFacts) -> set[str]:
    """The disks of guests whose memory images are not in the catalog: what the overlays beside these were made on."""
    lost = [each for each in facts.store.directories if layout.memory_path(each.path) in each.paths]
    lost = [each for each in lost if layout.memory_path(each.path) not in facts.catalogued_files]
    return {normpath(overlay.backing) for each in lost if each.manifest for overlay in each.manifest.overlays}


def _backing(facts: DoctorFacts) -> dict[str, str]:
    inside = {each.path: normpath(each.backing) for each in facts.store.files() if each.backing is not None}
    return {**facts.outside, **inside}


def _all_below(tops: Iterable[str], backing: dict[str, str]) -> set[str]:
    found: set[str] = set()
    for top in tops:
        deque(walk(top, backing.get, found), maxlen=0)
    return found
