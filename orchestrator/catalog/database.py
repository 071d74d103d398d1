"""The connection to the database: engine, transactions, and the translation of its errors.

SQLite is set up so that a committed row survives a power cut and many processes can share the
file: WAL, synchronous FULL, BEGIN IMMEDIATE for whatever writes (so that no process is refused half
way), foreign keys on, nothing in the schema trusted. The file is 0600 in a directory of its
owner, and SQLite gives its -wal and -shm files the mode of the file.

Every error of SQLAlchemy or a driver ends here as one `CatalogError` of one line, which never
holds SQL, bound values or a password.
"""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, ColumnElement, Connection, Engine, and_, create_engine, event, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    NoSuchModuleError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.pool import ConnectionPoolEntry, StaticPool

from ..errors import CatalogError, EnvironmentLacks, UsageError
from .tables import Base

BUSY_TIMEOUT = 15.0
"""Seconds to wait for another process's transaction."""

_WRITES = "snapctl_writes"

_OF_THE_FILE = frozenset(
    {
        *(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_READONLY),
        *(sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL),
    }
)
_RIGHTS = "check the permissions of the file and its directory, or name another catalog: --catalog URL"
_PLAIN_PATH = re.compile(r"[\w./~+ -]+")
"""What was meant as the path of a file. A URL, or a password, has other characters."""


class Conflict(CatalogError):
    """A row that must be unique is there already."""


class Database:
    """One catalog database: its engine and its transactions. Nothing is opened before the first one."""

    def __init__(self, url: str | URL, *, foreign_keys: bool = True) -> None:
        """`foreign_keys=False` is for migrations: SQLite rebuilds tables, and must not cascade then."""
        self._url = parse(url)
        self._foreign_keys = foreign_keys
        self.become_real()

    def become_real(self) -> None:
        """Work on the database that the URL names."""
        self.imagined = False
        self._use(_engine(self._url))
        if self.file is not None:
            event.listen(self.engine, "connect", _set_up_sqlite(self._foreign_keys))
            event.listen(self.engine, "begin", _begin_sqlite)

    def _use(self, engine: Engine) -> None:
        self.engine = engine
        self._writer = engine.execution_options(**{_WRITES: True})

    def imagine(self) -> None:
        """Work on an empty database in memory from now on: who only reads makes nothing."""
        self._use(create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False}))
        event.listen(self.engine, "connect", _set_up_memory)
        event.listen(self.engine, "begin", _begin_sqlite)
        self.imagined = True

    def __str__(self) -> str:
        return shown(self._url)

    @property
    def file(self) -> Path | None:
        """The SQLite file; None for a database server."""
        return Path(self._url.database or "") if self._url.get_backend_name() == "sqlite" else None

    def exists(self) -> bool:
        """Whether there is something to connect to; a server is asked only when connecting. Raises `CatalogError` where
        that cannot be seen."""
        try:
            return self.file is None or bool(self.file.stat())
        except PermissionError as error:
            raise CatalogError(f"the catalog {self} is out of reach: {error.strerror}", hint=_RIGHTS) from error
        except OSError:
            return False  # making it says why it cannot be there

    def make_file(self) -> None:
        """Make an empty database file, 0600, unless it is there, and its directory, 0700."""
        if self.file is None or self.exists():
            return
        try:
            self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self.file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise CatalogError(f"cannot create the catalog {self}: {error.strerror}", hint=_RIGHTS) from error

    def require(self) -> None:
        """Raise `CatalogError` when there is nothing to connect to."""
        if not self.exists():
            raise CatalogError(f"there is no catalog {self}", hint="it is created at first use")

    def real(self) -> Database:
        """Another one for the same URL, which is not imagined."""
        return Database(self._url)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """One transaction that sees one state of the catalog."""
        with self.translated(), Session(self.engine) as session, session.begin():
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """One transaction that may change it: durable when this returns, undone when it raises."""
        with self.translated(), Session(self._writer) as session, session.begin():
            yield session

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Let no error of SQLAlchemy, or of a driver, out but as a `CatalogError`."""
        try:
            yield
        except IntegrityError as error:
            raise Conflict(self._message(error), effect="nothing was recorded") from error
        except (SQLAlchemyError, sqlite3.Error) as error:
            may_pass = _may_pass(error)
            if may_pass:
                self.engine.dispose()  # a connection that was opened while the file was read-only remains so
            raise CatalogError(
                self._message(error), effect="nothing was recorded", hint=self._hint(error), may_pass=may_pass
            ) from error
        except (UnicodeError, OverflowError) as error:  # drivers let these through
            problem = f"the catalog cannot store a value: {type(error).__name__}"
            raise CatalogError(problem, effect="nothing was recorded") from error

    def close(self) -> None:
        self.engine.dispose()

    def _hint(self, error: Exception) -> str:
        code = getattr(error.orig if isinstance(error, DBAPIError) else error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            doubt = "it is no SQLite database, so check the URL; " if code == sqlite3.SQLITE_NOTADB else ""
            return f"{doubt}restore it from a backup, or: snapctl --catalog NEW-URL catalog adopt"
        if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
            return _RIGHTS
        if self.file is None and isinstance(error, OperationalError):
            return "check that the database server is running and accepts this user"
        return ""

    def _message(self, error: Exception) -> str:
        cause: BaseException = error
        if isinstance(error, DBAPIError) and error.orig is not None:
            cause = error.orig  # the driver's own words, without the statement
        reason = (str(cause).splitlines() or [""])[0] or type(cause).__name__
        denied = self._denied() if getattr(cause, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_CANTOPEN else ""
        return f"the catalog {self} cannot be read or written: {reason}{denied and f' ({denied})'}"

    def _denied(self) -> str:
        """Why SQLite cannot open the file, which it does not say. Not by opening it: to close it again would end the
        locks that SQLite has on it in this process."""
        if self.file is None or self.file.is_dir():
            return "it is a directory"
        if not os.access(self.file, os.R_OK | os.W_OK):
            return "permission denied"
        return "" if os.access(self.file.parent, os.W_OK) else "permission denied for its directory"


def parse(url: str | URL) -> URL:
    """Check a catalog's URL. Raises `UsageError`, without repeating what may hold a password."""
    hint = "write e.g. sqlite:////path/to/catalog.db"
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        if isinstance(url, str) and _PLAIN_PATH.fullmatch(url):
            hint = f"write {_absolute(url)}"
        raise UsageError("the catalog URL is malformed", hint=hint) from error
    backend = parsed.get_backend_name()
    if backend not in ("sqlite", "postgresql"):
        # The lock of a domain is a unique index over open operations only: these databases have it.
        raise UsageError(f"a catalog cannot be stored in {backend}", hint="use sqlite or postgresql")
    if backend == "sqlite" and (not _is_path(parsed.database) or parsed.query):
        raise UsageError("the catalog URL names no file, or has options", hint=hint)
    if backend == "sqlite" and not Path(parsed.database or "").is_absolute():
        raise UsageError(
            "the catalog URL has a relative path, so it would be another catalog in each directory",
            hint=f"write {_absolute(parsed.database or '')}",
        )
    if parsed.drivername == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    return parsed


