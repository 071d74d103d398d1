"""Checkpoints as sets of artifacts, with a directory of their own; what a layer lies in.

Going back is refused while there is a checkpoint that the older schema cannot say: one without a memory
image, with a sidecar, or with an id that is not its operation's.

Revises: 0004
"""

from __future__ import annotations

from posixpath import dirname

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

ID = sa.String(64)
LAYER_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

MEMORY = ("path", "size", "was_running", "version", "compression", "data_length", "sha256")


def upgrade() -> None:
    _artifacts_up()


def downgrade() -> None:
    _artifacts_down()


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
