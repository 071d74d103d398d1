"""How the artifacts of a checkpoint come to be: the replaceable part of its story.

The overlays are made before; what follows (commit, restore, resume, hash, describe) is the same for all.

save    the guest is stopped and its memory saved
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, MutableMapping
from typing import Any, Protocol

from ....engine.story import Step
from ....model import CaptureMode
from ....ports import Evidence, Hypervisor, Progress
from ..plan import CheckpointPlan
from .save import SaveCapture


class Capture(Protocol):
    """One way to capture a guest. Its step is the point of no return; the evidence that it leaves is "created",
    "frozen" (the file information of the frozen layers), and "memory" if there is an image."""

    @property
    def step(self) -> Step: ...

    @property
    def stops_guest(self) -> bool:
        """Whether the guest is off afterwards, so that it must be repointed, and may be restored and resumed."""

    @property
    def loss(self) -> str | None:
        """What was given up when it was undone, for people."""

    def is_captured(self) -> Evidence | None:
        """Whether the artifacts are whole and of one instant. Raises `Unfinished` when they may not be of one."""

    def require_unwritten(self) -> None:
        """Raise `Unfinished` when the frozen layers were written to after they were captured."""

    def require_pair(self) -> None:
        """Raise unless they still are of one instant: `Refused`, or `Unfinished` when that cannot be mended now."""


CAPTURES = {CaptureMode.SAVE: SaveCapture}


def capture_of(
    plan: CheckpointPlan,
    successors: Mapping[str, str | None],
    others: Collection[str],
    hypervisor: Hypervisor,
    results: MutableMapping[str, Any],
    progress: Progress,
) -> Capture:
    """`successors` are the disks that the domain has afterwards, by target, and `others` those of them that do not
    show what it has saved; `results` is the evidence of the steps so far, which grows."""
    return CAPTURES[plan.mode](plan, successors, others, hypervisor, results, progress)


__all__ = ["CAPTURES", "Capture", "SaveCapture", "capture_of"]
