"""A checkpoint and a rollback that are one operation."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ...model import Head, Host, NewOverlay, OperationKind, Outcome, Ran, what_becomes
from ..checkpoint.plan import CheckpointPlan
from ..rollback.plan import RollbackPlan
from ..shared.preflight import joined


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepingPlan:
    """Keep the present state of a domain as a checkpoint, and roll it back to another one.

    The guest is saved as in any checkpoint; what is restored then is the other one. They have one id and one
    directory, in which the overlays are those of the rollback: those of `keep` only say what freezes.
    """

    keep: CheckpointPlan
    back: RollbackPlan

    @property
    def operation_id(self) -> str:
        return self.back.operation_id

    @property
    def host(self) -> Host:
        return self.back.host

    @property
    def domain_uuid(self) -> str:
        return self.back.domain_uuid

    @property
    def domain_name(self) -> str:
        return self.back.domain_name

    @property
    def head(self) -> Head | None:
        return self.back.head

    @property
    def overlays(self) -> tuple[NewOverlay, ...]:
        return self.back.overlays

    @property
    def kind(self) -> OperationKind:
        return OperationKind.KEEPING_ROLLBACK

    @property
    def title(self) -> str:
        return f"rollback to {self.back.checkpoint_name} --keep-current={self.keep.labels.name}"

    @property
    def made(self) -> tuple[str, list[str]]:
        maker, files = self.back.made
        return maker, [self.keep.memory_path, *files]

    def outcome(self, ran: Ran) -> Outcome:
        return replace(
            self.back.outcome(ran),
            downtime_s=ran.between("saved", "resumed"),
            kept=self.keep.labels.name,
            note=joined([note for note in (self.keep.note, self.back.note) if note]),
        )

    def lines(self) -> list[str]:
        notes = dict.fromkeys((*self.back.differs, self.keep.note, self.back.note))
        return [
            *self.back.prepare_lines(),
            *self.keep.capture_lines(),
            *self.back.restore_lines(),
            what_becomes(self.domain_name, self.back.after, self.back.was_running),
            *([f"remove {self.back.renamed_path}"] if self.back.renamed_path else []),
            *(f"note: {each}" for each in notes if each),
        ]
