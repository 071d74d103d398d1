"""The catalog's tables: one class per table, nothing else.

Layers are a graph of their own: a layer has at most one backing file, and checkpoints and heads point
into the graph. What is not text or number is stored so that it reads the same in every database,
and by eye: times as RFC 3339 UTC of fixed width (so that they sort), the journal's plan, facts and
steps as JSON, enums by their value. `rows` turns them back and trusts none of them.
"""

from __future__ import annotations

from typing import Annotated

from sqlalchemy import (
    BigInteger,
    Connection,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    event,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

Id = Annotated[str, mapped_column(String(64))]
"""A UUID, as libvirt or snapctl writes it."""

Time = Annotated[str, mapped_column(String(32))]
"""RFC 3339 UTC with microseconds: `rows.timestamp`."""


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {str: Text(), int: BigInteger()}  # noqa: RUF012 - SQLAlchemy's own idiom


def _its_domain() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["host_uuid", "domain_uuid"], ["domain.host_uuid", "domain.uuid"])


class CatalogRow(Base):
    """The catalog itself, one row: by its id it is known in the stores that belong to it. A copy has the same."""

    __tablename__ = "catalog"

    id: Mapped[Id] = mapped_column(primary_key=True)


class HostRow(Base):
    """A hypervisor; name, URI and the host UUID that libvirt reports as last seen. `uuid` never changes: it is what
    libvirt reported first, unless another host had that already."""

    __tablename__ = "host"

    uuid: Mapped[Id] = mapped_column(primary_key=True)
    name: Mapped[str]
    uri: Mapped[str]
    reported_uuid: Mapped[Id | None]  # NULL: the same


class StoreRow(Base):
    """A directory on a host that belongs to this catalog, as the `store.json` in it says, too."""

    __tablename__ = "store"

    id: Mapped[Id] = mapped_column(primary_key=True)
    host_uuid: Mapped[Id] = mapped_column(ForeignKey("host.uuid"), index=True)
    path: Mapped[str]


class MixedDirectoryRow(Base):
    """A directory of an operation with files, beside others, that are not catalogued: a rebuild could not tell what
    they are, or somebody wrote to them when they were to be removed. What they are backed by is in no row."""

    __tablename__ = "mixed_directory"

    host_uuid: Mapped[Id] = mapped_column(ForeignKey("host.uuid"), primary_key=True)
    path: Mapped[str] = mapped_column(primary_key=True)


class DomainRow(Base):
    """A domain, by its UUID; name as last seen. Two may share a name: one was undefined and created again."""

    __tablename__ = "domain"
    __table_args__ = (Index(None, "host_uuid", "name"),)

    host_uuid: Mapped[Id] = mapped_column(ForeignKey("host.uuid"), primary_key=True)
    uuid: Mapped[Id] = mapped_column(primary_key=True)
    name: Mapped[str]
    seen: Mapped[Time]  # when an operation was last opened on it


class LayerRow(Base):
    """One file in a backing chain. A user's own base may be below layers of several domains."""

    __tablename__ = "layer"
    __table_args__ = (UniqueConstraint("host_uuid", "path"), _its_domain())

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    host_uuid: Mapped[Id]
    domain_uuid: Mapped[Id]  # of the domain that brought it here
    path: Mapped[str]
    target: Mapped[str]
    format: Mapped[str]
    capacity: Mapped[int]
    kind: Mapped[str]  # whether it lies in a file or on a block device
    backing_id: Mapped[int | None] = mapped_column(ForeignKey("layer.id"), index=True)
    operation_id: Mapped[Id | None]  # that created it; no foreign key: a catalog may outlive its journal
    physical: Mapped[int | None]  # this and the next two of a file that froze
    allocation: Mapped[int | None]
    mtime: Mapped[str | None]
    fingerprint: Mapped[str | None]  # of a block device that froze
    sha256: Mapped[str | None]  # of a frozen one, once a deep verify has read it
    rewritten_by: Mapped[Id | None] = mapped_column(ForeignKey("operation.id"))
    discarded_by: Mapped[Id | None] = mapped_column(ForeignKey("operation.id"), index=True)


class CheckpointRow(Base):
    __tablename__ = "checkpoint"
    __table_args__ = (UniqueConstraint("host_uuid", "domain_uuid", "name"), _its_domain())

    id: Mapped[Id] = mapped_column(primary_key=True)
    host_uuid: Mapped[Id]
    domain_uuid: Mapped[Id]
    domain_name: Mapped[str]  # at that time: libvirt restores a memory image under this name only
    name: Mapped[str]
    parent_id: Mapped[Id | None] = mapped_column(ForeignKey("checkpoint.id", ondelete="SET NULL"), index=True)
    created: Mapped[Time]
    mode: Mapped[str]
    state: Mapped[str]
    operation_id: Mapped[Id]  # that made it; no foreign key: a catalog may outlive its journal
    directory: Mapped[str]  # that holds its own files
    description: Mapped[str]
    persistent: Mapped[bool]
    machine: Mapped[str]
    emulator: Mapped[str]
    qemu_version: Mapped[str]
    libvirt_version: Mapped[str]
    damage: Mapped[str | None]  # what the last verify found wrong
    expires: Mapped[Time | None]
    protected: Mapped[bool]


