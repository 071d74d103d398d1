"""Where in the store snapctl puts a file, and how such a file is recognised again. Pure.

    <store>/store.json                        whose the store is
    <store>/<domain UUID>/<operation id>/     all that one operation makes for one domain
        manifest.json                         what the directory says of itself
        memory.save                           a memory image
        renamed.save                          a copy of one, while a rollback lasts
        <target>.qcow2                        a new overlay of that disk
        <name>.sidecar                        what else a checkpoint keeps of its guest

Nothing in the store ever moves, and no name in it recurs.
"""

from __future__ import annotations

from posixpath import basename, dirname, join, normpath
from uuid import UUID

from ..units import MIB

MANIFEST = "manifest.json"
OWNER = "store.json"
MEMORY = "memory.save"
"""AppArmor and people go by suffixes."""
RENAMED_MEMORY = "renamed.save"
"""A copy for one restore, under the name that a domain has by then: no checkpoint has it."""

OVERLAY_SIZE = MIB
"""What a fresh overlay is reckoned to need: an empty qcow2 file takes 192 KiB."""


# --------------------------------------------------------------------------- where things go


def owner_path(store: str) -> str:
    return join(store, OWNER)


def domain_directory(store: str, domain_uuid: str) -> str:
    """What holds the directories of all operations on a domain."""
    return join(store, domain_uuid)


def operation_directory(store: str, domain_uuid: str, operation_id: str) -> str:
    """The one directory that holds what an operation creates; files in it never move."""
    return join(domain_directory(store, domain_uuid), operation_id)


def manifest_path(directory: str) -> str:
    return join(directory, MANIFEST)


def memory_path(directory: str) -> str:
    return join(directory, MEMORY)


def renamed_memory_path(directory: str) -> str:
    return join(directory, RENAMED_MEMORY)


def overlay_path(directory: str, target: str) -> str:
    return join(directory, f"{target}.qcow2")


def sidecar_path(directory: str, name: str) -> str:
    return join(directory, f"{name}.sidecar")


# --------------------------------------------------------------------------- and how they are recognised


def directory_of(path: str) -> str:
    """The directory of the operation that made a file."""
    return dirname(path)


def store_of(directory: str) -> str:
    """The store that an operation's directory is in."""
    return dirname(dirname(directory))


def domain_of_place(directory: str) -> str:
    """The UUID of the domain that has that directory right in the store."""
    return basename(directory)


def domain_of(directory: str) -> str:
    """The UUID of the domain whose operation has that directory."""
    return basename(dirname(directory))


def operation_of(directory: str) -> str:
    """The id of the operation that has that directory."""
    return basename(directory)


def is_plain(path: str) -> bool:
    """Whether a path is absolute and the only spelling of itself."""
    return path.startswith("/") and "/" + normpath(path).lstrip("/") == path


def is_made_by(path: object, domain_uuid: str, operation_id: str) -> bool:
    """Whether a path is where that operation would have put a file, in any store."""
    if not isinstance(path, str) or not is_plain(path):
        return False
    return path.split("/")[-3:-1] == [domain_uuid, operation_id]


def is_owner_file(path: str) -> bool:
    """Whether it is the file that says whose a store is, or what a client that was killed left of making one."""
    return basename(path).startswith(OWNER)


def is_in_a_store(path: str) -> bool:
    """Whether a path is where some operation would have put a file, in some store."""
    return is_plain(path) and len(path.split("/")) > 3 and all(map(_is_uuid, path.split("/")[-3:-1]))


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


def is_directory_of(path: object, domain_uuid: str, operation_id: str) -> bool:
    """Whether a path is where that operation would have made its directory."""
    return isinstance(path, str) and is_plain(path) and is_made_by(manifest_path(path), domain_uuid, operation_id)
