"""Operations have members and one decision; their plans and steps a version.

Refused while an operation is open: what it did is known to the snapctl that began it. Going back is refused for the
same reason, and while an operation has several members, of which the older schema knows one.

Revises: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

ID = sa.String(64)
OPEN_MEMBERS = sa.text("open")
OPEN_OPERATIONS = sa.text("state = 'open'")
OF_ONE_DOMAIN = ("domain_uuid", "step", "completed", "plan", "facts")
"""Columns of an operation that are its members' from now on."""


def upgrade() -> None:
    _refuse_open()
    _members_up()


def downgrade() -> None:
    _refuse_open()
    _members_down()


def _refuse_open() -> None:
    if op.get_bind().scalar(sa.text("SELECT count(*) FROM operation WHERE state = 'open'")):
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
        " SELECT id, domain_uuid, host_uuid, 0, false, step, completed, plan, facts FROM operation"
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
    op.execute("UPDATE operation SET decision = CASE state WHEN 'done' THEN 'forward' ELSE 'undo' END")


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
