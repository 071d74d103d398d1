"""What a catalog is kept in, for doctor to judge."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path, PurePath

from sqlalchemy import text

from ..errors import CatalogError
from ..model import CatalogHealth
from .database import Database

MOUNTS = Path("/proc/self/mountinfo")


def of(database: Database) -> CatalogHealth:
    """Raises `CatalogError` when it cannot be read."""
    if database.imagined:
        return CatalogHealth(where=str(database), exists=False)
    if database.file is None:
        return CatalogHealth(where=str(database))
    with database.read() as session:
        verdict = str(session.scalar(text("PRAGMA quick_check(1)")))
    try:
        return CatalogHealth(
            where=str(database),
            mode=database.file.stat().st_mode & 0o7777,
            file_system=file_system(database.file.resolve(), MOUNTS.read_text().splitlines()),
            damage=None if verdict == "ok" else verdict,
        )
    except OSError as error:
        raise CatalogError(f"the catalog {database} cannot be examined: {error.strerror}") from error


def file_system(path: PurePath, mounts: Iterable[str]) -> str | None:
    """The type of the file system that `path` is on; `mounts` are the lines of /proc/self/mountinfo (proc(5))."""
    found, depth = None, 0
    for line in mounts:
        before, _, after = line.partition(" - ")
        point = PurePath(re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), before.split()[4]))
        if path.is_relative_to(point) and len(point.parts) >= depth:  # of two on one point the later one shows
            found, depth = after.split()[0], len(point.parts)
    return found
