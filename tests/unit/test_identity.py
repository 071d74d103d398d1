"""Which of the known hosts a hypervisor is taken for."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

import pytest

from orchestrator.model import Host, KnownHost, StoreOwner
from orchestrator.store.identity import Identity, resolve

A, B, C, UNUSED = "uuid-a", "uuid-b", "uuid-c", "unused"
OWNER = StoreOwner(
    store="store-1",
    catalog="catalog-1",
    where="sqlite:////c",
    user="ann",
    client="desk",
    since="2026-01-01T00:00:00+00:00",
    host=A,
    host_uuid=A,
    host_name="hv1",
)


def host(uuid: str, name: str = "hv1") -> Host:
    return Host(uuid=uuid, name=name, uri="qemu:///system", libvirt_version="9.0.0", qemu_version="7.2.0")


def known(uuid: str = A, name: str = "hv1", reported: str | None = None, **stores: str) -> KnownHost:
    return KnownHost(uuid=uuid, name=name, reported_uuid=reported or uuid, stores=stores)


def resolved(reported: Host, owner: StoreOwner | None, *hosts: KnownHost, files_of: Collection[str] = ()) -> Identity:
    return resolve(reported, owner, hosts, has_files_of=lambda uuid: uuid in files_of, unused=UNUSED)


STORED = known(**{"store-1": "/store"})


@pytest.mark.parametrize(
    ("reported", "owner", "hosts", "files_of", "found"),
    [
        (host(A), OWNER, [STORED], (), Identity(A)),
        (host(B), OWNER, [STORED], (), Identity(A, A)),  # the firmware was updated
        (host(C), OWNER, [replace(STORED, reported_uuid=B)], (), Identity(A, B)),  # and once more
        (host(B, "new"), OWNER, [replace(STORED, reported_uuid=B)], (), Identity(A)),  # renamed since
        (host(B), OWNER, [], (), Identity(A, A)),  # the catalog does not know the store yet
        (host(B, "hv2"), OWNER, [STORED], (), Identity(B)),  # a copy of the store, on another host
        (host(A, "hv2"), None, [STORED], (), Identity(UNUSED)),  # another host with the same UUID
        (host(A), None, [known()], (), Identity(A)),  # a catalog of before
        (host(A, "new"), None, [known()], (A,), Identity(A)),  # that host was renamed
        (host(A, "hv2"), None, [known()], (), Identity(UNUSED)),
        (host(B), None, [known()], (A,), Identity(A, A)),  # its UUID changed before stores had owners
        (host(B), None, [known()], (), Identity(B)),
        (host(C), None, [known(), known(B)], (A, B), Identity(C)),  # it could be either
        (host(C), None, [known(), known(B, "hv2")], (A, B), Identity(A, A)),
        (host(B), None, [known(A, reported=B)], (), Identity(A)),
        (host(A), None, [], (), Identity(A)),
    ],
)
def test_resolve(
    reported: Host, owner: StoreOwner | None, hosts: list[KnownHost], files_of: Any, found: Identity
) -> None:
    assert resolved(reported, owner, *hosts, files_of=files_of) == found
