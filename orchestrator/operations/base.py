"""What the stories have in common: what they are told over, and how most of them end when they cannot go on."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, Generic, TypeVar

from ..errors import SnapctlError
from ..journal import undone
from ..planning import Plan
from ..ports import Catalog, Hypervisor, Lease

P = TypeVar("P", bound=Plan)


class PlannedStory(Generic[P]):
    def __init__(
        self, plan: P, hypervisor: Hypervisor, catalog: Catalog, lease: Lease, facts: MutableMapping[str, Any]
    ) -> None:
        self.plan = plan
        self.facts = facts
        self._hypervisor = hypervisor
        self._catalog = catalog
        self._lease = lease

    def retreat(self) -> bool:
        return False  # beyond the point of no return there is nothing to go back to

    def undone(self, cause: Exception) -> SnapctlError:
        return undone(cause, self.plan.domain_name)
