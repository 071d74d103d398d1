"""What an edit is planned from: read only, from the catalog."""

from __future__ import annotations

from ...model import Checkpoint
from ..shared.guest import Guest
from ..shared.site import Site
from .plan import EditFacts


def gather(site: Site, guest: Guest, checkpoint: Checkpoint, name: str | None) -> EditFacts:
    """`name` is the one that it shall have, None for the one it has."""
    holder = site.catalog.checkpoint(guest.uuid, name) if name is not None else None
    return EditFacts(
        host=site.hypervisor.host,
        domain_name=guest.domain.name if guest.domain else checkpoint.domain_name,
        checkpoint=checkpoint,
        name_taken=holder is not None and holder.id != checkpoint.id,
    )