def _absolute(path: str) -> str:
    return f"sqlite:///{Path.cwd() / path}"


def shown(url: URL) -> str:
    """A URL without its password, and without its options, which may hold one too."""
    return url.set(query={}).render_as_string(hide_password=True)


def _may_pass(error: Exception) -> bool:
    """Whether the database was out of reach, as opposed to a statement that it does not accept: every operational
    error of a server's driver; of SQLite, those that come from the file and its locks (sqlite.org/rescode.html)."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, sqlite3.Error):
        return getattr(cause, "sqlite_errorcode", 0) & 0xFF in _OF_THE_FILE
    return isinstance(error, OperationalError | InterfaceError)


def _is_path(database: str | None) -> bool:
    """Whether SQLite would take it for a file: neither memory nor a URI of its own."""
    return bool(database) and not re.match(r":memory:|file:|.*\0", database or "")


def _engine(url: URL) -> Engine:
    try:
        if url.get_dialect().is_async:
            raise UsageError(
                f"the catalog URL names an asynchronous driver, {url.drivername}", hint="use a synchronous one"
            )
        if url.get_backend_name() == "sqlite":
            return create_engine(url, connect_args={"timeout": BUSY_TIMEOUT})
        return create_engine(url, pool_pre_ping=True)
    except ImportError as error:
        hint = "install it, e.g., in the clone of snapctl: pip install '.[postgresql]'"
        raise EnvironmentLacks(f"the database driver for {url.drivername} is not installed", hint=hint) from error
    except (ArgumentError, NoSuchModuleError) as error:
        raise UsageError(f"the catalog URL names an unknown driver: {url.drivername}") from error


def upsert(session: Session, table: type[Base], values: dict[str, Any], *, key: Sequence[str]) -> None:
    """Insert a row; if there is one of that `key`, give it the other values instead.

    Two transactions that do so at the same time both succeed.
    """
    if session.get_bind().dialect.name == "postgresql":  # imported only when used: start-up time
        from sqlalchemy.dialects.postgresql import insert
    else:
        from sqlalchemy.dialects.sqlite import insert  # type: ignore[assignment]
    others = {name: value for name, value in values.items() if name not in key}
    row = insert(table).values(values)
    if others:
        session.execute(row.on_conflict_do_update(index_elements=key, set_=others))
    else:
        session.execute(row.on_conflict_do_nothing(index_elements=key))


def beginning_with(
    session: Session, column: InstrumentedAttribute[str] | InstrumentedAttribute[str | None], text: str
) -> ColumnElement[bool]:
    """The rows whose `column` begins with `text`, which is ASCII at its end.

    As a range, which an index serves, where text is compared byte by byte: SQLite has LIKE read all rows,
    and in PostgreSQL the order of texts depends on the locale.
    """
    if session.get_bind().dialect.name == "postgresql":
        return column.startswith(text, autoescape=True)
    return and_(column >= text, column < text[:-1] + chr(ord(text[-1]) + 1))


# --------------------------------------------------------------------------- SQLite


def _set_up_sqlite(foreign_keys: bool) -> Callable[[sqlite3.Connection, ConnectionPoolEntry], None]:
    def set_up(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself: see _begin_sqlite
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute(f"PRAGMA foreign_keys = {'ON' if foreign_keys else 'OFF'}")
        connection.execute("PRAGMA synchronous = FULL")
        _use_wal(connection)

    return set_up


def _set_up_memory(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
    connection.isolation_level = None


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch a new file to WAL; of no effect afterwards, as the file remembers it.

    Of two processes that switch at the same time SQLite refuses one at once, without its busy
    timeout, so the waiting is done here.
    """
    deadline = time.monotonic() + BUSY_TIMEOUT
    while True:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
            break
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
    if mode != "wal":
        raise sqlite3.OperationalError("its file system cannot keep a write-ahead log")


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
