"""The journal's rows: opened before the first effect, fenced by their token, closed when settled."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Select, and_, select, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import Session

from ..errors import UNCHANGED, Busy, CatalogError
from ..model import Host, OperationKind, OperationRecord, OperationState
from . import owners, rows
from .database import upsert
from .tables import DomainRow, HostRow, OperationRow


def now() -> datetime:
    return datetime.now(UTC)


# --------------------------------------------------------------------------- reading


def get(session: Session, operation_id: str) -> OperationRecord:
    found = session.execute(_records().where(OperationRow.id == operation_id)).one_or_none()
    if found is None:
        raise CatalogError(f"operation {operation_id} is not in the journal", effect="nothing was recorded")
    return rows.operation(*found)


def unsettled(session: Session, host_uuid: str, domain_uuid: str | None) -> list[OperationRecord]:
    """The open operations of a host or domain, oldest first."""
    query = _records().where(OperationRow.host_uuid == host_uuid, OperationRow.state == OperationState.OPEN)
    if domain_uuid is not None:
        query = query.where(OperationRow.domain_uuid == domain_uuid)
    return [rows.operation(*found) for found in session.execute(query.order_by(OperationRow.opened, OperationRow.id))]


def _records() -> Select[OperationRow, str]:
    its_domain = and_(DomainRow.host_uuid == OperationRow.host_uuid, DomainRow.uuid == OperationRow.domain_uuid)
    return select(OperationRow, DomainRow.name).join(DomainRow, its_domain)


# --------------------------------------------------------------------------- writing


def start(
    session: Session,
    *,
    operation_id: str,
    kind: OperationKind,
    host: Host,
    domain_uuid: str,
    domain_name: str,
    plan: Mapping[str, Any],
    ttl: float,
) -> None:
    """Add an open row owned by this process. The database refuses a second one of the same domain."""
    time = now()
    domain = {"host_uuid": host.uuid, "uuid": domain_uuid, "name": domain_name, "seen": rows.timestamp(time)}
    upsert(session, HostRow, {"uuid": host.uuid, "name": host.name, "uri": host.uri}, key=["uuid"])
    upsert(session, DomainRow, domain, key=["host_uuid", "uuid"])
    row = OperationRow(
        id=operation_id,
        kind=kind,
        host_uuid=host.uuid,
        domain_uuid=domain_uuid,
        state=OperationState.OPEN,
        step="",
        completed=rows.json([]),
        plan=rows.json(plan),
        facts=rows.json({}),
        token=1,
        opened=rows.timestamp(time),
        lease_until=_later(ttl),
        **rows.owner_columns(owners.this_process()),
    )
    session.add(row)
    session.flush()


def require(session: Session, operation: OperationRecord, settled_as: OperationState | None = None) -> None:
    """Raise `Busy` when the row is another's by now, or settled in any way but the one given."""
    columns = select(OperationRow.token, OperationRow.state).where(OperationRow.id == operation.id)
    found = session.execute(columns.with_for_update()).one_or_none()
    if found is None or found.token != operation.token or found.state not in (OperationState.OPEN, settled_as):
        raise lost(get(session, operation.id), operation)


def held(session: Session, operation: OperationRecord, settled_as: OperationState | None = None) -> OperationRow:
    """The row, locked until this transaction ends. Raises `Busy` as `require` does."""
    require(session, operation, settled_as)
    return session.get_one(OperationRow, operation.id)


def complete(row: OperationRow, step: str, facts: Mapping[str, Any], entered: str) -> None:
    """Add a step to those observed done, once, its facts to the operation's, and the step entered by now."""
    what = f"operation {row.id}"
    steps = rows.parsed(list[str], what, row.completed)
    if step not in steps:
        row.completed = rows.json([*steps, step])
    row.step = entered
    row.facts = rows.json({**rows.parsed(dict[str, Any], what, row.facts), **facts})


def close(row: OperationRow, state: OperationState, error: str | None) -> None:
    """Settle the row; one that is settled stays as it is."""
    if row.state == OperationState.OPEN:
        row.state = state
        row.error = error
        row.closed = row.lease_until = rows.timestamp(now())


def renew(session: Session, operation: OperationRecord, ttl: float) -> bool:
    """Put the end of the lease `ttl` seconds from now, if it is still ours; whether it is."""
    return _update(session, operation, lease_until=_later(ttl))


def take_over(session: Session, operation: OperationRecord, ttl: float) -> None:
    """Make this process the owner of a row whose owner is gone. Raises `Busy` while it is not."""
    current = get(session, operation.id)
    if current.state is OperationState.OPEN and not is_abandoned(current):
        raise busy(current)
    owner = rows.owner_columns(owners.this_process())
    if not _update(session, operation, token=operation.token + 1, lease_until=_later(ttl), **owner):
        raise lost(get(session, operation.id), operation)


def _update(session: Session, operation: OperationRecord, **values: object) -> bool:
    """Change the row in one statement that holds only while the token does."""
    statement = update(OperationRow).where(
        OperationRow.id == operation.id,
        OperationRow.token == operation.token,
        OperationRow.state == OperationState.OPEN,
    )
    result = session.execute(statement.values(**values))
    assert isinstance(result, CursorResult)  # noqa: S101 - what an UPDATE gives; says so to the type checker
    return result.rowcount == 1


def _later(seconds: float) -> str:
    return rows.timestamp(now() + timedelta(seconds=seconds))


# --------------------------------------------------------------------------- who has it


def is_abandoned(operation: OperationRecord) -> bool:
    """Whether nobody works on it: its lease ran out or was released, or its process is gone."""
    return operation.lease_until <= now() or owners.is_gone(operation.owner)


def busy(operation: OperationRecord, effect: str = UNCHANGED) -> Busy:
    """The refusal to touch a domain with an open operation: who has it, since when, at which step."""
    owner, name = operation.owner, operation.domain_name
    since = operation.opened.strftime("%Y-%m-%d %H:%M:%S UTC")
    step = f"step {operation.step}" if operation.step else "in its first step"
    holder = f"{owner.user}@{owner.host}, process {owner.pid}"
    problem = f"a {operation.kind} of {name} is under way since {since} ({holder}, {step})"
    hint = f"run: snapctl recover {name}" if is_abandoned(operation) else "wait until it ends"
    return Busy(problem, effect=effect, hint=hint)


def lost(current: OperationRecord, ours: OperationRecord) -> Busy:
    """The refusal when an operation is not, or not any more, ours to carry on; what we did of it before stands."""
    effect = "nothing more was changed"
    if current.state is OperationState.OPEN and current.token != ours.token:
        return busy(current, effect)
    problem = f"this {ours.kind} of {ours.domain_name} is not ours any more"
    return Busy(problem, effect=effect, hint=f"see: snapctl list {ours.domain_name}")
