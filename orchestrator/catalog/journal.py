"""The journal's rows: opened before the first effect, fenced by their token, closed when settled."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Interval,
    and_,
    cast,
    delete,
    exists,
    func,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import Session

from ..errors import UNCHANGED, Busy, CatalogError
from ..model import Direction, Host, MemberRecord, OperationKind, OperationRecord, OperationState, Owner
from ..model.operation import FIRST_TOKEN
from . import owner_process, rows
from .database import upsert
from .tables import DomainRow, HostRow, LayerRow, MemberRow, OperationRow

RELEASED = datetime(1970, 1, 1, tzinfo=UTC)
"""The end of a lease that was released: any process may take the operation over, also the one that had it."""

NO_MORE = "nothing more was changed"

PRUNED_AT_ONCE = 100
"""Old rows that opening an operation removes at most, so that it does not wait for a long clean-up."""


def now() -> datetime:
    return datetime.now(UTC)


# --------------------------------------------------------------------------- reading


def get(session: Session, operation_id: str) -> OperationRecord:
    for found in _records(session, OperationRow.id == operation_id):
        return found
    raise CatalogError(f"operation {operation_id} is not in the journal", effect="nothing was recorded")


def unsettled(session: Session, host_uuid: str, *domain_uuids: str) -> list[OperationRecord]:
    """The open operations of a host, or those that have one of these domains, oldest first."""
    which = [OperationRow.host_uuid == host_uuid, OperationRow.state == OperationState.OPEN]
    if domain_uuids:
        having = select(MemberRow.operation_id).where(
            MemberRow.host_uuid == host_uuid, MemberRow.domain_uuid.in_(domain_uuids), MemberRow.open
        )
        which.append(OperationRow.id.in_(having))
    return _records(session, *which)


def unsettled_anywhere(session: Session) -> list[OperationRecord]:
    """The open operations of all hosts."""
    return _records(session, OperationRow.state == OperationState.OPEN)


def _records(session: Session, *which: ColumnElement[bool]) -> list[OperationRecord]:
    """Two queries, however many there are."""
    found = session.scalars(select(OperationRow).where(*which).order_by(OperationRow.opened, OperationRow.id)).all()
    its_domain = and_(DomainRow.host_uuid == MemberRow.host_uuid, DomainRow.uuid == MemberRow.domain_uuid)
    query = select(MemberRow, DomainRow.name).join(DomainRow, its_domain)
    query = query.where(MemberRow.operation_id.in_([row.id for row in found])).order_by(MemberRow.position)
    members: dict[str, list[tuple[MemberRow, str]]] = defaultdict(list)
    for member, name in session.execute(query) if found else ():
        members[member.operation_id].append((member, name))
    return [rows.operation(row, members[row.id]) for row in found]


# --------------------------------------------------------------------------- writing


def start(
    session: Session,
    *,
    operation_id: str,
    kind: OperationKind,
    version: int,
    host: Host,
    members: Sequence[MemberRecord],
    ttl: float,
) -> None:
    """Add an open row owned by this process. The database refuses a second one of any of its domains."""
    time = rows.timestamp(now())
    upsert(session, HostRow, {"uuid": host.uuid, "name": host.name, "uri": host.uri}, key=["uuid"])
    for member in members:
        domain = {"host_uuid": host.uuid, "uuid": member.domain_uuid, "name": member.domain_name, "seen": time}
        upsert(session, DomainRow, domain, key=["host_uuid", "uuid"])
    row = OperationRow(
        id=operation_id,
        kind=kind,
        host_uuid=host.uuid,
        state=OperationState.OPEN,
        version=version,
        token=FIRST_TOKEN,
        opened=time,
        lease_until=_later(session, ttl),
        **rows.owner_columns(owner_process.this_process()),
    )
    session.add(row)
    session.flush()
    session.add_all(
        rows.member_row(operation_id, host.uuid, position, member) for position, member in enumerate(members)
    )
    session.flush()


def prune(session: Session, host_uuid: str, keep: timedelta) -> None:
    """Drop the rows of operations that were settled longer ago than that, and that no layer refers to."""
    settled = (
        OperationRow.closed < rows.timestamp(now() - keep),
        OperationRow.host_uuid == host_uuid,
        OperationRow.state != OperationState.ABANDONED,  # it says whose the files are that it has left
    )
    used = exists().where(or_(LayerRow.discarded_by == OperationRow.id, LayerRow.rewritten_by == OperationRow.id))
    old = list(session.scalars(select(OperationRow.id).where(*settled, ~used).limit(PRUNED_AT_ONCE)))
    if old:
        session.execute(delete(MemberRow).where(MemberRow.operation_id.in_(old)))
        session.execute(delete(OperationRow).where(OperationRow.id.in_(old)))


def abandoned(session: Session, host_uuid: str) -> dict[str, list[str]]:
    """The operations of a host that were closed as they were: by id, the layers that each had yet to remove."""
    which = (OperationRow.host_uuid == host_uuid, OperationRow.state == OperationState.ABANDONED)
    left: dict[str, list[str]] = {
        operation_id: [] for operation_id in session.scalars(select(OperationRow.id).where(*which))
    }
    layers = select(LayerRow.discarded_by, LayerRow.path).where(LayerRow.discarded_by.in_(list(left)))
    for operation_id, path in session.execute(layers) if left else ():
        left[str(operation_id)].append(path)
    return left


def require(session: Session, operation: OperationRecord, settled_as: OperationState | None = None) -> None:
    """Raise `Busy` when the row is another's by now, or settled in any way but the one given."""
    columns = select(OperationRow.token, OperationRow.state).where(OperationRow.id == operation.id)
    found = session.execute(columns.with_for_update()).one_or_none()
    if found is None or found.token != operation.token or found.state not in (OperationState.OPEN, settled_as):
        raise lost(session, get(session, operation.id), operation)


