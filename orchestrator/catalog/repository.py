"""`SqlCatalog`: the port `Catalog` over a SQL database. Each method is one transaction.

What a method reads or writes is in `reading`, `layers`, `journal` and `commits`; here are only
the transactions, and the lease that those which change something are done under.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import timedelta

from ..errors import CatalogError
from ..model import (
    CatalogHealth,
    CatalogIdentity,
    Chain,
    Checkpoint,
    CheckpointDisk,
    CheckpointSummary,
    Collapsible,
    Head,
    Host,
    Inventory,
    KnownHost,
    Layer,
    MemberRecord,
    MemoryImage,
    OperationKind,
    OperationRecord,
    RebuiltDomain,
)
from ..ports import OpenOperation
from . import (
    collapsing,
    health,
    identities,
    inventory,
    journal,
    layers,
    maintenance,
    owner_process,
    reading,
    rebuilding,
    verify_results,
)
from .database import Conflict, Database
from .leases import LeaseTimes
from .open_operation import SqlOperation
from .schema import ensure_newest, is_made
from .tables import CheckpointRow


class SqlCatalog:
    """Implements `ports.Catalog`. Made by `open_catalog`; its methods may be called by any thread."""

    def __init__(self, database: Database, host: Host, times: LeaseTimes, keep: timedelta) -> None:
        self._database = database
        self._host = host
        self._times = times
        self._keep = keep  # closed rows of the journal
        self._open: dict[str, SqlOperation] = {}  # by id: those whose heartbeat thread may be running

    # ------------------------------------------------------------------ what it is, and whose host it is about

    def identity(self) -> CatalogIdentity:
        here = owner_process.this_process()
        found = None
        if not self._database.imagined:
            with self._database.read() as session:
                found = identities.catalog_id(session)
        return CatalogIdentity(id=found, where=str(self._database), user=here.user, client=here.host)

    def was_made(self) -> bool:
        if not self._database.imagined:
            return True
        real = self._database.real()
        try:
            return is_made(real)
        finally:
            real.close()

    def make(self) -> None:
        if self._database.imagined:
            self._database.become_real()
            self._database.make_file()
            ensure_newest(self._database)

    def hosts(self) -> list[KnownHost]:
        with self._database.read() as session:
            return identities.hosts(session)

    def bind(self, host: Host) -> None:
        self._host = host

    def record_store(self, store_id: str, path: str, reported_uuid: str) -> None:
        with self._database.write() as session:
            identities.record_store(session, self._host, reported_uuid, store_id, path)

    def knows_any(self, directories: Iterable[str], host_uuid: str | None = None) -> bool:
        with self._database.read() as session:
            return identities.knows_any(session, host_uuid or self._host.uuid, directories)

    # ------------------------------------------------------------------ reading

    def domain_uuid(self, name: str) -> str | None:
        with self._database.read() as session:
            return reading.domain_uuid(session, self._host.uuid, name)

    def checkpoint(self, domain_uuid: str, name: str) -> Checkpoint | None:
        row = CheckpointRow
        with self._database.read() as session:
            return reading.checkpoint(
                session, row.host_uuid == self._host.uuid, row.domain_uuid == domain_uuid, row.name == name
            )

    def checkpoint_by_id(self, checkpoint_id: str) -> Checkpoint | None:
        with self._database.read() as session:
            return reading.checkpoint(session, CheckpointRow.id == checkpoint_id)

    def some_checkpoint(self, domain_uuid: str) -> Checkpoint | None:
        with self._database.read() as session:
            return reading.some_checkpoint(session, self._host.uuid, domain_uuid)

    def summaries(self, domain_uuid: str | None = None, name: str | None = None) -> list[CheckpointSummary]:
        which = [CheckpointRow.host_uuid == self._host.uuid]
        if domain_uuid is not None:
            which.append(CheckpointRow.domain_uuid == domain_uuid)
        if name is not None:
            which.append(CheckpointRow.name == name)
        with self._database.read() as session:
            return reading.summaries(session, *which)

    def relying_on(self, path: str) -> list[CheckpointSummary]:
        with self._database.read() as session:
            return reading.summaries(session, *verify_results.relying_on(self._host.uuid, path))

    def ready_names(self, domain_uuid: str, beginning: str) -> list[str]:
        with self._database.read() as session:
            return reading.ready_names(session, self._host.uuid, domain_uuid, beginning)

    def child_names(self, checkpoint_id: str) -> list[str]:
        with self._database.read() as session:
            return reading.child_names(session, checkpoint_id)

    def ancestors(self, checkpoint_id: str) -> list[str]:
        with self._database.read() as session:
            return reading.ancestors(session, checkpoint_id)

    def head(self, domain_uuid: str) -> Head | None:
        with self._database.read() as session:
            return reading.head(session, self._host.uuid, domain_uuid)

    def layer(self, path: str) -> Layer | None:
        with self._database.read() as session:
            return layers.find(session, self._host.uuid, path)

    def chain(self, path: str) -> Chain[Layer]:
        with self._database.read() as session:
            return layers.chain(session, self._host.uuid, path)

    def layers_freed_by(self, *checkpoint_ids: str) -> list[Layer]:
        with self._database.read() as session:
            return layers.freed_by(session, checkpoint_ids)

    def collapsible(self, domain_uuid: str, paths: Sequence[str] | None = None) -> list[Collapsible]:
        with self._database.read() as session:
            return collapsing.collapsible(session, self._host.uuid, domain_uuid, paths)

    def inventory(self, domain_uuid: str | None = None) -> Inventory:
        with self._database.read() as session:
            return inventory.inventory(session, self._host.uuid, domain_uuid)

    def known_paths(self, directory: str) -> list[str]:
        with self._database.read() as session:
            return reading.known_paths(session, self._host.uuid, directory)

    def known_directories(self) -> frozenset[str]:
        with self._database.read() as session:
            return reading.known_directories(session, self._host.uuid)

    def unsettled(self, domain_uuid: str | None = None) -> list[OperationRecord]:
        with self._database.read() as session:
            return journal.unsettled(session, self._host.uuid, *([domain_uuid] if domain_uuid is not None else []))

    def abandoned(self) -> dict[str, list[str]]:
        with self._database.read() as session:
            return journal.abandoned(session, self._host.uuid)

    def at_work(self, url: str) -> list[str]:
        return maintenance.at_work(url)

    def is_abandoned(self, operation: OperationRecord) -> bool:
        with self._database.read() as session:
            return journal.is_abandoned(session, operation)

    def health(self) -> CatalogHealth:
        return health.of(self._database)

    def left_over_layers(self) -> list[Layer]:
        with self._database.read() as session:
            return layers.left_over(session, self._host.uuid)

    def forget_left_over(self, paths: Sequence[str]) -> None:
        with self._database.write() as session:
            layers.forget_left_over(session, self._host.uuid, paths)

    # ------------------------------------------------------------------ the journal

    def open_operation(
        self,
        *,
        operation_id: str,
        kind: OperationKind,
        version: int,
        members: Sequence[MemberRecord],
    ) -> OpenOperation:
        domains = [member.domain_uuid for member in members]
        record: OperationRecord | None = None
        try:
            with self._database.write() as session:
                # Asked in the same transaction: afterwards whoever had the domain may be done with it.
                for other in journal.unsettled(session, self._host.uuid, *domains):
                    raise journal.busy(session, other)
                journal.start(
                    session,
                    operation_id=operation_id,
                    kind=kind,
                    version=version,
                    host=self._host,
                    members=members,
                    ttl=self._times.ttl,
                )
                journal.prune(session, self._host.uuid, self._keep)
                record = journal.get(session, operation_id)
            return self._opened(record)
        except Conflict as conflict:  # a database server lets two of them come as far as this
            with self._database.read() as session:
                for other in journal.unsettled(session, self._host.uuid, *domains):
                    raise journal.busy(session, other) from conflict
            raise
        except BaseException:
            self._give_up(record)
            raise

    def take_over(self, operation: OperationRecord) -> OpenOperation:
        record: OperationRecord | None = None
        try:
            with self._database.write() as session:
                journal.take_over(session, operation, self._times.ttl)
                record = journal.get(session, operation.id)
            return self._opened(record)
        except BaseException:
            self._give_up(record)
            raise

    # ------------------------------------------------------------------ what replaces a lost one

    def rebuild(self, domains: Sequence[RebuiltDomain]) -> None:
        with self._database.write() as session:
            rebuilding.rebuild(session, self._host, domains)

    # ------------------------------------------------------------------ what verify found

    def mark_damage(self, checkpoint_id: str, damage: str | None) -> None:
        with self._database.write() as session:
            verify_results.mark_damage(session, checkpoint_id, damage)

    def record_memory(self, checkpoint_id: str, then: MemoryImage, now: MemoryImage) -> None:
        with self._database.write() as session:
            verify_results.record_memory(session, checkpoint_id, then, now)

    def record_layer(self, then: Layer, now: Layer) -> None:
        with self._database.write() as session:
            verify_results.record_layer(session, self._host.uuid, then, now)

    def record_medium(self, checkpoint_id: str, then: CheckpointDisk, now: CheckpointDisk) -> None:
        with self._database.write() as session:
            verify_results.record_medium(session, checkpoint_id, then, now)

    def close_connection(self) -> None:
        """Release what leases there are and let the database go."""
        for operation in list(self._open.values()):
            operation.release()
        self._database.close()

    def _opened(self, record: OperationRecord) -> SqlOperation:
        operation = SqlOperation(self._database, record, self._times)
        self._open[record.id] = operation
        return operation

    def _give_up(self, record: OperationRecord | None) -> None:
        """Release the row of an operation that the caller never got, e.g. because of Ctrl-C after its transaction: a
        process that goes on must not keep the domain busy."""
        if record is None:
            return
        if (operation := self._open.get(record.id)) is not None:
            operation.release()
        with suppress(CatalogError), self._database.write() as session:
            journal.release(session, record)
