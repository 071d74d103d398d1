"""Helper domains, in whose QEMU a block job runs or which only try a lock, and how one is recognised."""

from __future__ import annotations

from ...formats import domainxml
from ...model import Domain

HELPER_PREFIX = "snapctl-helper-"


HELPER_TARGET = "vda"


def is_helper(domain: Domain) -> bool:
    """Whether a plan of ours made it: it carries the mark, and is named after the operation that is its UUID."""
    return domain.name == f"{HELPER_PREFIX}{domain.uuid}" and domainxml.is_helper(domain.xml)
