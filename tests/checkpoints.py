"""What tests ask of a checkpoint that was made by saving."""

from __future__ import annotations

from orchestrator.model import Checkpoint, MemoryImage


def memory_of(checkpoint: Checkpoint) -> MemoryImage:
    """Its memory image, which it has."""
    assert checkpoint.memory is not None
    return checkpoint.memory
