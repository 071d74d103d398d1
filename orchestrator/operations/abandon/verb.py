"""recover --abandon: from a domain to what would be left, and the operations closed."""

from __future__ import annotations

from collections.abc import Sequence
from posixpath import dirname

from ...errors import Busy, SnapctlError
from ...model import OperationRecord, OperationState, Recovered
from ..shared.guest import Guest
from ..shared.now import doing_now
from ..shared.site import Site
from .plan import Abandonment, LeftFile, left_files, ways_on


def plan(site: Site, guest: Guest) -> list[Abandonment]:
    """One for each open operation of the domain. Raises `Busy` while a process is at work on one."""
    return [_plan(site, record) for record in site.catalog.unsettled(guest.uuid)]


def _plan(site: Site, record: OperationRecord) -> Abandonment:
    if not site.catalog.is_abandoned(record):
        raise Busy(
            f"a {record.kind.label} of {record.domains} is in progress ({record.progress})", hint=record.way_to_wait
        )
    files = _that_are_there(site, left_files(record, site.store))
    return Abandonment(
        record=record,
        guests=tuple(doing_now(site.hypervisor, member.domain_uuid, member.domain_name) for member in record.members),
        files=tuple(files),
        ways=tuple(ways_on(record, [file.path for file in files])),
    )


def execute(site: Site, planned: Sequence[Abandonment]) -> list[Recovered]:
    """Only the catalog is changed. Raises `Busy` when somebody took one of them over in the meantime."""
    closed = []
    for each in planned:
        operation = site.catalog.take_over(each.record)
        try:
            operation.close(OperationState.ABANDONED, "abandoned")
        finally:
            operation.release()
        closed.append(
            Recovered(
                operation=each.record.kind,
                title=each.record.kind.label,
                domain=each.record.domains,
                id=each.record.id,
                state=OperationState.ABANDONED,
                detail="; ".join((f"it was interrupted {each.record.progress}", *each.guests)),
            )
        )
    return closed


def _that_are_there(site: Site, files: Sequence[LeftFile]) -> list[LeftFile]:
    """All of them, where the hypervisor cannot say."""
    storage = site.hypervisor.storage
    try:
        facts = storage.stat_all([file.path for file in files])
        return [
            file
            for file in files
            if facts.get(file.path) is not None
            or file.path in {each.path for each in storage.directories(dirname(file.path)) or ()}
        ]
    except SnapctlError:
        return list(files)
