"""Plan the deletion of a checkpoint, or refuse it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ...errors import Refused
from ...integrity.users import FileUser
from ...model import Checkpoint, CheckpointState, FileInfo, Head, Host, Layer, OperationKind, Outcome, Ran, some
from ...units import MIB
from ..shared.preflight import joined


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteFacts:
    host: Host
    domain_name: str  # as it is called now
    checkpoint: Checkpoint
    head: Head | None
    layers: Sequence[Layer]  # what nothing would need any more
    retained: Sequence[str] = ()  # by disk: the nearest layer that something else needs
    needed_by: Sequence[str] = ()
    only_if_unneeded: bool = False  # for a prune: refuse the current checkpoint and protected ones
    is_only_copy: bool = False  # the domain is shut off, and only this checkpoint has its memory
    force: bool = False  # delete it even so
    seen: Mapping[str, FileInfo | None] = field(default_factory=dict)  # what its layers are like, by path
    users: Mapping[str, FileUser] = field(default_factory=dict)  # of the files that would go


def plan_delete(operation_id: str, facts: DeleteFacts) -> DeletePlan:
    """Raises `Refused` when the guest itself would be lost. A layer that somebody stands on is kept."""
    checkpoint, domain = facts.checkpoint, facts.domain_name
    if checkpoint.state is not CheckpointState.READY:
        raise Refused(f"checkpoint {checkpoint.name} is already being deleted", hint=f"see: snapctl list {domain}")
    if facts.only_if_unneeded and (
        checkpoint.labels.protected or (facts.head and facts.head.checkpoint_id == checkpoint.id)
    ):
        raise Refused(f"checkpoint {checkpoint.name} is now current or protected", hint="run prune again")
    if facts.is_only_copy and not facts.force:
        raise only_copy(domain, checkpoint.name)
    for path in checkpoint.own_files:
        if user := facts.users.get(path):
            raise Refused(
                f"{path} would be removed with checkpoint {checkpoint.name}, and {user}",
                hint="the catalog may be an old copy; see: snapctl doctor",
            )
    kept = {path: str(user) for path, user in facts.users.items()}
    going = [layer for layer in facts.layers if layer.path not in kept]
    return DeletePlan(
        operation_id=operation_id,
        host=facts.host,
        domain_uuid=checkpoint.domain_uuid,
        domain_name=domain,
        checkpoint_id=checkpoint.id,
        checkpoint_name=checkpoint.name,
        maker_id=checkpoint.operation_id,
        directory=checkpoint.directory,
        memory_path=checkpoint.memory.path if checkpoint.memory is not None else None,
        sidecars=tuple(sidecar.path for sidecar in checkpoint.sidecars),
        layers=tuple(layer.path for layer in going),
        freed_bytes=checkpoint.own_bytes + sum(layer.allocation or 0 for layer in going),
        head=facts.head,
        sparing=facts.only_if_unneeded,
        stays=tuple(facts.retained),
        needed_by=tuple(facts.needed_by),
        kept=tuple(sorted(kept.items())),
        seen=facts.seen,
        force=facts.force,
    )


def only_copy(domain: str, checkpoint: str) -> Refused:
    return Refused(
        f"{domain} is shut off and was not started since checkpoint {checkpoint}, "
        "which has the only copy of its memory",
        hint=f"first restore it: snapctl rollback {domain} {checkpoint}; or give that memory up: "
        f"snapctl delete {domain} {checkpoint} --force",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletePlan:
    """Remove a checkpoint: the files that it alone has, and what layers nothing else needs."""

    operation_id: str
    host: Host
    domain_uuid: str
    domain_name: str
    checkpoint_id: str
    checkpoint_name: str
    maker_id: str  # the operation that made the checkpoint
    directory: str  # the checkpoint's
    memory_path: str | None
    sidecars: tuple[str, ...]
    layers: tuple[str, ...]  # layers of ours that nothing needs then
    freed_bytes: int
    head: Head | None = None  # of the domain now
    sparing: bool = False  # only if it is not protected; stored in the journal under this name
    stays: tuple[str, ...] = ()  # by disk: the nearest layer that something else needs, too; stored under this name
    needed_by: tuple[str, ...] = ()  # what that is
    kept: tuple[tuple[str, str], ...] = ()  # layers that the catalog does not need, and who stands on each
    seen: Mapping[str, FileInfo | None] = field(default_factory=dict)  # what its layers were like, by path
    force: bool = False  # also the only copy of the guest's memory

    @property
    def files(self) -> tuple[str, ...]:
        """What the checkpoint alone has."""
        return (*([self.memory_path] if self.memory_path is not None else []), *self.sidecars)

    @property
    def kind(self) -> OperationKind:
        return OperationKind.DELETE

    @property
    def title(self) -> str:
        return f"delete of {self.checkpoint_name}"

    def outcome(self, ran: Ran) -> Outcome:
        return Outcome(
            operation=self.kind,
            domain=self.domain_name,
            checkpoint=self.checkpoint_name,
            id=self.checkpoint_id,
            duration_s=ran.seconds,
            steps=ran.steps,
            freed_bytes=self.freed_bytes,
            note=joined(ran.kept_files(self.domain_uuid)),
        )

    @property
    def made(self) -> tuple[str, list[str]]:
        return self.maker_id, list(self.files)

    def lines(self) -> list[str]:
        reason = f"needed by {some(self.needed_by)}" if self.needed_by else "another layer is backed by it"
        return [
            *(f"remove {path}" for path in (*self.files, *self.layers)),
            *(f"keep {path}: {reason}" for path in self.stays),
            *(f"keep {path}: {user}" for path, user in self.kept),
            f"this frees {self.freed_bytes / MIB:.1f} MiB",
        ]
