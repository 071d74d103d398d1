"""Everything that snapctl might change, read before and after: an operation that was refused changed nothing.

Read without snapctl: domains and pools by libvirt itself, files from inside the box, rows by sqlite3.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import libvirt

from tests.box.box import Box
from tests.box.connection import connect

from .client import Client

LIBVIRT_FILES = "/var/lib/libvirt"
"""Images, snapctl's store among them, and what libvirt itself keeps of its guests."""


@dataclass(frozen=True)
class HostState:
    """Compares equal to another one if nothing was changed in between."""

    domains: dict[str, tuple[Any, ...]]  # state, run id, live XML, persistent XML
    pools: dict[str, tuple[bool, bool]]  # active, persistent
    files: dict[str, str]  # mode, owner, length and time of last change
    rows: dict[str, list[tuple[Any, ...]]]  # of each table of the catalog


def observe(box: Box, client: Client, *directories: str) -> HostState:
    """The state now; `directories` of the box are looked at beside libvirt's own."""
    with connect(box.uri) as connection:
        domains = {each.name(): _domain(each) for each in connection.listAllDomains()}
        pools = {each.name(): (bool(each.isActive()), bool(each.isPersistent())) for each in _pools(connection)}
    return HostState(domains, pools, files(box, LIBVIRT_FILES, *directories), rows(client.catalog))


@contextlib.contextmanager
def unchanged(box: Box, client: Client, *directories: str) -> Iterator[None]:
    """What is done in this block changes nothing."""
    before = observe(box, client, *directories)
    yield
    after = observe(box, client, *directories)
    assert after == before


def files(box: Box, *directories: str) -> dict[str, str]:
    """Mode, owner, length and time of last change of each file and directory below, by path."""
    listing = box.run_inside("find", *directories, "-printf", "%p\\t%M %u %s %T@\\n").stdout
    return dict(line.split("\t") for line in listing.splitlines())


def rows(catalog: Path) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables; none if there is no catalog yet."""
    if not catalog.exists():
        return {}
    with contextlib.closing(sqlite3.connect(f"file:{catalog}?mode=rw", uri=True)) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        return {name: sorted(database.execute(f'SELECT * FROM "{name}"'), key=repr) for name in tables}  # noqa: S608


def _domain(domain: Any) -> tuple[Any, ...]:
    inactive = libvirt.VIR_DOMAIN_XML_INACTIVE
    persistent_xml = domain.XMLDesc(inactive) if domain.isPersistent() else None
    return tuple(domain.state()), domain.ID(), domain.XMLDesc(0), persistent_xml


def _pools(connection: Any) -> list[Any]:
    pools: list[Any] = connection.listAllStoragePools()
    return pools
