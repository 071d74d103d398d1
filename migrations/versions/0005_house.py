"""Checkpoints as sets of artifacts, with a directory of their own; what a layer lies in. Operations have members and
one decision; their plans and steps a version.

Refused while an operation is open: what it did is known to the snapctl that began it. One that was abandoned is taken
over as it is, open and undecided. Going back is refused for the
same reason, and while there is what the older schema cannot say: an operation with several members; a checkpoint
without a memory image, with a sidecar, or with an id that is not its operation's.

Revises: 0004
"""

from __future__ import annotations

from posixpath import dirname

import sqlalchemy as sa
from alembic import context, op

revision = "0005"
down_revision = "0004"

ID = sa.String(64)
LAYER_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MEMORY = ("path", "size", "was_running", "version", "compression", "data_length", "sha256")
OPEN_MEMBERS = sa.text("open")
OPEN_OPERATIONS = sa.text("state = 'open'")
OF_ONE_DOMAIN = ("domain_uuid", "step", "completed", "plan", "facts")
"""Columns of an operation that are its members' from now on."""


def upgrade() -> None:
    _refuse_open()
    _artifacts_up()
    _members_up()


def downgrade() -> None:
    _refuse_open()
    _members_down()
    _artifacts_down()


def _refuse_open() -> None:
    if op.get_bind().dialect.name == "postgresql":
        # Nor is one to be opened before the end of this transaction. SQLite lets one transaction write at a time.
        op.execute("LOCK TABLE operation IN ACCESS EXCLUSIVE MODE")
    open_ = op.get_bind().scalars(sa.text("SELECT id FROM operation WHERE state = 'open'"))
    if set(open_) - context.config.attributes.get("abandoned", set()):
        raise RuntimeError("an operation is unfinished: run snapctl recover first")


# --------------------------------------------------------------------------- operations


