"""What is to be known of a checkpoint at a glance: its state, and how long it is to stay."""

from __future__ import annotations

from datetime import datetime

from ...model import CheckpointSummary
from ...timespan import rough


def marks(checkpoint: CheckpointSummary, now: datetime) -> str:
    """`damaged, protected, expires in 2 days`; "" for a checkpoint that there is nothing to say of."""
    found = [checkpoint.state] if checkpoint.state != "ready" else []
    if checkpoint.protected:
        found.append("protected")
    if checkpoint.expires is not None:
        found.append(expiry(checkpoint.expires, now))
    return ", ".join(found)


def expiry(expires: datetime, now: datetime) -> str:
    span = rough(expires - now)
    return f"expires in {span}" if expires > now else f"expired {span} ago"
