"""What shows that a file or device still is what it was: the time of last change of a memory image, the fingerprint of
a block device, length, time and fingerprint of a disk that did not freeze. NULL in older rows: not compared.

Revises: 0007
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    with op.batch_alter_table("layer") as layer:
        layer.add_column(sa.Column("fingerprint", sa.Text()))
    with op.batch_alter_table("artifact") as artifact:
        artifact.add_column(sa.Column("mtime", sa.Text()))
        artifact.add_column(sa.Column("fingerprint", sa.Text()))


def downgrade() -> None:
    with op.batch_alter_table("artifact") as artifact:
        artifact.drop_column("fingerprint")
        artifact.drop_column("mtime")
    with op.batch_alter_table("layer") as layer:
        layer.drop_column("fingerprint")
