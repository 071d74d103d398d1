"""How long a backing chain may become. Pure."""

from __future__ import annotations

from ...errors import Refused
from ...model import Domain

LONGEST_CHAIN = 200
"""Layers that libvirt opens below one disk, the active one included (QEMU_DOMAIN_STORAGE_SOURCE_CHAIN_MAX_DEPTH)."""

LONGEST_SHORT_CHAIN = 24
SHORT_CHAINS = ((10, 8), (12, 0))
"""From the first version on, and before the second, libvirt starts no guest with more than about 25 layers
(its JSON parser counts the nesting; NEWS of 12.0.0)."""

SOFT_LIMIT = 50


def has_short_chains(libvirt_version: str) -> bool:
    first, fixed = SHORT_CHAINS
    return first <= numbers(libvirt_version) < fixed


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())


def longest_chain(libvirt_version: str) -> int:
    return LONGEST_SHORT_CHAIN if has_short_chains(libvirt_version) else LONGEST_CHAIN


def depth_after(domain: Domain) -> int:
    """Layers of the deepest writable disk with one more overlay on it."""
    return max((2 + len(disk.backing) for disk in domain.writable_disks), default=0)


def refuse_too_deep(domain: Domain, libvirt_version: str) -> None:
    limit, depth = longest_chain(libvirt_version), depth_after(domain)
    if depth > limit:
        raise Refused(
            f"{domain.name} would have a chain of {depth} layers; libvirt {libvirt_version} opens at most {limit}",
            hint=f"snapctl checkpoint --flatten, or first: snapctl flatten {domain.name}",
        )


def depth_note(name: str, depth: int, libvirt_version: str, soft_limit: int) -> str | None:
    """What to say of a chain that gets long, if it does."""
    limit = longest_chain(libvirt_version)
    if depth <= min(soft_limit, limit * 4 // 5):
        return None
    shorten = f"snapctl prune {name}, or snapctl flatten {name}"
    return f"{name} has a chain of {depth} of at most {limit} layers; shorten it: {shorten}"
