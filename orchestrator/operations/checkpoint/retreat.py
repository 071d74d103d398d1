"""The way back of an operation that saved a guest and cannot go on: it is restored onto its unchanged disks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...errors import HypervisorError
from ...model import Source
from ...ports import Hypervisor
from ..shared.rewind import Rewind
from .capture import Capture
from .made import MadeCheckpoint
from .plan import CheckpointPlan


class Retreat:
    """`onward` is the way that the operation wanted to go, and `home` restores the memory that it saved."""

    def __init__(
        self,
        plan: CheckpointPlan,
        hypervisor: Hypervisor,
        capture: Capture,
        made: MadeCheckpoint,
        onward: Rewind,
        home: Rewind,
        results: Mapping[str, Any],
    ) -> None:
        self._plan = plan
        self._hypervisor = hypervisor
        self._capture = capture
        self._made = made
        self._onward = onward
        self._home = home
        self._results = results

    def is_past_no_return(self) -> bool:
        """Committed, or saved and not run since; or started outside snapctl on the very overlays that its
        persistent XML names by then, which leaves the frozen layers and the image a pair."""
        if self._made.is_committed() is not None:
            return True
        domain = self._hypervisor.domains.get(self._plan.domain_uuid)
        if domain is not None and domain.active and self._onward.is_used_by(domain):
            return "frozen" in self._results
        return self._capture.is_captured() is not None

    def is_open(self) -> bool:
        """Only while no checkpoint relies on the tops, they are as they were when the memory was saved, and no guest
        has worked on the overlays.

        A guest that was restored is not stopped for it if one of them is a block device: nothing would show then
        whether it was written to since.
        """
        if self._made.is_committed() is not None or self._onward.has_run():
            return False
        if self._onward.is_held():
            self._capture.require_unwritten()
            may = None not in self._results["frozen"].values()
        else:
            may = self._capture.is_captured() is not None
        return may and self._made.is_on_its_disks()

    def take(self) -> None:
        """Restore the guest onto the unchanged tops.

        The persistent XML names the overlays until then. Killed there, whoever starts the guest writes to no top, and
        the image and the tops stay a pair.
        """
        self._onward.unrestore()
        if self._capture.is_captured() is None:
            raise HypervisorError(f"{self._plan.domain_name} was not saved whole", effect="it was not restored")
        overlays = self._plan.overlays
        self._home.restore_back({o.target: Source(path=o.backing, format=o.backing_format) for o in overlays})
