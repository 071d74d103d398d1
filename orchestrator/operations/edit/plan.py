"""Plan to say other things of a checkpoint, or refuse it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from msgspec import UNSET, UnsetType

from ...errors import Refused, UsageError
from ...model import (
    Checkpoint,
    CheckpointState,
    Host,
    Labels,
    OperationKind,
    Outcome,
    Ran,
    check_description,
    check_expiry,
    check_name,
)
from ...store.layout import manifest_path


@dataclass(frozen=True, slots=True, kw_only=True)
class Edits:
    """What to say otherwise. None leaves it as it is; of `expires`, UNSET does, as None is "never"."""

    name: str | None = None
    description: str | None = None
    tags: tuple[str, ...] = ()  # to be added
    untags: tuple[str, ...] = ()  # to be removed
    expires: datetime | UnsetType | None = UNSET
    protected: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EditFacts:
    host: Host
    domain_name: str  # as it is called now
    checkpoint: Checkpoint
    name_taken: bool  # whether another checkpoint has the name asked for


def plan_edit(operation_id: str, edits: Edits, facts: EditFacts) -> EditPlan:
    """Raises `UsageError` or `Refused`."""
    checkpoint, domain = facts.checkpoint, facts.domain_name
    labels = _edited(checkpoint, edits, domain)
    if checkpoint.state is not CheckpointState.READY:
        raise Refused(f"checkpoint {checkpoint.name} is being deleted", hint=f"see: snapctl list {domain}")
    if facts.name_taken:
        raise Refused(f"{domain} already has a checkpoint {labels.name}", hint="choose another name")
    return EditPlan(
        operation_id=operation_id,
        host=facts.host,
        domain_uuid=checkpoint.domain_uuid,
        domain_name=domain,
        checkpoint_id=checkpoint.id,
        maker_id=checkpoint.operation_id,
        directory=checkpoint.directory,
        previous=checkpoint.labels,
        labels=labels,
    )


def _edited(checkpoint: Checkpoint, edits: Edits, domain: str) -> Labels:
    """Raises `UsageError` for what no checkpoint can be called, `Refused` for a tag that it does not have."""
    before = checkpoint.labels
    name = before.name if edits.name is None else edits.name
    check_name(name, "checkpoint")
    for tag in (*edits.tags, *edits.untags):
        check_name(tag, "tag")
    if both := set(edits.tags) & set(edits.untags):
        raise UsageError(
            f"tag {min(both)} is both to be added and to be removed", hint="give it to --tag or to --untag, not to both"
        )
    for tag in edits.untags:
        if tag not in before.tags:
            raise Refused(
                f"checkpoint {before.name} has no tag {tag}", hint=f"see: snapctl show {domain} {before.name}"
            )
    description = before.description if edits.description is None else edits.description
    check_description(description)
    expires = before.expires if edits.expires is UNSET else edits.expires
    check_expiry(expires)
    return Labels(
        name=name,
        description=description,
        tags=tuple(tag for tag in dict.fromkeys((*before.tags, *edits.tags)) if tag not in edits.untags),
        expires=expires,
        protected=before.protected if edits.protected is None else edits.protected,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class EditPlan:
    """Say other things of a checkpoint; its files but for the manifest stay as they are."""

    operation_id: str
    host: Host
    domain_uuid: str
    domain_name: str
    checkpoint_id: str
    maker_id: str  # the operation that made the checkpoint
    directory: str  # the checkpoint's
    previous: Labels
    labels: Labels

    @property
    def manifest_path(self) -> str:
        return manifest_path(self.directory)

    @property
    def kind(self) -> OperationKind:
        return OperationKind.EDIT

    @property
    def title(self) -> str:
        return f"edit of {self.previous.name}"

    def outcome(self, ran: Ran) -> Outcome:
        return Outcome(
            operation=self.kind,
            domain=self.domain_name,
            checkpoint=self.labels.name,
            id=self.checkpoint_id,
            duration_s=ran.seconds,
            steps=ran.steps,
        )

    @property
    def made(self) -> tuple[str, list[str]]:
        return self.maker_id, [self.manifest_path]

    def lines(self) -> list[str]:
        changes = list(_changes(self.previous, self.labels)) or ["no change"]
        return [
            *(f"record for checkpoint {self.previous.name}: {change}" for change in changes),
            f"write {self.manifest_path}",
        ]


def _changes(before: Labels, after: Labels) -> Iterator[str]:
    if after.name != before.name:
        yield f"its name is {after.name}"
    if after.description != before.description:
        yield f"its description is: {after.description}" if after.description else "it has no description"
    if after.tags != before.tags:
        yield f"its tags are {', '.join(after.tags)}" if after.tags else "it has no tags"
    if after.expires != before.expires:
        yield f"it expires at {after.expires:%Y-%m-%d %H:%M:%S UTC}" if after.expires else "it never expires"
    if after.protected != before.protected:
        yield "prune does not remove it" if after.protected else "prune can remove it"
