"""Directories of the store in which a rebuild found files that it could not catalogue: of an operation that was open
when the catalog was lost. Before something is removed, what these files are backed by is asked for.

Revises: 0008
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_table(
        "mixed_directory",
        sa.Column("host_uuid", sa.String(64), nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("host_uuid", "path", name="pk_mixed_directory"),
        sa.ForeignKeyConstraint(["host_uuid"], ["host.uuid"], name="fk_mixed_directory_host_uuid"),
    )


def downgrade() -> None:
    op.drop_table("mixed_directory")
