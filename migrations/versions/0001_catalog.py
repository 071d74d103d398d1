"""Hosts and domains, the graph of layers, checkpoints and heads.

Revises: nothing
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

ID = sa.String(64)
TIME = sa.String(32)
LAYER_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    create_domains()
    create_layers()
    create_checkpoints()
    create_heads()


def create_domains() -> None:
    op.create_table(
        "host",
        sa.Column("uuid", ID, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("uri", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("uuid", name="pk_host"),
    )
    op.create_table(
        "domain",
        sa.Column("host_uuid", ID, nullable=False),
        sa.Column("uuid", ID, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("seen", TIME, nullable=False),
        sa.PrimaryKeyConstraint("host_uuid", "uuid", name="pk_domain"),
        sa.ForeignKeyConstraint(["host_uuid"], ["host.uuid"], name="fk_domain_host_uuid"),
    )
    op.create_index("ix_domain_host_uuid_name", "domain", ["host_uuid", "name"])


def create_layers() -> None:
    op.create_table(
        "layer",
        sa.Column("id", LAYER_ID, nullable=False),
        sa.Column("host_uuid", ID, nullable=False),
        sa.Column("domain_uuid", ID, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("format", sa.Text, nullable=False),
        sa.Column("capacity", sa.BigInteger, nullable=False),
        sa.Column("backing_id", LAYER_ID),
        sa.Column("operation_id", ID),
        sa.Column("physical", sa.BigInteger),
        sa.Column("allocation", sa.BigInteger),
        sa.Column("mtime", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_layer"),
        sa.UniqueConstraint("host_uuid", "path", name="uq_layer_host_uuid_path"),
        sa.ForeignKeyConstraint(["backing_id"], ["layer.id"], name="fk_layer_backing_id"),
        sa.ForeignKeyConstraint(
            ["host_uuid", "domain_uuid"],
            ["domain.host_uuid", "domain.uuid"],
            name="fk_layer_host_uuid_domain_uuid",
        ),
    )
    op.create_index("ix_layer_backing_id", "layer", ["backing_id"])


def create_checkpoints() -> None:
    op.create_table(
        "checkpoint",
        sa.Column("id", ID, nullable=False),
        sa.Column("host_uuid", ID, nullable=False),
        sa.Column("domain_uuid", ID, nullable=False),
        sa.Column("domain_name", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("parent_id", ID),
        sa.Column("created", TIME, nullable=False),
        sa.Column("mode", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("persistent", sa.Boolean, nullable=False),
        sa.Column("machine", sa.Text, nullable=False),
        sa.Column("emulator", sa.Text, nullable=False),
        sa.Column("qemu_version", sa.Text, nullable=False),
        sa.Column("libvirt_version", sa.Text, nullable=False),
        sa.Column("memory_path", sa.Text, nullable=False),
        sa.Column("memory_size", sa.BigInteger, nullable=False),
        sa.Column("memory_was_running", sa.Boolean, nullable=False),
        sa.Column("memory_version", sa.BigInteger, nullable=False),
        sa.Column("memory_compression", sa.Text, nullable=False),
        sa.Column("memory_data_length", sa.BigInteger, nullable=False),
        sa.Column("memory_sha256", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_checkpoint"),
        sa.UniqueConstraint("host_uuid", "domain_uuid", "name", name="uq_checkpoint_host_uuid_domain_uuid_name"),
        sa.ForeignKeyConstraint(["parent_id"], ["checkpoint.id"], name="fk_checkpoint_parent_id", ondelete="SET NULL"),
        sa.ForeignKeyConstraint(
            ["host_uuid", "domain_uuid"],
            ["domain.host_uuid", "domain.uuid"],
            name="fk_checkpoint_host_uuid_domain_uuid",
        ),
    )
    op.create_index("ix_checkpoint_parent_id", "checkpoint", ["parent_id"])
    op.create_table(
        "checkpoint_document",
        sa.Column("checkpoint_id", ID, nullable=False),
        sa.Column("cpu", sa.Text, nullable=False),
        sa.Column("domain_xml", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("checkpoint_id", name="pk_checkpoint_document"),
        sa.ForeignKeyConstraint(
            ["checkpoint_id"], ["checkpoint.id"], name="fk_checkpoint_document_checkpoint_id", ondelete="CASCADE"
        ),
    )
    op.create_table(
        "checkpoint_tag",
        sa.Column("checkpoint_id", ID, nullable=False),
        sa.Column("tag", sa.Text, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("checkpoint_id", "tag", name="pk_checkpoint_tag"),
        sa.ForeignKeyConstraint(
            ["checkpoint_id"], ["checkpoint.id"], name="fk_checkpoint_tag_checkpoint_id", ondelete="CASCADE"
        ),
    )
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


def create_heads() -> None:
    op.create_table(
        "head",
        sa.Column("host_uuid", ID, nullable=False),
        sa.Column("domain_uuid", ID, nullable=False),
        sa.Column("checkpoint_id", ID),
        sa.PrimaryKeyConstraint("host_uuid", "domain_uuid", name="pk_head"),
        sa.ForeignKeyConstraint(
            ["checkpoint_id"], ["checkpoint.id"], name="fk_head_checkpoint_id", ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["host_uuid", "domain_uuid"],
            ["domain.host_uuid", "domain.uuid"],
            name="fk_head_host_uuid_domain_uuid",
        ),
    )
    op.create_index("ix_head_checkpoint_id", "head", ["checkpoint_id"])
    op.create_table(
        "head_disk",
        sa.Column("host_uuid", ID, nullable=False),
        sa.Column("domain_uuid", ID, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("layer_id", LAYER_ID, nullable=False),
        sa.PrimaryKeyConstraint("host_uuid", "domain_uuid", "target", name="pk_head_disk"),
        sa.ForeignKeyConstraint(["layer_id"], ["layer.id"], name="fk_head_disk_layer_id"),
        sa.ForeignKeyConstraint(
            ["host_uuid", "domain_uuid"],
            ["head.host_uuid", "head.domain_uuid"],
            name="fk_head_disk_host_uuid_domain_uuid",
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_head_disk_layer_id", "head_disk", ["layer_id"])


def downgrade() -> None:
    op.drop_table("head_disk")
    op.drop_table("head")
    op.drop_table("checkpoint_disk")
    op.drop_table("checkpoint_tag")
    op.drop_table("checkpoint_document")
    op.drop_table("checkpoint")
    op.drop_table("layer")
    op.drop_table("domain")
    op.drop_table("host")
