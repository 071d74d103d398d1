"""Where operations are planned: one hypervisor, the catalog of it, and what is configured."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass, field

from ...ports import Catalog, Hypervisor
from ...store.ownership import Ownership
from .depth import SOFT_LIMIT


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    hypervisor: Hypervisor
    catalog: Catalog
    store: str  # the directory on the hypervisor
    owner: Ownership  # of that store
    reserve_bytes: int = 0  # free space to leave there
    soft_limit: int = SOFT_LIMIT  # layers of a disk from which on a checkpoint warns
    planned: MutableMapping[str, float] = field(default_factory=dict)
    """When operations were planned here, by their id, by a clock that never jumps. What is not in it is old."""