def held(session: Session, operation: OperationRecord, settled_as: OperationState | None = None) -> OperationRow:
    """The row, locked until this transaction ends. Raises `Busy` as `require` does."""
    require(session, operation, settled_as)
    return session.get_one(OperationRow, operation.id)


def member(session: Session, operation: OperationRow, domain_uuid: str) -> MemberRow:
    """The row of one of its domains. Raises `ValueError` for any other: an operation changes no more than its own."""
    row = session.get(MemberRow, (operation.id, domain_uuid))
    if row is None:
        raise ValueError(f"operation {operation.id} is not on domain {domain_uuid}")
    return row


def complete(row: MemberRow, step: str, results: Mapping[str, Any], entered: str) -> None:
    """Add a step to those observed done, once, its results to the member's, and the step entered by now."""
    what = f"operation {row.operation_id}"
    steps = rows.parsed(list[str], what, row.completed)
    if step not in steps:
        row.completed = rows.json([*steps, step])
    row.step = entered
    row.results = rows.json({**rows.parsed(dict[str, Any], what, row.results), **results})


def decide(row: OperationRow, direction: Direction) -> None:
    """Raises `CatalogError` when it was decided otherwise."""
    if row.decision not in (None, direction):
        raise CatalogError(
            f"operation {row.id} was already decided differently: {row.decision}", effect="nothing was recorded"
        )
    row.decision = direction


def close(session: Session, row: OperationRow, state: OperationState, error: str | None) -> None:
    """Settle the row and release its domains; a settled one is not changed."""
    if row.state == OperationState.OPEN:
        session.execute(update(MemberRow).where(MemberRow.operation_id == row.id).values(open=False))
        row.state = state
        row.error = error
        row.closed = row.lease_until = rows.timestamp(now())


def renew(session: Session, operation: OperationRecord, ttl: float) -> bool:
    """Put the end of the lease `ttl` seconds from now, if it is still ours; whether it is."""
    return _update(session, operation, lease_until=_later(session, ttl))


def release(session: Session, operation: OperationRecord) -> None:
    """End the lease now, if it is still ours."""
    _update(session, operation, lease_until=rows.timestamp(RELEASED))


def take_over(session: Session, operation: OperationRecord, ttl: float) -> None:
    """Make this process the owner of a row whose owner is gone. Raises `Busy` while it is not."""
    current = get(session, operation.id)
    if current.state is OperationState.OPEN and not is_abandoned(session, current):
        raise busy(session, current)
    owner = rows.owner_columns(owner_process.this_process())
    if not _update(session, operation, token=operation.token + 1, lease_until=_later(session, ttl), **owner):
        raise lost(session, get(session, operation.id), operation)


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


def _later(session: Session, seconds: float) -> str | ColumnElement[str]:
    """By the server's clock where there is one: those of its clients differ. An SQLite file has this machine's."""
    if _is_server(session.connection()):
        return _server_time(seconds)
    return rows.timestamp(now() + timedelta(seconds=seconds))


def _is_server(connection: Connection) -> bool:
    return connection.dialect.name == "postgresql"


def _server_time(seconds: float = 0) -> ColumnElement[str]:
    """The time so many seconds from now in the form of `rows.timestamp`."""
    later = func.clock_timestamp() + cast(timedelta(seconds=seconds), Interval)
    return func.to_char(func.timezone("UTC", later), 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"')


# --------------------------------------------------------------------------- who has it


def is_abandoned(session: Session, operation: OperationRecord) -> bool:
    return is_given_up(session.connection(), operation.owner, operation.lease_until)


def is_given_up(connection: Connection, owner: Owner, lease_until: datetime) -> bool:
    """Whether no process works on it: its process is gone, its lease was released, or has run out and no process that
    can be seen has it. A process that was only stopped, or sleeps with its machine, comes back."""
    if lease_until == RELEASED:
        return True
    match owner_process.life(owner):
        case owner_process.Life.GONE:
            return True
        case owner_process.Life.ALIVE:
            return False
    if _is_server(connection):
        return bool(connection.scalar(select(literal(rows.timestamp(lease_until)) <= _server_time())))
    return lease_until <= now()


def busy(session: Session, operation: OperationRecord, effect: str = UNCHANGED) -> Busy:
    """The refusal to touch a domain with an open operation: who has it, since when, at which step."""
    owner, name = operation.owner, operation.domains
    since = operation.opened.strftime("%Y-%m-%d %H:%M:%S UTC")
    holder = f"{owner.user}@{owner.host}, process {owner.pid}"
    problem = f"a {operation.kind.label} of {name} is in progress since {since} ({holder}, {operation.progress})"
    recover = f"run: snapctl recover {operation.members[0].domain_name}"
    hint = recover if is_abandoned(session, operation) else operation.way_to_wait
    return Busy(problem, effect=effect, hint=hint)


def lost(session: Session, current: OperationRecord, ours: OperationRecord) -> Busy:
    """The refusal for an operation that is not, or no longer, ours to continue; what we did of it is kept."""
    if current.state is OperationState.OPEN and current.token != ours.token:
        return busy(session, current, NO_MORE)
    return not_ours(ours)


def not_ours(operation: OperationRecord) -> Busy:
    problem = f"this {operation.kind.label} of {operation.domains} was taken over by another process"
    return Busy(problem, effect=NO_MORE, hint=f"see: snapctl list {operation.members[0].domain_name}")
