"""`store.json`, the file in a store that says whose it is: one catalog's. Read and written here, and judged nowhere.

It is made with its content by one request, so that of several clients one makes it. Only a daemon that was
killed in that moment leaves it blank: then nothing was done under it, and it is written over.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from ..errors import NotFound
from ..model import StoreOwner
from ..ports import Storage
from . import layout

SCHEMA = 1
LENGTH = 4096
"""Bytes that it is filled up to, so that another owner can be written over it in one piece."""
LONGEST = 64 * 1024

BLANK = "is blank"


@dataclass(frozen=True, slots=True)
class OwnerFile:
    """What is at the place of a store's `store.json`; without an `owner` it is missing, or has a `problem`."""

    owner: StoreOwner | None = None
    problem: str = ""
    length: int = 0

    @property
    def missing(self) -> bool:
        return self.owner is None and not self.problem

    @property
    def claimable(self) -> bool:
        """Whether no catalog ever owned the store, as far as the file says."""
        return self.missing or self.problem == BLANK


def read(storage: Storage, store: str) -> OwnerFile:
    """Raises `HypervisorError`."""
    try:
        content = storage.read(layout.owner_path(store), 0, LONGEST + 1)
    except NotFound:
        return OwnerFile()
    return decode(content)


def decode(content: bytes) -> OwnerFile:
    """They are untrusted: what is no owner is a problem, and no error."""
    length = len(content)
    if not content.strip(b"\0 \n"):
        return OwnerFile(problem=BLANK, length=length)
    if length > LONGEST:
        return OwnerFile(problem=f"is longer than {LONGEST} bytes", length=length)
    try:
        owner = msgspec.json.decode(content, type=StoreOwner)
    except (msgspec.MsgspecError, UnicodeError, RecursionError, ValueError):
        return OwnerFile(problem="is damaged", length=length)
    if owner.schema != SCHEMA:
        return OwnerFile(problem=f"has schema {owner.schema}, and this snapctl supports {SCHEMA}", length=length)
    return OwnerFile(owner=owner, length=length)


def encode(owner: StoreOwner, at_least: int = 0) -> bytes:
    """JSON to be read by people, too, filled up with blanks."""
    text = msgspec.json.format(msgspec.json.encode(owner), indent=2)
    length = max(at_least, -(-(len(text) + 1) // LENGTH) * LENGTH)
    return text.ljust(length - 1) + b"\n"


def create(storage: Storage, store: str, owner: StoreOwner, found: OwnerFile) -> OwnerFile:
    """Write the owner of a store that has none, unless another client was faster; what is there then.

    Repeating it is harmless.
    """
    storage.make_directory(store)
    if found.missing:
        storage.create_file(layout.owner_path(store), encode(owner))
    else:
        storage.overwrite(layout.owner_path(store), encode(owner, found.length))
    return read(storage, store)


def replace(storage: Storage, store: str, owner: StoreOwner, found: OwnerFile) -> OwnerFile:
    """Write another owner of a store."""
    content = encode(owner, found.length)
    if not found.missing and len(content) == found.length:
        storage.overwrite(layout.owner_path(store), content)
        return read(storage, store)
    storage.make_directory(store)
    storage.write(layout.owner_path(store), content)
    return read(storage, store)
