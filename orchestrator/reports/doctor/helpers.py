"""Helper domains that outlived the collapse they were started for, and which of them may be ended. Pure.

One is paused and never boots, so it harms nobody; but it has a layer open for writing, and what stands on
that is not restored until it is gone. Usually it ends with its client's connection. It does not if the
daemon was killed first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ...model import Advice, Domain, GuestState
from ...operations.collapse.helper import is_helper
from .advice import note, ok, warning
from .facts import DoctorFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Helpers:
    removable: tuple[Domain, ...]
    kept: tuple[tuple[Domain, str], ...]  # with the reason


def find_helpers(facts: DoctorFacts) -> Helpers:
    reasons = {domain.uuid: _reason_to_keep(domain) for domain in facts.helpers}
    return Helpers(
        removable=tuple(domain for domain in facts.helpers if not reasons[domain.uuid]),
        kept=tuple((domain, reasons[domain.uuid]) for domain in facts.helpers if reasons[domain.uuid]),
    )


def helpers(found: Helpers, *, cleaned: bool) -> Iterator[Advice]:
    for domain in found.removable:
        if cleaned:
            yield ok("helpers", f"ended {domain.name}, a domain that a collapse left behind")
        else:
            yield warning(
                "helpers",
                f"a collapse that is over left the domain {domain.name} behind, which has {_disks(domain)} open",
                f"snapctl doctor --clean, or: virsh destroy {domain.name}",
            )
    for domain, reason in found.kept:
        yield note(
            "helpers",
            f"the catalog knows no open operation for the domain {domain.name}; it is left alone: {reason}",
            f"if nobody needs it: virsh destroy {domain.name}",
        )
    if not found.removable and not found.kept:
        yield ok("helpers", "no collapse left a domain behind")


def _reason_to_keep(domain: Domain) -> str:
    if not is_helper(domain):
        return "it has the name of a helper, but not the mark"
    if domain.block_jobs:
        return "layers are being pulled, as an operation with another catalog does"
    if domain.state is not GuestState.PAUSED or domain.persistent:
        return "somebody made another domain of it"
    return ""


def _disks(domain: Domain) -> str:
    return ", ".join(path for disk in domain.disks if (path := disk.path)) or "nothing"
