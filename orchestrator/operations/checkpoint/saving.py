"""How an operation that saves a guest is settled: alone, or before another checkpoint is restored."""

from __future__ import annotations

from typing import TypeVar

from ...engine.story import Plan
from ...errors import SnapctlError
from ..shared.base import PlannedStory
from .capture import Capture
from .made import MadeCheckpoint
from .retreat import Retreat

P = TypeVar("P", bound=Plan)


class SavingStory(PlannedStory[P]):
    """Beyond the point of no return there is a way back: the guest is restored onto the disks it was saved with."""

    _capture: Capture
    _made: MadeCheckpoint
    _retreat: Retreat

    def is_past_no_return(self) -> bool:
        return self._retreat.is_past_no_return()

    def may_advance(self) -> bool:
        return False  # the others can be restored onto their disks

    def may_fall_back(self) -> bool:
        return self._retreat.is_open()

    def fall_back(self) -> None:
        self._retreat.take()

    def loss(self) -> str | None:
        return self._capture.loss

    def undone_error(self, cause: Exception) -> SnapctlError:
        return self._made.undone_error(cause)
