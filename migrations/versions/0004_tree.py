"""A tree that is looked after: layers being rewritten, what a rollback kept, expiry and protection.

Going back forgets all of it. It is refused while a layer is being rewritten: its facts are not those in its row.

Revises: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

ID = sa.String(64)


def upgrade() -> None:
    with op.batch_alter_table("layer") as layer:
        layer.add_column(sa.Column("rewritten_by", ID))
        layer.create_foreign_key("fk_layer_rewritten_by", "operation", ["rewritten_by"], ["id"])
    with op.batch_alter_table("checkpoint") as checkpoint:
        checkpoint.add_column(sa.Column("expires", sa.String(32)))
        checkpoint.add_column(sa.Column("protected", sa.Boolean, nullable=False, server_default=sa.false()))
    with op.batch_alter_table("checkpoint") as checkpoint:
        checkpoint.alter_column("protected", server_default=None)
    with op.batch_alter_table("head") as head:
        head.add_column(sa.Column("kept_id", ID))
        head.create_foreign_key("fk_head_kept_id", "checkpoint", ["kept_id"], ["id"], ondelete="SET NULL")
        head.create_index("ix_head_kept_id", ["kept_id"])


def downgrade() -> None:
    rewritten = sa.text("SELECT count(*) FROM layer WHERE rewritten_by IS NOT NULL")
    if op.get_bind().scalar(rewritten):
        raise RuntimeError("a collapse is unfinished: run snapctl recover first")
    with op.batch_alter_table("head") as head:
        head.drop_index("ix_head_kept_id")
        head.drop_constraint("fk_head_kept_id", type_="foreignkey")
        head.drop_column("kept_id")
    with op.batch_alter_table("checkpoint") as checkpoint:
        checkpoint.drop_column("protected")
        checkpoint.drop_column("expires")
    with op.batch_alter_table("layer") as layer:
        layer.drop_constraint("fk_layer_rewritten_by", type_="foreignkey")
        layer.drop_column("rewritten_by")
