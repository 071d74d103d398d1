"""What `snapctl usage` says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...model import DomainUsage, Usage
from .columns import Column, align
from .units import escaped, size

COLUMNS = (
    Column(title="DOMAIN"),
    Column(title="NAME", shrinks_to=8),
    Column(title="MEMORY", right=True),
    Column(title="DISKS", right=True),
    Column(title="FREES", right=True),
    Column(title="SHARED", right=True, shrinks_to=10),  # never cut: no size is wider
)


def document(usage: Usage) -> dict[str, Any]:
    """The object of `-o json`: the value, and the sum of each domain."""
    import msgspec

    fields: dict[str, Any] = msgspec.to_builtins(usage)
    for domain, fields_of in zip(usage.domains, fields["domains"], strict=True):
        fields_of["bytes"] = domain.bytes
    return fields


def usage(found: Usage, *, terminal: int | None, with_domain: bool) -> Iterator[str]:
    """A checkpoint a line, then a domain a line, then the store."""
    rows = [
        (
            escaped(each.domain) if with_domain else "",
            escaped(each.name),
            size(each.memory_bytes),
            size(each.disk_bytes),
            size(each.exclusive_bytes),
            size(each.shared_bytes),
        )
        for each in found.checkpoints
    ]
    if rows:
        yield from align(COLUMNS, rows, terminal)
        yield ""
    for domain in found.domains:
        yield from _domain(domain)
    yield f"store {escaped(found.store)}: {size(found.free_bytes)} of {size(found.total_bytes)} free"
    if found.uncatalogued_bytes:
        yield f"  {size(found.uncatalogued_bytes)} of it not in the catalog; see: snapctl doctor"


def _domain(domain: DomainUsage) -> Iterator[str]:
    yield (
        f"{escaped(domain.domain)}: {size(domain.bytes)} (memory {size(domain.memory_bytes)}, "
        f"frozen {size(domain.frozen_bytes)}, active {size(domain.active_bytes)}, "
        f"manifests {size(domain.manifest_bytes)})"
    )
    if domain.own_bytes:
        yield f"  backed by files outside the store, {size(domain.own_bytes)}: not counted"
