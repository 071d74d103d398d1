"""A PostgreSQL server of the tests' own, from the machine's programs: on a socket in a temporary directory."""

from __future__ import annotations

import glob
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests import children

PROGRAMS = "/usr/lib/postgresql/*/bin/pg_ctl"
"""Where Debian has them; elsewhere they are on the PATH."""

NOT_ROOT = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups") if os.geteuid() == 0 else ()
"""PostgreSQL refuses to be root."""


def programs() -> Path | None:
    """The directory of `initdb` and `pg_ctl`, the newest version's; None when there are none."""
    found = sorted(glob.glob(PROGRAMS)) or [path for path in [shutil.which("pg_ctl")] if path]
    return Path(found[-1]).parent if found else None


@contextmanager
def server(binaries: Path) -> Iterator[str]:
    """The URL of an empty database, for as long as the context lasts."""
    with tempfile.TemporaryDirectory(prefix="snapctl-postgresql-") as directory:
        if NOT_ROOT:
            shutil.chown(directory, "nobody", "nogroup")
        data = f"{directory}/data"
        _run(binaries / "initdb", "--pgdata", data, "--username=postgres", "--auth=trust", "--no-sync", cwd=directory)
        # Durable it need not be: what is tested is who waits for whom.
        options = f"-k {directory} -c listen_addresses= -c fsync=off"
        control = (binaries / "pg_ctl", "--pgdata", data, "--wait")
        _run(*control, "--log", f"{directory}/log", "--options", options, "start", cwd=directory)
        try:
            yield f"postgresql://postgres@/postgres?host={directory}"
        finally:
            with suppress(AssertionError):
                _run(*control, "--mode=immediate", "stop", cwd=directory)


def _run(*command: str | Path, cwd: str) -> None:
    children.run(*NOT_ROOT, *command, check=True, cwd=cwd)
