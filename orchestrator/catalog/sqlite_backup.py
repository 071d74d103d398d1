"""A consistent copy of an SQLite database that may be in use (sqlite3_backup)."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from ..errors import CatalogError, Refused, UsageError


def copy(source: Path, target: Path) -> None:
    """Copy a database to a new file, 0600, checked and durable; other processes can use it at the same time.

    Raises `UsageError` when `target` names no file, `Refused` when there is one already. A crash may leave
    an empty `target` and what was copied so far beside it, as `<target>.partial`, but never half a
    database under its name.
    """
    if not target.name:
        raise UsageError("the backup needs a file name", hint="give the path of a new file")
    partial = target.with_name(f"{target.name}.partial")
    try:
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    except FileExistsError as error:
        raise Refused(f"{target} already exists", hint="choose another file name") from error
    except OSError as error:
        hint = "choose a file in a directory that is there, and that you may write to"
        raise _failed(target, error.strerror or str(error), hint) from error
    try:
        _copy(source, partial)
        partial.replace(target)
        _sync(target.parent)
    except (OSError, sqlite3.Error) as error:
        target.unlink()
        hint = "check the free space there, and the catalog itself: snapctl doctor"
        raise _failed(target, str(error), hint) from error
    finally:
        partial.unlink(missing_ok=True)


def _copy(source: Path, partial: Path) -> None:
    partial.unlink(missing_ok=True)  # of an earlier attempt that was killed
    os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    with closing(sqlite3.connect(source)) as original, closing(sqlite3.connect(partial)) as duplicate:
        original.backup(duplicate)
        duplicate.execute("PRAGMA journal_mode = DELETE")  # one file, nothing beside it
        (verdict,) = duplicate.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise sqlite3.DatabaseError(f"{source} is damaged: {verdict}")
    _sync(partial)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _failed(target: Path, reason: str, hint: str) -> CatalogError:
    return CatalogError(f"cannot copy the catalog to {target}: {reason}", hint=hint)
