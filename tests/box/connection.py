"""Connections to a box, closed when done with, their failures in one line."""

import contextlib
from collections.abc import Iterator
from typing import Any

import libvirt

from tests.box.errors import BoxError

# Without a handler libvirt prints every error that we raise anyway.
libvirt.registerErrorHandler(lambda _context, _error: None, None)


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn what libvirt raises into a BoxError."""
    try:
        yield
    except libvirt.libvirtError as error:
        raise BoxError(f"libvirt: {error.get_error_message()}") from error


@contextlib.contextmanager
def connect(uri: str) -> Iterator[Any]:
    """A ``virConnect`` for the length of a block; what libvirt raises in it becomes a BoxError."""
    with one_line_errors():
        connection = libvirt.open(uri)
        try:
            yield connection
        finally:
            close(connection)


def close(connection: Any) -> None:
    """Close a connection, even a broken one."""
    with contextlib.suppress(libvirt.libvirtError):
        connection.close()
