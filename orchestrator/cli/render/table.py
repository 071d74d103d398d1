"""`snapctl list`: one line a checkpoint."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from ...model import CheckpointSummary
from .columns import Column, align
from .marks import marks
from .units import age, escaped, size

HEAD = "*"
COLUMNS = (
    Column(),  # the mark of the head
    Column(title="DOMAIN"),
    Column(title="NAME"),
    Column(title="PARENT", shrinks_to=8),
    Column(title="CREATED"),
    Column(title="MEMORY", right=True),
    Column(title="DISKS", right=True),
    Column(title="FREES", right=True, shrinks_to=10),  # never cut: no size is wider
    Column(title="STATE"),
    Column(title="TAGS", shrinks_to=6),
    Column(title="DESCRIPTION", shrinks_to=8),
)


def table(
    checkpoints: Sequence[CheckpointSummary], now: datetime, *, terminal: int | None, with_domain: bool
) -> Iterator[str]:
    """Nothing at all for no checkpoints."""
    if not checkpoints:
        return iter(())
    return align(COLUMNS, [_row(checkpoint, now, with_domain) for checkpoint in checkpoints], terminal)


def _row(checkpoint: CheckpointSummary, now: datetime, with_domain: bool) -> tuple[str, ...]:
    return (
        HEAD if checkpoint.current else "",
        escaped(checkpoint.domain) if with_domain else "",
        escaped(checkpoint.name),
        escaped(checkpoint.parent or ""),
        age(checkpoint.created, now),
        size(checkpoint.memory_bytes),
        size(checkpoint.disk_bytes),
        size(checkpoint.exclusive_bytes),
        marks(checkpoint, now),
        escaped(",".join(checkpoint.tags)),
        escaped(checkpoint.description),
    )
