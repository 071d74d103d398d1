"""`SqlOperation`: the port `OpenOperation` over a SQL database. Each method that writes is one transaction.

What a method writes is in `journal`, `commits`, `collapsing` and `layers`; here are only the transactions,
each with the operation's row locked, and the lease that they are done under.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy.orm import Session

from ..model import Checkpoint, Direction, Head, Labels, Layer, OperationRecord, OperationState
from . import collapsing, commits, journal, layers
from .database import Database
from .leases import LeaseTimes, SqlLease
from .tables import OperationRow


class SqlOperation:
    """Implements `ports.OpenOperation`. Made by `SqlCatalog`."""

    def __init__(self, database: Database, record: OperationRecord, times: LeaseTimes) -> None:
        self._database = database
        self._record = record
        self._lease = SqlLease(database, record, times)
        self._joined: tuple[Session, OperationRow] | None = None  # the transaction that others take part in

    @property
    def record(self) -> OperationRecord:
        return self._record

    def reread(self) -> None:
        with self._database.read() as session:
            record = journal.get(session, self._record.id)
            if record.token != self._record.token:
                raise journal.lost(session, record, self._record)
        self._record = record

    def check(self) -> None:
        self._lease.check()

    def release(self) -> None:
        self._lease.release()

    def discarded_layers(self, domain_uuid: str) -> list[Layer]:
        with self._database.read() as session:
            return layers.discarded(session, self._record.id, domain_uuid)

    def withdraw_discards(self, domain_uuid: str) -> list[Layer]:
        with self._under() as (session, operation):
            return layers.withdraw(session, operation.id, domain_uuid)

    # ------------------------------------------------------------------ the journal

    def complete(self, domain_uuid: str, step: str, results: Mapping[str, Any], entering: str | None = None) -> None:
        with self._under() as (session, operation):
            journal.complete(journal.member(session, operation, domain_uuid), step, results, entering or step)

    def decide(self, direction: Direction) -> None:
        with self._under() as (_, operation):
            journal.decide(operation, direction)

    @contextmanager
    def deciding(self) -> Iterator[None]:
        with self._under() as (session, operation):
            journal.decide(operation, Direction.FORWARD)
            self._joined = session, operation
            try:
                yield
            finally:
                self._joined = None

    def close(self, state: OperationState, error: str | None = None) -> None:
        with self._under(settled_as=state) as (session, operation):
            journal.close(session, operation, state, error)
        self.release()

    # ------------------------------------------------------------------ what it commits

    def commit_checkpoint(
        self,
        checkpoint: Checkpoint,
        chains: Sequence[Layer],
        head: Head,
        overlays: Sequence[Layer],
    ) -> None:
        with self._under() as (session, operation):
            commits.commit_checkpoint(session, operation, checkpoint, chains, head, overlays)

    def commit_rollback(self, head: Head, overlays: Sequence[Layer]) -> list[Layer]:
        with self._under() as (session, operation):
            return commits.commit_rollback(session, operation, head, overlays)

    def hide_checkpoint(self, checkpoint_id: str) -> list[Layer]:
        with self._under() as (session, operation):
            return commits.hide_checkpoint(session, operation, checkpoint_id)

    def begin_rewrite(self, path: str) -> None:
        with self._under() as (session, operation):
            collapsing.begin_rewrite(session, operation, path)

    def commit_rewrite(self, layer: Layer) -> list[Layer]:
        with self._under() as (session, operation):
            return collapsing.commit_rewrite(session, operation, layer)

    def edit_checkpoint(self, checkpoint_id: str, labels: Labels) -> None:
        with self._under() as (session, operation):
            commits.edit_checkpoint(session, operation, checkpoint_id, labels)

    def record_sha256(self, checkpoint_id: str, sha256: str) -> None:
        with self._under() as (session, operation):
            commits.record_sha256(session, operation, checkpoint_id, sha256)

    def forget_layers(self, paths: Sequence[str]) -> None:
        with self._under() as (session, operation):
            layers.forget(session, operation, paths)

    def leave_layers(self, paths: Sequence[str]) -> None:
        if not paths:
            return
        with self._under() as (session, operation):
            layers.leave(session, operation, paths)

    def forget_checkpoint(self, checkpoint_id: str) -> None:
        with self._under() as (session, operation):
            commits.forget_checkpoint(session, operation, checkpoint_id)

    @contextmanager
    def _under(self, settled_as: OperationState | None = None) -> Iterator[tuple[Session, OperationRow]]:
        """One transaction with the operation's row locked.

        Raises `Busy` when the lease is lost, or the operation settled in any way but the one given.
        """
        if self._joined is not None:
            yield self._joined
            return
        with self._database.write() as session:
            operation = journal.held(session, self._record, settled_as)
            yield session, operation
            session.flush()
            record = journal.get(session, operation.id)
        self._record = record
