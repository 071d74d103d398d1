"""The owner of an operation is known by its machine, too: hosts may have equal names.

Rows of before have none, which means that it is not known.

Revises: 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    with op.batch_alter_table("operation") as operation:
        operation.add_column(sa.Column("owner_machine_id", sa.Text, nullable=False, server_default=""))
    with op.batch_alter_table("operation") as operation:
        operation.alter_column("owner_machine_id", server_default=None)


def downgrade() -> None:
    with op.batch_alter_table("operation") as operation:
        operation.drop_column("owner_machine_id")
