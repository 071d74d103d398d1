"""A catalog has an id, and the stores that belong to it; a host may report another UUID than it is known under.

Revises: 0006
"""

from __future__ import annotations

from uuid import uuid4

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    catalog = op.create_table(
        "catalog", sa.Column("id", sa.String(64), nullable=False), sa.PrimaryKeyConstraint("id", name="pk_catalog")
    )
    op.bulk_insert(catalog, [{"id": str(uuid4())}])
    op.create_table(
        "store",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("host_uuid", sa.String(64), nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_store"),
        sa.ForeignKeyConstraint(["host_uuid"], ["host.uuid"], name="fk_store_host_uuid"),
    )
    op.create_index("ix_store_host_uuid", "store", ["host_uuid"])
    op.add_column("host", sa.Column("reported_uuid", sa.String(64), nullable=True))


def downgrade() -> None:
    op.drop_table("store")
    op.drop_table("catalog")
    with op.batch_alter_table("host") as host:
        host.drop_column("reported_uuid")
