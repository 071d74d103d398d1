"""The files of what an operation discarded: who stands on one is asked again right before it goes (order rule 13).

What somebody stands on is kept, and its name stays in the catalog as discarded: `doctor` lists it, and
`doctor --clean` removes it once nobody stands on it any more. What somebody wrote to after its removal was agreed to is
kept, and is none of the catalog's any more: what is in it is for its owner to look into.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from ...integrity.file_users import find_users
from ...model import FileInfo, Layer
from ...ports import Catalog, Evidence, Hypervisor, OpenOperation
from ...store.workspace import remove_directories

KEPT = "kept"
"""Evidence of a step that removed files: by path of those that it did not remove, why."""
WRITTEN = "it was written to after its removal was agreed to; it is no longer in the catalog"


class Removal:
    """Of the layers that one domain of an operation discarded."""

    def __init__(self, hypervisor: Hypervisor, catalog: Catalog, operation: OpenOperation, domain_uuid: str) -> None:
        self._hypervisor = hypervisor
        self._catalog = catalog
        self._operation = operation
        self._uuid = domain_uuid
        self._kept: dict[str, str] = {}  # by this very process
        self._written: list[str] = []  # those of them that were written to

    def remove(
        self,
        *,
        besides: Sequence[str] = (),
        keeping: Mapping[str, str] | None = None,
        then: Mapping[str, Any] | None = None,
    ) -> None:
        """Delete those that nobody stands on, then forget their names.

        `besides` are files that went with them: their directories may be empty now. `keeping` has those that are to
        be kept in any case, with the reason, and `then` what files were like when their removal was agreed to; of the
        others that is what the catalog has.
        """
        discarded = self._operation.discarded_layers(self._uuid)
        free = {layer.path for layer in self._operation.withdraw_discards(self._uuid)}
        users = find_users(self._hypervisor, self._catalog, sorted(free), besides=[self._operation.record.id])
        layers = [layer for layer in discarded if layer.path in free]
        self._written = written_to(layers, then or {}, self._hypervisor.storage.stat_all(sorted(free)))
        reasons = dict.fromkeys(self._written, WRITTEN)
        reasons |= {path: str(user) for path, user in users.items()} | dict(keeping or {})
        self._kept = kept_of(discarded, free, reasons)
        going = [layer.path for layer in discarded if layer.path in free and layer.path not in self._kept]
        for path in going:
            self._hypervisor.storage.remove(path)
        remove_directories(self._hypervisor, self._catalog, [*besides, *going])
        self._operation.forget_layers(going)
        self._operation.leave_layers(self._written)

    def is_done(self) -> Evidence | None:
        """Whether nothing is left of them but what was found in use just now."""
        left = [layer.path for layer in self._operation.discarded_layers(self._uuid)]
        if any(path not in self._kept for path in left):
            return None
        kept = [*left, *self._written]
        return {KEPT: {path: self._kept[path] for path in kept}} if kept else {}


def written_to(layers: Iterable[Layer], then: Mapping[str, Any], now: Mapping[str, FileInfo | None]) -> list[str]:
    """The paths of those whose length or time of last change is not what it was `then`, or what the catalog has. Of an
    overlay of a running guest it has none."""
    known = msgspec.convert(then, dict[str, FileInfo | None])
    found = []
    for layer in layers:
        before, info = known.get(layer.path) or layer, now[layer.path]
        was = (before.physical, before.mtime)
        if info is not None and before.mtime is not None and (info.physical, info.mtime) != was:
            found.append(layer.path)
    return found


def kept_of(layers: Collection[Layer], free: Collection[str], reasons: Mapping[str, str]) -> dict[str, str]:
    """Which layers are kept, by path, and why: those in use, and all below one. Those that are not `free` back a layer
    that was kept earlier."""
    known = {layer.path: layer for layer in layers}
    kept: dict[str, str] = {}
    for layer in layers:
        reason = reasons.get(layer.path) or (None if layer.path in free else "a layer that was kept is backed by it")
        path: str | None = layer.path
        while reason is not None and path in known and path not in kept:
            kept[path] = reason
            path = known[path].backing
    return kept
