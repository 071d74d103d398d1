"""Ids of operations, and names that are made up."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4


def new_id() -> str:
    return str(uuid4())


def generated_name(operation_id: str) -> str:
    """A name that reads as a time and never recurs, as it has a part of the id in it."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{operation_id[:8]}"
