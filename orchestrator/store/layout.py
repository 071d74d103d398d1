"""Where in the store snapctl puts a file, and how such a file is recognised again. Pure."""

from __future__ import annotations

from posixpath import join, normpath

from ..units import MIB


def operation_directory(store: str, domain_uuid: str, operation_id: str) -> str:
    """The one directory that holds what an operation creates; files in it never move."""
    return join(store, domain_uuid, operation_id)


def is_made_by(path: object, domain_uuid: str, operation_id: str) -> bool:
    """Whether a path is where that operation would have put a file, in whatever store it was."""
    if not isinstance(path, str) or not path.startswith("/") or normpath(path) != path:
        return False
    return path.split("/")[-3:-1] == [domain_uuid, operation_id]


OVERLAY_SIZE = MIB
"""What a fresh overlay is reckoned to need: an empty qcow2 file takes 192 KiB."""
