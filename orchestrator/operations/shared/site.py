"""Where operations are planned: one hypervisor, the catalog of it, and what is configured."""

from __future__ import annotations

from dataclasses import dataclass

from ...ports import Catalog, Hypervisor
from .depth import SOFT_LIMIT


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    hypervisor: Hypervisor
    catalog: Catalog
    store: str  # the directory on the hypervisor
    reserve_bytes: int = 0  # free space to leave there
    soft_limit: int = SOFT_LIMIT  # layers of a disk from which on a checkpoint warns