def _members_up() -> None:
    op.create_table(
        "operation_member",
        sa.Column("operation_id", ID, nullable=False),
        sa.Column("domain_uuid", ID, nullable=False),
        sa.Column("host_uuid", ID, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("open", sa.Boolean, nullable=False),
        sa.Column("step", sa.Text, nullable=False),
        sa.Column("completed", sa.Text, nullable=False),
        sa.Column("plan", sa.Text, nullable=False),
        sa.Column("results", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("operation_id", "domain_uuid", name="pk_operation_member"),
        sa.ForeignKeyConstraint(
            ["operation_id"], ["operation.id"], name="fk_operation_member_operation_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["host_uuid", "domain_uuid"],
            ["domain.host_uuid", "domain.uuid"],
            name="fk_operation_member_host_uuid_domain_uuid",
        ),
    )
    op.execute(
        "INSERT INTO operation_member"
        " (operation_id, domain_uuid, host_uuid, position, open, step, completed, plan, results)"
        " SELECT id, domain_uuid, host_uuid, 0, state = 'open', step, completed, plan, facts FROM operation"
    )
    op.create_index(
        "uq_operation_member_open",
        "operation_member",
        ["host_uuid", "domain_uuid"],
        unique=True,
        sqlite_where=OPEN_MEMBERS,
        postgresql_where=OPEN_MEMBERS,
    )
    op.drop_index("uq_operation_open", "operation")
    with op.batch_alter_table("operation") as operation:
        operation.add_column(sa.Column("version", sa.BigInteger, nullable=False, server_default="1"))
        operation.add_column(sa.Column("decision", sa.Text))
        operation.drop_constraint("fk_operation_host_uuid_domain_uuid", type_="foreignkey")
        operation.create_foreign_key("fk_operation_host_uuid", "host", ["host_uuid"], ["uuid"])
        for column in OF_ONE_DOMAIN:
            operation.drop_column(column)
        operation.create_index("ix_operation_host_uuid_state", ["host_uuid", "state"])
        operation.create_index("ix_operation_closed", ["closed"])
    with op.batch_alter_table("operation") as operation:
        operation.alter_column("version", server_default=None)
    op.execute("UPDATE operation SET decision = CASE state WHEN 'done' THEN 'forward' WHEN 'undone' THEN 'undo' END")


def _members_down() -> None:
    several = sa.text("SELECT count(*) FROM operation_member WHERE position > 0")
    if op.get_bind().scalar(several):
        raise RuntimeError("an operation on several domains is in the journal, and the older schema has none such")
    with op.batch_alter_table("operation") as operation:
        operation.drop_index("ix_operation_closed")
        operation.drop_index("ix_operation_host_uuid_state")
        operation.drop_constraint("fk_operation_host_uuid", type_="foreignkey")
        operation.drop_column("decision")
        operation.drop_column("version")
        for column in OF_ONE_DOMAIN:
            kind = ID if column == "domain_uuid" else sa.Text()
            operation.add_column(sa.Column(column, kind, nullable=False, server_default=""))
    for column in OF_ONE_DOMAIN:
        source = "results" if column == "facts" else column
        op.execute(
            f"UPDATE operation SET {column} ="  # noqa: S608 - names of ours
            f" (SELECT {source} FROM operation_member WHERE operation_id = operation.id)"
        )
    with op.batch_alter_table("operation") as operation:
        for column in OF_ONE_DOMAIN:
            operation.alter_column(column, server_default=None)
        operation.create_foreign_key(
            "fk_operation_host_uuid_domain_uuid",
            "domain",
            ["host_uuid", "domain_uuid"],
            ["host_uuid", "uuid"],
        )
    op.create_index(
        "uq_operation_open",
        "operation",
        ["host_uuid", "domain_uuid"],
        unique=True,
        sqlite_where=OPEN_OPERATIONS,
        postgresql_where=OPEN_OPERATIONS,
    )
    op.drop_table("operation_member")


# --------------------------------------------------------------------------- artifacts


def _artifacts_up() -> None:
    _create_artifacts()
    op.execute(
        """
        INSERT INTO artifact (checkpoint_id, position, kind, path, format, size, sha256,
                              was_running, version, data_length)
        SELECT id, 0, 'memory', memory_path, memory_compression, memory_size, memory_sha256,
               memory_was_running, memory_version, memory_data_length
        FROM checkpoint
        """
    )
    op.execute(
        """
        INSERT INTO artifact (checkpoint_id, position, kind, target, path, format, layer_id,
                              device, readonly, source_type)
        SELECT checkpoint_id, position + 1, 'disk', target, path, format, layer_id, device, readonly, source_type
        FROM checkpoint_disk
        """
    )
    op.drop_table("checkpoint_disk")
    with op.batch_alter_table("checkpoint") as checkpoint:
        checkpoint.add_column(sa.Column("operation_id", ID))
        checkpoint.add_column(sa.Column("directory", sa.Text))
    op.execute("UPDATE checkpoint SET operation_id = id")
    _fill_directories()
    with op.batch_alter_table("checkpoint") as checkpoint:
        checkpoint.alter_column("operation_id", existing_type=ID, nullable=False)
        checkpoint.alter_column("directory", existing_type=sa.Text(), nullable=False)
        for name in MEMORY:
            checkpoint.drop_column(f"memory_{name}")
    with op.batch_alter_table("layer") as layer:
        layer.add_column(sa.Column("kind", sa.Text))
    # A layer of the user's own without a length was a block device; one of ours an active overlay.
    op.execute(
        """
        UPDATE layer
        SET kind = CASE WHEN physical IS NULL AND operation_id IS NULL THEN 'block' ELSE 'file' END
        """
    )
    with op.batch_alter_table("layer") as layer:
        layer.alter_column("kind", existing_type=sa.Text(), nullable=False)


def _create_artifacts() -> None:
    op.create_table(
        "artifact",
        sa.Column("checkpoint_id", ID, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("target", sa.Text),
        sa.Column("path", sa.Text),
        sa.Column("format", sa.Text),
        sa.Column("size", sa.BigInteger),
        sa.Column("sha256", sa.Text),
        sa.Column("layer_id", LAYER_ID),
        sa.Column("device", sa.Text),
        sa.Column("readonly", sa.Boolean),
        sa.Column("source_type", sa.Text),
        sa.Column("was_running", sa.Boolean),
        sa.Column("version", sa.BigInteger),
        sa.Column("data_length", sa.BigInteger),
        sa.PrimaryKeyConstraint("checkpoint_id", "position", name="pk_artifact"),
        sa.ForeignKeyConstraint(
            ["checkpoint_id"], ["checkpoint.id"], name="fk_artifact_checkpoint_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["layer_id"], ["layer.id"], name="fk_artifact_layer_id", ondelete="SET NULL"),
    )
    op.create_index("ix_artifact_path", "artifact", ["path"])
    op.create_index("ix_artifact_layer_id", "artifact", ["layer_id"])


def _fill_directories() -> None:
    """A checkpoint's own files were where its memory image is."""
    checkpoint = sa.table("checkpoint", sa.column("id"), sa.column("directory"), sa.column("memory_path"))
    found = op.get_bind().execute(sa.select(checkpoint.c.id, checkpoint.c.memory_path)).all()
    if found:
        change = checkpoint.update().where(checkpoint.c.id == sa.bindparam("its"))
        values = [{"its": id_, "to": dirname(str(path))} for id_, path in found]
        op.get_bind().execute(change.values(directory=sa.bindparam("to")), values)


def _artifacts_down() -> None:
    _refuse_newer_checkpoints()
    with op.batch_alter_table("layer") as layer:
        layer.drop_column("kind")
    _create_checkpoint_disks()
    op.execute(
        """
        INSERT INTO checkpoint_disk (checkpoint_id, target, position, device, readonly, path, format, source_type,
                                     layer_id)
        SELECT checkpoint_id, target, position - 1, device, readonly, path, format, source_type, layer_id
        FROM artifact WHERE kind = 'disk'
        """
    )
    with op.batch_alter_table("checkpoint") as checkpoint:
        checkpoint.add_column(sa.Column("memory_path", sa.Text))
        checkpoint.add_column(sa.Column("memory_size", sa.BigInteger))
        checkpoint.add_column(sa.Column("memory_was_running", sa.Boolean))
        checkpoint.add_column(sa.Column("memory_version", sa.BigInteger))
        checkpoint.add_column(sa.Column("memory_compression", sa.Text))
        checkpoint.add_column(sa.Column("memory_data_length", sa.BigInteger))
        checkpoint.add_column(sa.Column("memory_sha256", sa.Text))
    for name in MEMORY:
        column = "format" if name == "compression" else name
        op.execute(
            f"UPDATE checkpoint SET memory_{name} = (SELECT {column} FROM artifact "  # noqa: S608 - our own names
            "WHERE artifact.checkpoint_id = checkpoint.id AND artifact.kind = 'memory')"
        )
    op.drop_table("artifact")
    with op.batch_alter_table("checkpoint") as checkpoint:
        for name in MEMORY:
            if name != "sha256":
                checkpoint.alter_column(f"memory_{name}", nullable=False)
        checkpoint.drop_column("directory")
        checkpoint.drop_column("operation_id")


def _refuse_newer_checkpoints() -> None:
    newer = sa.text(
        """
        SELECT count(*) FROM checkpoint
        WHERE operation_id <> id
           OR (SELECT count(*) FROM artifact WHERE checkpoint_id = checkpoint.id AND kind = 'memory') <> 1
           OR EXISTS (SELECT 1 FROM artifact WHERE checkpoint_id = checkpoint.id AND kind = 'sidecar')
        """
    )
    if op.get_bind().scalar(newer):
        raise RuntimeError("there are checkpoints that the older schema has no words for: delete them first")


def _create_checkpoint_disks() -> None:
    op.create_table(
        "checkpoint_disk",
        sa.Column("checkpoint_id", ID, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("device", sa.Text, nullable=False),
        sa.Column("readonly", sa.Boolean, nullable=False),
        sa.Column("path", sa.Text),
        sa.Column("format", sa.Text),
        sa.Column("source_type", sa.Text, nullable=False),
        sa.Column("layer_id", LAYER_ID),
        sa.PrimaryKeyConstraint("checkpoint_id", "target", name="pk_checkpoint_disk"),
        sa.ForeignKeyConstraint(
            ["checkpoint_id"], ["checkpoint.id"], name="fk_checkpoint_disk_checkpoint_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["layer_id"], ["layer.id"], name="fk_checkpoint_disk_layer_id", ondelete="SET NULL"),
    )
    op.create_index("ix_checkpoint_disk_layer_id", "checkpoint_disk", ["layer_id"])
