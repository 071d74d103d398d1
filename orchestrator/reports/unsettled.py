"""What is known of an operation that is open: whether a process is at it, and what its guests are doing."""

from __future__ import annotations

from ..model import MemberRecord, OperationKind, OperationRecord, Unsettled
from ..operations.shared.now import doing_now
from ..ports import Catalog, Hypervisor

SAVING = (OperationKind.CHECKPOINT, OperationKind.KEEPING_ROLLBACK)
"""Those in the midst of which the guest's memory is nowhere but in their image."""


def report_open(hypervisor: Hypervisor, catalog: Catalog, record: OperationRecord) -> Unsettled:
    in_progress = not catalog.is_abandoned(record)
    at_risk = [each for each in record.members if not in_progress and _is_only_in_image(hypervisor, record, each)]
    return Unsettled(
        record=record,
        in_progress=in_progress,
        guests=tuple(doing_now(hypervisor, each.domain_uuid, each.domain_name) for each in record.members),
        memory_in_image=tuple(each.domain_name for each in at_risk),
    )


def _is_only_in_image(hypervisor: Hypervisor, record: OperationRecord, member: MemberRecord) -> bool:
    if record.kind not in SAVING or "saved" not in (member.step, *member.completed):
        return False
    domain = hypervisor.domains.get(member.domain_uuid)
    return domain is not None and not domain.active
