"""Plan the deletion of a checkpoint, or refuse it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from posixpath import normpath

from ..errors import Refused
from ..model import Checkpoint, Head, Host, Layer
from .plans import DeletePlan
from .refusals import some


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteFacts:
    host: Host
    domain_name: str  # as it is called now
    checkpoint: Checkpoint
    children: Sequence[str]
    head: Head | None
    layers: Sequence[Layer]  # what nothing would need any more
    users: Mapping[str, str] = field(default_factory=dict)  # of files that a domain has for a disk, or below one


def plan_delete(operation_id: str, facts: DeleteFacts) -> DeletePlan:
    """Raises `Refused` when something depends on the checkpoint, naming it."""
    checkpoint, domain = facts.checkpoint, facts.domain_name
    if facts.children:
        raise Refused(
            f"checkpoint {checkpoint.name} is the parent of {some(facts.children)}",
            hint=f"delete {'it' if len(facts.children) == 1 else 'them'} first",
        )
    if facts.head is not None and facts.head.checkpoint_id == checkpoint.id:
        raise Refused(
            f"{domain} stands on checkpoint {checkpoint.name}: its disks are overlays on it",
            hint=f"roll back to another one first: snapctl rollback {domain} NAME",
        )
    for path in (checkpoint.memory.path, *(layer.path for layer in facts.layers)):
        if user := facts.users.get(normpath(path)):
            raise Refused(
                f"{path} would go with checkpoint {checkpoint.name}, and {user}",
                hint="is this catalog an old copy? See: snapctl doctor",
            )
    return DeletePlan(
        operation_id=operation_id,
        host=facts.host,
        domain_uuid=checkpoint.domain_uuid,
        domain_name=domain,
        checkpoint_id=checkpoint.id,
        checkpoint_name=checkpoint.name,
        memory_path=checkpoint.memory.path,
        layers=tuple(layer.path for layer in facts.layers),
        freed_bytes=checkpoint.memory.size + sum(layer.allocation or 0 for layer in facts.layers),
    )
