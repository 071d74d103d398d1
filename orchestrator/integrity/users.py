"""Who uses which file: the disks of all domains, by path."""

from __future__ import annotations

from collections.abc import Iterable
from posixpath import normpath

from ..model import Domain, DomainDisks


def holders(domains: Iterable[DomainDisks]) -> dict[str, str]:
    """By path: the running domain that has it below one of its disks."""
    return {
        normpath(source.path): domain.name
        for domain in domains
        if domain.active
        for disk in domain.disks
        for source in disk.backing
    }


def users(domains: Iterable[DomainDisks]) -> dict[str, str]:
    """By path: which domain has it as a disk, or below one as far down as libvirt reports the chain."""
    found: dict[str, str] = {}
    for domain in domains:
        for disk in (*domain.persistent_disks, *domain.disks):
            for source in disk.chain:
                found[normpath(source.path)] = f"{domain.name} uses it for its disk {disk.target}"
    return found


def writers(domains: Iterable[Domain | DomainDisks]) -> dict[str, str]:
    """By path: who may write to it, now or from the next start on."""
    found: dict[str, str] = {}
    for domain in domains:
        for when, disks in ((" from its next start on", domain.persistent_disks), ("", domain.disks)):
            for disk in disks:
                if disk.writable and disk.path is not None:
                    found[normpath(disk.path)] = f"{domain.name} has it as its disk {disk.target}{when}"
    return found
