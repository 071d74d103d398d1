"""The journal of operations, its lock, and which operation discarded a layer.

Going back drops the journal: settle every operation first (`snapctl recover`).

Revises: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

ID = sa.String(64)
TIME = sa.String(32)
OPEN = sa.text("state = 'open'")


def upgrade() -> None:
    op.create_table(
        "operation",
        sa.Column("id", ID, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("host_uuid", ID, nullable=False),
        sa.Column("domain_uuid", ID, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("step", sa.Text, nullable=False),
        sa.Column("completed", sa.Text, nullable=False),
        sa.Column("plan", sa.Text, nullable=False),
        sa.Column("facts", sa.Text, nullable=False),
        sa.Column("token", sa.BigInteger, nullable=False),
        sa.Column("owner_user", sa.Text, nullable=False),
        sa.Column("owner_host", sa.Text, nullable=False),
        sa.Column("owner_boot_id", sa.Text, nullable=False),
        sa.Column("owner_pid", sa.BigInteger, nullable=False),
        sa.Column("owner_pid_start", sa.Text, nullable=False),
        sa.Column("opened", TIME, nullable=False),
        sa.Column("lease_until", TIME, nullable=False),
        sa.Column("closed", TIME),
        sa.Column("error", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_operation"),
        sa.ForeignKeyConstraint(
            ["host_uuid", "domain_uuid"],
            ["domain.host_uuid", "domain.uuid"],
            name="fk_operation_host_uuid_domain_uuid",
        ),
    )
    op.create_index(
        "uq_operation_open",
        "operation",
        ["host_uuid", "domain_uuid"],
        unique=True,
        sqlite_where=OPEN,
        postgresql_where=OPEN,
    )
    with op.batch_alter_table("layer") as layer:
        layer.add_column(sa.Column("discarded_by", ID))
        layer.create_foreign_key("fk_layer_discarded_by", "operation", ["discarded_by"], ["id"])
        layer.create_index("ix_layer_discarded_by", ["discarded_by"])


def downgrade() -> None:
    with op.batch_alter_table("layer") as layer:
        layer.drop_index("ix_layer_discarded_by")
        layer.drop_constraint("fk_layer_discarded_by", type_="foreignkey")
        layer.drop_column("discarded_by")
    op.drop_table("operation")
