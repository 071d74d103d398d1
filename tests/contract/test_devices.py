"""Block devices of a real hypervisor: each is read by itself, through a domain that never starts."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from orchestrator.errors import NotFound
from orchestrator.formats.fingerprint import fingerprint, samples
from orchestrator.hypervisor import LibvirtHypervisor, connect
from orchestrator.ports import silent
from tests.box.box import Box
from tests.waiting import PATIENCE

from .test_libvirt_only import hypervisor, other, pools

pytestmark = pytest.mark.system

__all__ = ["hypervisor", "other"]


@pytest.fixture
def device(box: Box) -> Iterator[str]:
    """A loop device of 5 MiB and 512 bytes."""
    make = "f=$(mktemp); truncate -s 5243392 $f; printf begin | dd of=$f conv=notrunc status=none; losetup -f --show $f"
    name = box.run_inside("sh", "-ec", make).stdout.strip()
    yield name
    box.run_inside("losetup", "--detach", name)


def test_device_is_read_and_no_other_node_is_opened(hypervisor: LibvirtHypervisor, other: Any, device: str) -> None:
    storage, before = hypervisor.storage, pools(other)
    size, content = 5243392, b"begin".ljust(5243392, b"\0")
    info = storage.stat(device)
    assert info is not None and (info.physical, info.capacity) == (size, size)
    assert storage.stat_all([device, "/dev/loop999"]) == {device: info, "/dev/loop999": None}
    assert storage.read(device, 3, 4) == b"in\0\0"
    assert storage.read(device, size - 2, 100) == b"\0\0"
    assert storage.sha256(device, silent) == hashlib.sha256(content).hexdigest()
    parts = (content[offset : offset + length] for offset, length in samples(size))
    assert storage.fingerprints([device, "/dev/loop999"]) == {device: fingerprint(size, parts), "/dev/loop999": None}
    assert pools(other) == before
    assert not [each for each in other.listAllDomains() if each.name().startswith("snapctl-peek-")]


def test_device_missing_is_not_found(hypervisor: LibvirtHypervisor) -> None:
    with pytest.raises(NotFound, match="/dev/loop999"):
        hypervisor.storage.read("/dev/loop999", 0, 1)
    with pytest.raises(NotFound, match="/dev/loop999"):
        hypervisor.storage.sha256("/dev/loop999", silent)


def test_device_peeking_domain_left_by_a_killed_client_goes_with_the_next(
    box: Box, hypervisor: LibvirtHypervisor, other: Any, device: str
) -> None:
    hypervisor.storage.stat(device)
    with hypervisor.storage._peeking._defined([device]):
        (left,) = [each for each in other.listAllDomains() if each.name().startswith("snapctl-peek-")]
        xml = left.XMLDesc()
    other.defineXML(xml)
    other.defineXML(xml.replace("snapctl-peek-", "peek-").replace(left.UUIDString(), str(uuid4())))
    with contextlib.closing(connect(box.uri)) as another:
        assert another.storage.stat(device) is not None
    (kept,) = [each for each in other.listAllDomains() if each.name().startswith("peek-")]
    kept.undefine()
    assert not [each for each in other.listAllDomains() if each.name().startswith("snapctl-peek-")]


def test_device_read_by_several_clients_at_once(box: Box, device: str) -> None:
    answers: list[object] = []

    def read() -> None:
        mine = connect(box.uri)
        try:
            answers.extend(mine.storage.fingerprints([device])[device] for _ in range(20))
        finally:
            mine.close()

    readers = [threading.Thread(target=read, daemon=True) for _ in range(3)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join(PATIENCE)
    assert len(answers) == 60 and len(set(answers)) == 1
