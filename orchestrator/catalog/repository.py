"""`SqlCatalog`: the port `Catalog` over a SQL database. Each method is one transaction.

What a method asks or writes stands in `reading`, `layers`, `journal` and `commits`; here are only
the transactions, and the lease that those which change something are done under.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy.orm import Session

from ..model import (
    CatalogCondition,
    Checkpoint,
    CheckpointSummary,
    Collapsible,
    Head,
    Holdings,
    Host,
    Labels,
    Layer,
    OperationKind,
    OperationRecord,
    OperationState,
    RebuiltDomain,
)
from ..ports import Lease
from . import collapsing, commits, condition, holdings, journal, layers, reading, rebuilding, verdicts
from .database import Conflict, Database
from .leases import LeaseTimes, SqlLease
from .tables import CheckpointRow, OperationRow


class SqlCatalog:
    """Implements `ports.Catalog`. Made by `open_catalog`; its methods may be called by any thread."""

    def __init__(self, database: Database, times: LeaseTimes) -> None:
        self._database = database
        self._times = times
        self._leases: dict[str, SqlLease] = {}  # by operation: those whose heart may beat

    # ------------------------------------------------------------------ reading

    def domain_uuid(self, host_uuid: str, name: str) -> str | None:
        with self._database.read() as session:
            return reading.domain_uuid(session, host_uuid, name)

    def checkpoint(self, host_uuid: str, domain_uuid: str, name: str) -> Checkpoint | None:
        row = CheckpointRow
        with self._database.read() as session:
            return reading.checkpoint(
                session, row.host_uuid == host_uuid, row.domain_uuid == domain_uuid, row.name == name
            )

    def checkpoint_by_id(self, checkpoint_id: str) -> Checkpoint | None:
        with self._database.read() as session:
            return reading.checkpoint(session, CheckpointRow.id == checkpoint_id)

    def some_checkpoint(self, host_uuid: str, domain_uuid: str) -> Checkpoint | None:
        with self._database.read() as session:
            return reading.some_checkpoint(session, host_uuid, domain_uuid)

    def summaries(
        self, host_uuid: str, domain_uuid: str | None = None, name: str | None = None
    ) -> list[CheckpointSummary]:
        which = [CheckpointRow.host_uuid == host_uuid]
        if domain_uuid is not None:
            which.append(CheckpointRow.domain_uuid == domain_uuid)
        if name is not None:
            which.append(CheckpointRow.name == name)
        with self._database.read() as session:
            return reading.summaries(session, *which)

    def relying_on(self, host_uuid: str, path: str) -> list[CheckpointSummary]:
        with self._database.read() as session:
            return reading.summaries(session, *verdicts.relying_on(host_uuid, path))

    def ready_names(self, host_uuid: str, domain_uuid: str, beginning: str) -> list[str]:
        with self._database.read() as session:
            return reading.ready_names(session, host_uuid, domain_uuid, beginning)

    def child_names(self, checkpoint_id: str) -> list[str]:
        with self._database.read() as session:
            return reading.child_names(session, checkpoint_id)

    def head(self, host_uuid: str, domain_uuid: str) -> Head | None:
        with self._database.read() as session:
            return reading.head(session, host_uuid, domain_uuid)

    def layer(self, host_uuid: str, path: str) -> Layer | None:
        with self._database.read() as session:
            return layers.find(session, host_uuid, path)

    def chain(self, host_uuid: str, path: str) -> list[Layer]:
        with self._database.read() as session:
            return layers.chain(session, host_uuid, path)

    def discarded_layers(self, operation_id: str) -> list[Layer]:
        with self._database.read() as session:
            return layers.discarded(session, operation_id)

    def layers_freed_by(self, *checkpoint_ids: str) -> list[Layer]:
        with self._database.read() as session:
            return layers.freed_by(session, checkpoint_ids)

    def collapsible(self, host_uuid: str, domain_uuid: str, paths: Sequence[str] | None = None) -> list[Collapsible]:
        with self._database.read() as session:
            return collapsing.collapsible(session, host_uuid, domain_uuid, paths)

    def holdings(self, host_uuid: str, domain_uuid: str | None = None) -> Holdings:
        with self._database.read() as session:
            return holdings.holdings(session, host_uuid, domain_uuid)

    def known_paths(self, host_uuid: str, directory: str) -> list[str]:
        with self._database.read() as session:
            return reading.known_paths(session, host_uuid, directory)

    def unsettled(self, host_uuid: str, domain_uuid: str | None = None) -> list[OperationRecord]:
        with self._database.read() as session:
            return journal.unsettled(session, host_uuid, domain_uuid)

    def is_abandoned(self, operation: OperationRecord) -> bool:
        return journal.is_abandoned(operation)

    def condition(self) -> CatalogCondition:
        return condition.of(self._database)

    # ------------------------------------------------------------------ the journal

    def open_operation(
        self,
        *,
        operation_id: str,
        kind: OperationKind,
        host: Host,
        domain_uuid: str,
        domain_name: str,
        plan: Mapping[str, Any],
    ) -> Lease:
        try:
            with self._database.write() as session:
                # Asked in the same transaction: afterwards whoever had the domain may be done with it.
                for other in journal.unsettled(session, host.uuid, domain_uuid):
                    raise journal.busy(other)
                journal.start(
                    session,
                    operation_id=operation_id,
                    kind=kind,
                    host=host,
                    domain_uuid=domain_uuid,
                    domain_name=domain_name,
                    plan=plan,
                    ttl=self._times.ttl,
                )
                record = journal.get(session, operation_id)
        except Conflict as conflict:  # a database server lets two of them come as far as this
            for other in self.unsettled(host.uuid, domain_uuid):
                raise journal.busy(other) from conflict
            raise
        return self._lease(record)

    def take_over(self, operation: OperationRecord) -> Lease:
        with self._database.write() as session:
            journal.take_over(session, operation, self._times.ttl)
            record = journal.get(session, operation.id)
        return self._lease(record)

    def enter(self, lease: Lease, step: str) -> None:
        with self._under(lease) as (_, operation):
            operation.step = step

    def complete(self, lease: Lease, step: str, facts: Mapping[str, Any], entering: str | None = None) -> None:
        with self._under(lease) as (_, operation):
            journal.complete(operation, step, facts, entering or step)

    def close(self, lease: Lease, state: OperationState, error: str | None = None) -> None:
        with self._under(lease, settled_as=state) as (_, operation):
            journal.close(operation, state, error)
        lease.release()

    # ------------------------------------------------------------------ what operations commit

    def commit_checkpoint(
        self,
        lease: Lease,
        checkpoint: Checkpoint,
        chains: Sequence[Layer],
        head: Head,
        overlays: Sequence[Layer],
    ) -> None:
        with self._under(lease) as (session, operation):
            commits.commit_checkpoint(session, operation, checkpoint, chains, head, overlays)

    def commit_rollback(self, lease: Lease, head: Head, overlays: Sequence[Layer]) -> list[Layer]:
        with self._under(lease) as (session, operation):
            return commits.commit_rollback(session, operation, head, overlays)

    def hide_checkpoint(self, lease: Lease, checkpoint_id: str) -> list[Layer]:
        with self._under(lease) as (session, operation):
            return commits.hide_checkpoint(session, operation, checkpoint_id)

    def begin_rewrite(self, lease: Lease, path: str) -> None:
        with self._under(lease) as (session, operation):
            collapsing.begin_rewrite(session, operation, path)

    def commit_rewrite(self, lease: Lease, layer: Layer) -> list[Layer]:
        with self._under(lease) as (session, operation):
            return collapsing.commit_rewrite(session, operation, layer)

    def edit_checkpoint(self, lease: Lease, checkpoint_id: str, labels: Labels) -> None:
        with self._under(lease) as (session, operation):
            commits.edit_checkpoint(session, operation, checkpoint_id, labels)

    def record_sha256(self, lease: Lease, checkpoint_id: str, sha256: str) -> None:
        with self._under(lease) as (session, operation):
            commits.record_sha256(session, operation, checkpoint_id, sha256)

    def forget_layers(self, lease: Lease, paths: Sequence[str]) -> None:
        with self._under(lease) as (session, operation):
            layers.forget(session, operation, paths)

    def forget_checkpoint(self, lease: Lease, checkpoint_id: str) -> None:
        with self._under(lease) as (session, operation):
            commits.forget_checkpoint(session, operation, checkpoint_id)

    # ------------------------------------------------------------------ what replaces a lost one

    def rebuild(self, host: Host, domains: Sequence[RebuiltDomain]) -> None:
        with self._database.write() as session:
            rebuilding.rebuild(session, host, domains)

    # ------------------------------------------------------------------ what verify found

    def mark_damage(self, checkpoint_id: str, damage: str | None) -> None:
        with self._database.write() as session:
            verdicts.mark_damage(session, checkpoint_id, damage)

    def record_memory_read(self, checkpoint_id: str, sha256: str) -> None:
        with self._database.write() as session:
            verdicts.record_memory_read(session, checkpoint_id, sha256)

    def record_layer_read(self, host_uuid: str, layer: Layer, sha256: str) -> None:
        with self._database.write() as session:
            verdicts.record_layer_read(session, host_uuid, layer, sha256)

    def close_connection(self) -> None:
        """Release what leases there are and let the database go."""
        for lease in list(self._leases.values()):
            lease.release()
        self._database.close()

    # ------------------------------------------------------------------ leases

    def _lease(self, operation: OperationRecord) -> SqlLease:
        lease = SqlLease(self._database, operation, self._times)
        self._leases[operation.id] = lease
        return lease

    @contextmanager
    def _under(self, lease: Lease, settled_as: OperationState | None = None) -> Iterator[tuple[Session, OperationRow]]:
        """One transaction with the lease's row locked.

        Raises `Busy` when the lease is lost, or the operation settled in any way but the one given.
        """
        with self._database.write() as session:
            operation = journal.held(session, lease.operation, settled_as)
            yield session, operation
            session.flush()
            record = journal.get(session, operation.id)
        if (ours := self._leases.get(record.id)) is not None and ours.operation.token == record.token:
            ours.wrote(record)
