"""What is slow to get or make, and the same for every box, kept in the user's cache directory."""

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.box.errors import BoxError
from tests.waiting import wait_until

LOCK_TIMEOUT = 100.0


def directory() -> Path:
    """The cache directory, made if need be.

    An account without a usable home (such as nobody) gets one among the temporary files.
    """
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    for candidate in (
        Path(base, "snapctl-box"),
        Path(tempfile.gettempdir(), f"snapctl-box-cache-{os.getuid()}"),
    ):
        with contextlib.suppress(OSError):
            candidate.mkdir(parents=True, exist_ok=True, mode=0o700)
            if os.access(candidate, os.W_OK) and candidate.stat().st_uid == os.getuid():
                return candidate
    raise BoxError(f"no directory to keep the witness's kernel in; set XDG_CACHE_HOME (tried {base})")


def get(name: str, make: Callable[[Path], None]) -> Path:
    """The cached file `name`; if there is none, `make` writes one.

    It is published whole: two processes may both make it, neither sees a part of it.
    """
    path = directory() / name
    if not path.exists():
        with tempfile.TemporaryDirectory(dir=path.parent) as workshop:
            unfinished = Path(workshop, name)
            make(unfinished)
            unfinished.rename(path)
    return path


def try_lock(handle: int) -> bool:
    """Whether the file or directory that is open as `handle` could be locked; the lock goes when that is closed."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def lock() -> Iterator[None]:
    """Let one process of this user at a time fill the cache or a box's boot volumes."""
    with (directory() / "lock").open("w") as handle:
        wait_until(lambda: try_lock(handle.fileno()), LOCK_TIMEOUT, what="the end of another process's lock")
        yield
