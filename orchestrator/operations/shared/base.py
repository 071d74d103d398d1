"""Base of all operations: what a story works on, and the default undo and error text."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any, Generic, Protocol, TypeVar

from ...engine.story import Plan, Story, undone_error
from ...errors import Refused, SnapctlError
from ...model import Head
from ...ports import Catalog, Hypervisor, OpenOperation, Progress
from .now import doing_now
from .removal import KEPT, Removal

P = TypeVar("P", bound=Plan)


class OfHead(Plan, Protocol):
    """A plan that begins where the domain stands."""

    @property
    def head(self) -> Head | None: ...


def require_head(plan: OfHead, catalog: Catalog) -> None:
    if catalog.head(plan.domain_uuid) != plan.head:
        raise Refused(f"{plan.domain_name} was rolled back or checkpointed after the plan was made", hint="try again")


class PlannedStory(Story, Generic[P]):
    def __init__(
        self,
        plan: P,
        hypervisor: Hypervisor,
        catalog: Catalog,
        operation: OpenOperation,
        results: MutableMapping[str, Any],
        progress: Progress,
    ) -> None:
        self.plan = plan
        self.results = results
        self._hypervisor = hypervisor
        self._catalog = catalog
        self._operation = operation
        self._progress = progress
        self._removal = Removal(hypervisor, catalog, operation, plan.domain_uuid)

    @property
    def domain_uuid(self) -> str:
        return self.plan.domain_uuid

    def may_advance(self) -> bool:
        return True

    def may_fall_back(self) -> bool:
        return False  # beyond the point of no return there is nothing to go back to

    def fall_back(self) -> None:
        raise NotImplementedError

    def may_give_up(self) -> bool:
        return False

    def now(self) -> str:
        return doing_now(self._hypervisor, self.plan.domain_uuid, self.plan.domain_name)

    def kept(self) -> Mapping[str, str]:
        kept: Mapping[str, str] = self.results.get(KEPT, {})
        return kept

    def caveat(self) -> SnapctlError | None:
        return None

    def loss(self) -> str | None:
        return None

    def undone_error(self, cause: Exception) -> SnapctlError:
        return undone_error(cause, self.plan.domain_name)