class DocumentRow(Base):
    """A checkpoint's long texts, apart so that a list of thousands need not walk over them."""

    __tablename__ = "checkpoint_document"

    checkpoint_id: Mapped[Id] = mapped_column(ForeignKey("checkpoint.id", ondelete="CASCADE"), primary_key=True)
    cpu: Mapped[str]
    domain_xml: Mapped[str]


class TagRow(Base):
    __tablename__ = "checkpoint_tag"

    checkpoint_id: Mapped[Id] = mapped_column(ForeignKey("checkpoint.id", ondelete="CASCADE"), primary_key=True)
    tag: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int]


class ArtifactRow(Base):
    """One file of a checkpoint, or a disk of its guest that did not freeze; what kind says which columns it has.

    A memory image has what its header says. A disk has what the domain XML said of it, and `layer_id` is the
    layer that froze, which knows its own size and SHA-256; it is NULL for a disk that is not writable.
    """

    __tablename__ = "artifact"

    checkpoint_id: Mapped[Id] = mapped_column(ForeignKey("checkpoint.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    target: Mapped[str | None]
    path: Mapped[str | None] = mapped_column(index=True)  # NULL for an empty drive
    format: Mapped[str | None]  # of a memory image: how it is compressed
    size: Mapped[int | None]
    mtime: Mapped[str | None]
    fingerprint: Mapped[str | None]  # of a disk that did not freeze
    sha256: Mapped[str | None]
    # Only a hidden checkpoint's layer is ever dropped before it: `layers.forget` sees to that.
    layer_id: Mapped[int | None] = mapped_column(ForeignKey("layer.id", ondelete="SET NULL"), index=True)
    device: Mapped[str | None]  # this and the next two of a disk
    readonly: Mapped[bool | None]
    source_type: Mapped[str | None]
    was_running: Mapped[bool | None]  # this and the next two of a memory image
    version: Mapped[int | None]
    data_length: Mapped[int | None]


class HeadRow(Base):
    """A domain's current checkpoint and active layers."""

    __tablename__ = "head"
    __table_args__ = (_its_domain(),)

    host_uuid: Mapped[Id] = mapped_column(primary_key=True)
    domain_uuid: Mapped[Id] = mapped_column(primary_key=True)
    checkpoint_id: Mapped[Id | None] = mapped_column(ForeignKey("checkpoint.id", ondelete="SET NULL"), index=True)
    kept_id: Mapped[Id | None] = mapped_column(ForeignKey("checkpoint.id", ondelete="SET NULL"), index=True)


class HeadDiskRow(Base):
    """The active overlay of one disk of a domain."""

    __tablename__ = "head_disk"
    __table_args__ = (
        ForeignKeyConstraint(["host_uuid", "domain_uuid"], ["head.host_uuid", "head.domain_uuid"], ondelete="CASCADE"),
    )

    host_uuid: Mapped[Id] = mapped_column(primary_key=True)
    domain_uuid: Mapped[Id] = mapped_column(primary_key=True)
    target: Mapped[str] = mapped_column(primary_key=True)
    layer_id: Mapped[int] = mapped_column(ForeignKey("layer.id"), index=True)


class OperationRow(Base):
    """The journal: what one run of a verb is to do, who is at it, and which way it goes."""

    __tablename__ = "operation"
    __table_args__ = (Index(None, "host_uuid", "state"), Index(None, "closed"))

    id: Mapped[Id] = mapped_column(primary_key=True)
    kind: Mapped[str]
    host_uuid: Mapped[Id] = mapped_column(ForeignKey("host.uuid"))
    state: Mapped[str]
    version: Mapped[int]  # of its plans and steps
    decision: Mapped[str | None]  # made once, for all members
    token: Mapped[int]  # one more with each owner
    owner_user: Mapped[str]
    owner_host: Mapped[str]
    owner_machine_id: Mapped[str]  # "" if it has none
    owner_boot_id: Mapped[str]
    owner_pid: Mapped[int]
    owner_pid_start: Mapped[str]
    opened: Mapped[Time]
    lease_until: Mapped[Time]
    closed: Mapped[Time | None]
    error: Mapped[str | None]


_OPEN = text("open")
_ONE_OPEN = Index("uq_operation_member_open", "host_uuid", "domain_uuid", unique=True, sqlite_where=_OPEN)


class MemberRow(Base):
    """One domain of an operation. The unique index over open rows *is* the lock of a domain."""

    __tablename__ = "operation_member"
    __table_args__ = (_its_domain(), _ONE_OPEN)

    operation_id: Mapped[Id] = mapped_column(ForeignKey("operation.id", ondelete="CASCADE"), primary_key=True)
    domain_uuid: Mapped[Id] = mapped_column(primary_key=True)
    host_uuid: Mapped[Id]
    position: Mapped[int]
    open: Mapped[bool]  # as its operation's state is
    step: Mapped[str]  # entered last
    completed: Mapped[str]  # JSON list of steps by name
    plan: Mapped[str]  # JSON object, never changed
    results: Mapped[str]  # JSON object, grows


@event.listens_for(MemberRow.__table__, "before_create")
def _only_open_rows_on_postgresql(_: object, connection: Connection, **_options: object) -> None:
    """The lock's condition for PostgreSQL. Given to the index itself, it would load that dialect at each start."""
    if connection.dialect.name == "postgresql":
        _ONE_OPEN.dialect_options["postgresql"]["where"] = _OPEN
