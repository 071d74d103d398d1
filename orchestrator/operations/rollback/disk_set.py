"""Which disks a domain has and which a checkpoint has: what a rollback changes, in words and in its definition. Pure.

Only disks that the guest could write to are compared; CD-ROMs and the like stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...formats import domainxml
from ...model import Checkpoint, Domain, Head


@dataclass(frozen=True, slots=True)
class SetChange:
    """Of a persistent definition: the targets that come back, and those that go."""

    returns: tuple[str, ...] = ()
    leaves: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.returns or self.leaves)

    def applied_to(self, domain: Domain, saved: str) -> str:
        """The persistent XML with that set of disks; "" of a transient domain. `saved` is the XML of the image."""
        if not self or not domain.persistent_xml:
            return domain.persistent_xml
        return domainxml.with_set(domain.persistent_xml, like=saved, added=self.returns, removed=self.leaves)


def changed_set(domain: Domain | None, checkpoint: Checkpoint) -> SetChange:
    """A disk that is only plugged in, or only to come with the next start, is none of the definition's business."""
    if domain is None or not domain.persistent:
        return SetChange()
    defined, now = domain.persistent_sources(), domain.sources()
    return SetChange(
        returns=tuple(target for target in checkpoint.layers if target not in defined and target not in now),
        leaves=tuple(target for target in defined if target not in checkpoint.layers and target in now),
    )


def differences(domain: Domain | None, checkpoint: Checkpoint, head: Head | None) -> tuple[str, ...]:
    """How its disks differ from those that the catalog knows: phrases."""
    if domain is None:
        return ()
    now, known = domain.sources(), head.overlays if head is not None else {}
    below = {disk.target: {source.path for source in disk.backing} for disk in domain.writable_disks}
    found = [f"disk {target}, which was detached, comes back" for target in checkpoint.layers if target not in now]
    for target, path in now.items():
        if target not in checkpoint.layers:
            found.append(f"disk {target} is detached; {path or 'its image'} is kept")
        elif target in known and known[target] != path:
            broken = ", but its backing file is removed" if known[target] in below[target] else ""
            found.append(f"disk {target} is {path or 'another one'} now, which is kept{broken}")
    return tuple(found)
