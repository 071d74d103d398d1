"""What a changing verb did or would do, what was settled, and what is unfinished."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import assert_never

from ...engine.story import Plan
from ...model import CheckpointSummary, OperationKind, OperationState, Outcome, Postponed, Recovered, Unsettled
from ...operations.abandon.plan import Abandonment
from ...operations.checkpoint.plan import CheckpointPlan
from ...operations.delete.plan import DeletePlan
from ...operations.rollback.plan import RollbackPlan
from .columns import Column, align
from .units import age, duration, escaped, size


def outcomes(done: Sequence[Outcome], *, with_steps: bool) -> Iterator[str]:
    """`web01: checkpoint clean created in 0.84 s (guest stopped for 0.61 s)`, and the time of each step if asked."""
    for outcome in done:
        yield _sentence(outcome)
        if with_steps and outcome.steps:
            rows = [(f"  {step.name}", f"{step.seconds:.3f} s") for step in outcome.steps]
            yield from align((Column(), Column(right=True)), rows, None)


def _sentence(outcome: Outcome) -> str:
    name, took = escaped(outcome.checkpoint), duration(outcome.duration_s)
    match outcome.operation:
        case OperationKind.CHECKPOINT:
            said = f"checkpoint {name} created in {took}"
        case OperationKind.ROLLBACK | OperationKind.KEEPING_ROLLBACK:
            said = f"rolled back to {name} in {took}"
        case OperationKind.DELETE:
            said = f"checkpoint {name} deleted in {took}"
        case OperationKind.COLLAPSE:
            said = f"layers collapsed into {escaped(outcome.layer or '')} in {took}"
        case OperationKind.FLATTEN:
            said = f"{escaped(outcome.layer or '')} flattened in {took}"
        case OperationKind.EDIT:
            said = f"checkpoint {name} edited"
        case _:
            assert_never(outcome.operation)
    if outcome.downtime_s is not None:
        said += f" (guest stopped for {duration(outcome.downtime_s)})"
    if outcome.freed_bytes is not None:
        said += f", {size(outcome.freed_bytes)} freed"
    if outcome.kept is not None:
        said += f"; the state before is checkpoint {escaped(outcome.kept)}"
    return f"{escaped(outcome.domain)}: {said}"


def edits(done: Iterable[Outcome], became: str) -> Iterator[str]:
    """`web01: checkpoint clean is protected`, one a line."""
    return (f"{escaped(outcome.domain)}: checkpoint {escaped(outcome.checkpoint)} is {became}" for outcome in done)


def plans(planned: Iterable[Plan]) -> Iterator[str]:
    """What a dry run would do, a step a line."""
    for plan in planned:
        yield from (escaped(line) for line in plan.lines())


def loss(plan: RollbackPlan, here: CheckpointSummary | None, now: datetime) -> str:
    """The question before a rollback: what will be lost, since when. `here` is the current checkpoint."""
    domain = escaped(plan.domain_name)
    lost = "memory and disks" if plan.run_id is not None or plan.managed_save else "disks"
    since = f" since checkpoint {escaped(here.name)} (created {age(here.created, now)})" if here else ""
    question = f"Roll {domain} back to {escaped(plan.checkpoint_name)}? All changes to its {lost}{since} will be lost."
    return " ".join((question, *map(escaped, plan.losses)))


def adoption(plan: CheckpointPlan) -> str:
    """The question before a checkpoint of other disks than those that the catalog knows."""
    said = " ".join(f"{each[0].upper()}{each[1:]}." for each in (*plan.differs, *([plan.note] if plan.note else [])))
    return f"Checkpoint {escaped(plan.domain_name)} with its present disks? {escaped(said)}"


def removal(domain: str, planned: Sequence[DeletePlan]) -> str:
    """The question before a delete."""
    names = ", ".join(escaped(plan.checkpoint_name) for plan in planned)
    freed = size(sum(plan.freed_bytes for plan in planned))
    return f"Delete {names} of {escaped(domain)} ({freed})? This cannot be undone."


def postponed(waiting: Iterable[Postponed]) -> Iterator[str]:
    """What could be collapsed, but not now."""
    for each in waiting:
        yield escaped(f"deferred: {each.reason}" + (f"; {each.advice}" if each.advice else ""))


def settled(recovered: Iterable[Recovered]) -> Iterator[str]:
    """What was left unfinished, and how it ended; each once, though several outcomes may contain it."""
    for each in dict.fromkeys(recovered):
        became = {OperationState.DONE: "completed", OperationState.ABANDONED: "closed as it was"}.get(
            each.state, each.state
        )
        what = each.title or each.operation.label
        yield f"{escaped(each.domain)}: {escaped(what)} {became}: {escaped(each.detail)}"


def left_behind(planned: Iterable[Abandonment]) -> Iterator[str]:
    """What closing operations as they are leaves, and how to go on by hand."""
    return (escaped(line) for each in planned for line in each.lines())


def unsettled(operations: Iterable[Unsettled], now: datetime) -> Iterator[str]:
    """Operations that are open: in progress, or left behind."""
    for each in operations:
        record = each.record
        by = f"{record.owner.user}@{record.owner.host}, pid {record.owner.pid}"
        about = f"{record.kind.label} ({record.progress}, begun {age(record.opened, now)}{record.by} {by})"
        if each.in_progress:
            yield escaped(f"{record.domains}: in progress: {about}; {'; '.join(each.guests)}")
            continue
        risks = (f"do not start {name}: its memory is in the image that was saved" for name in each.memory_in_image)
        way = f"to finish or undo it: snapctl recover {record.members[0].domain_name}"
        yield escaped(f"{record.domains}: unfinished {'; '.join((about, *each.guests, *risks, way))}")
