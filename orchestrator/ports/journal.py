"""The right to change a domain, and what a step leaves in the journal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from ..model import OperationRecord


class Lease(Protocol):
    """The right to change one domain: a row of the journal and the token it was given.

    Kept alive by a heartbeat until it is released. Whoever lost it changes nothing: every method of
    `Catalog` that takes a lease does nothing and raises `Busy` when the token is not the row's any more.
    """

    @property
    def operation(self) -> OperationRecord: ...
    def check(self) -> None:
        """Raise `Busy` unless the lease is still ours; called before each effect."""

    def release(self) -> None:
        """Stop the heartbeat. The row stays as it is."""


Evidence = Mapping[str, Any]
