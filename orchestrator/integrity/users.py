"""Who uses which file: the disks of all domains, by path (`same_device`)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..model import Domain, DomainDisks, same_device


@dataclass(frozen=True, slots=True, kw_only=True)
class FileUser:
    """Who stands on a file: a domain with one of its disks, or a directory of the store that the catalog does not
    know (`domain_uuid` is None), or an operation that is open."""

    name: str  # of the domain; the path of the directory
    domain_uuid: str | None = None
    target: str = ""
    active: bool = False
    later: bool = False  # only from its next start on
    checkpoint: str = ""  # that the directory has
    operation: str = ""  # one that is open, and whose plan names the file

    def __str__(self) -> str:
        """What follows the name of the file in a sentence."""
        if self.operation:
            return f"the unfinished {self.operation} of {self.name} needs it"
        if self.domain_uuid is not None:
            later = " from its next start on" if self.active and self.later else ""
            return f"{self.name} uses it for its disk {self.target}{later}"
        if self.checkpoint:
            return f"checkpoint {self.checkpoint}, which is not in the catalog, needs it"
        return f"a file in {self.name}, which is not in the catalog, is backed by it"


def holders(domains: Iterable[DomainDisks]) -> dict[str, str]:
    """By path: the running domain that has it below one of its disks."""
    return {
        same_device(source.path): domain.name
        for domain in domains
        if domain.active
        for disk in domain.disks
        for source in disk.backing
    }


def writers(domains: Iterable[Domain | DomainDisks]) -> dict[str, str]:
    """By path: who may write to it, now or from the next start on."""
    found: dict[str, str] = {}
    for domain in domains:
        for when, disks in ((" from its next start on", domain.persistent_disks), ("", domain.disks)):
            for disk in disks:
                if disk.writable and disk.path is not None:
                    found[same_device(disk.path)] = f"{domain.name} has it as its disk {disk.target}{when}"
    return found
