"""How Alembic runs the migrations: over the connection it is given, or from the command line.

From a checkout: `alembic -x url=sqlite:////path/to/catalog.db upgrade head` (also `check`,
`revision --autogenerate`). That makes no backup; `snapctl catalog upgrade` does.
"""

from __future__ import annotations

from alembic import context
from alembic.util import CommandError
from sqlalchemy import Connection

from orchestrator.catalog.database import Database
from orchestrator.catalog.tables import Base


def migrate(connection: Connection) -> None:
    # SQLite cannot alter much: a batch makes the table anew. Its foreign keys must be off meanwhile.
    context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()


def migrate_url() -> None:
    url = context.get_x_argument(as_dictionary=True).get("url")
    if url is None:
        raise CommandError("say which catalog: alembic -x url=sqlite:////path/to/catalog.db ...")
    database = Database(url, foreign_keys=False)
    database.make_file()
    with database.write() as session:
        migrate(session.connection())
    database.close()


connection = context.config.attributes.get("connection")
if connection is None:
    migrate_url()
else:
    migrate(connection)
