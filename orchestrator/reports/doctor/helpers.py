"""Helper domains that outlived the collapse they were started for, and which of them may be ended. Pure.

One is paused and never boots, so it does no harm; but it has a layer open for writing, and what is backed by
that is not restored until it is gone. Usually it ends with its client's connection. It does not if the
daemon was killed first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ...model import Advice, Domain, GuestState
from ...operations.shared.helper import is_helper
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
            yield ok("helpers", f"stopped the helper domain {domain.name}, left over from a collapse")
        else:
            yield warning(
                "helpers",
                f"the helper domain {domain.name} is left over from a collapse, and has {_disks(domain)} open",
                f"snapctl doctor --clean, or: virsh destroy {domain.name}",
            )
    for domain, reason in found.kept:
        yield note(
            "helpers",
            f"the catalog has no open operation for the domain {domain.name}; it was not touched: {reason}",
            f"if it is not in use: virsh destroy {domain.name}",
        )
    if not found.removable and not found.kept:
        yield ok("helpers", "no helper domain is left over")


def _reason_to_keep(domain: Domain) -> str:
    if not is_helper(domain):
        return "it has the name of a helper domain, but not its metadata"
    if domain.block_jobs:
        return "a block job is running in it, perhaps of an operation in another catalog"
    if domain.state is not GuestState.PAUSED or domain.persistent:
        return "its definition was changed outside snapctl"
    return ""


def _disks(domain: Domain) -> str:
    return ", ".join(path for disk in domain.disks if (path := disk.path)) or "nothing"
