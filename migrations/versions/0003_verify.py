"""What verify finds: the SHA-256 of a layer that was read, and what is wrong with a checkpoint.

Going back forgets both: damage that only a deep verify sees is unknown until the next one.

Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    with op.batch_alter_table("layer") as layer:
        layer.add_column(sa.Column("sha256", sa.Text))
    with op.batch_alter_table("checkpoint") as checkpoint:
        checkpoint.add_column(sa.Column("damage", sa.Text))


def downgrade() -> None:
    with op.batch_alter_table("checkpoint") as checkpoint:
        checkpoint.drop_column("damage")
    with op.batch_alter_table("layer") as layer:
        layer.drop_column("sha256")
