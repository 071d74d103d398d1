"""verify --deep, against reading the same bytes with no more than vol.download."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from posixpath import dirname
from typing import Any
from uuid import uuid4

import libvirt

from orchestrator import Coordinator
from tests.box.connection import connect
from tests.checkpoints import memory_of
from tools.bench import snapctl
from tools.bench.aims import MB, at_most_times
from tools.bench.groups import Group
from tools.bench.guests import Site
from tools.bench.rounds import Competitor, timed

PIECE = 262120  # what one message of libvirt's protocol holds
CHECKPOINT = "clean"
PLAIN, HASHED, IN_PROCESS = "vol.download alone", "vol.download and SHA-256", "snapctl verify --deep, in-process"


@contextmanager
def competitors(site: Site) -> Iterator[list[Competitor]]:
    """All read the files of one checkpoint: its memory image, its layers and the bases below them."""
    with ExitStack() as stack:
        guest = stack.enter_context(site.guest("verified"))
        library = stack.enter_context(snapctl.library(site.uri, site.catalog(guest.name)))
        library.checkpoint(guest.name, CHECKPOINT)
        read_bytes = library.verify(deep=True).read_bytes
        volumes = _volumes(stack.enter_context(connect(site.uri)), _files(library, guest.name), stack)
        lengths = [_read(volumes, lambda piece: None), _read(volumes, hashlib.sha256().update)]
        if lengths != [read_bytes] * 2:
            raise AssertionError(f"verify reads {read_bytes} bytes, and by hand it is {lengths}")
        print(f"  {read_bytes / MB:.0f} MB in {len(volumes)} files")
        yield [
            Competitor(PLAIN, lambda: timed(lambda: _run(volumes, lambda piece: None))),
            Competitor(HASHED, lambda: timed(lambda: _run(volumes, hashlib.sha256().update))),
            Competitor(IN_PROCESS, lambda: timed(lambda: _verify(library))),
        ]


def _files(library: Coordinator, domain: str) -> list[str]:
    checkpoint = library.show(domain, CHECKPOINT).checkpoint
    return [memory_of(checkpoint).path, *(layer.path for layer in checkpoint.layers.values())]


def _volumes(connection: Any, paths: Sequence[str], stack: ExitStack) -> list[Any]:
    """Looked up before, with a pool on each directory: what is measured is reading."""
    pools: dict[str, Any] = {}
    for directory in {dirname(path) for path in paths}:
        xml = f"<pool type='dir'><name>{uuid4()}</name><target><path>{directory}</path></target></pool>"
        try:
            pools[directory] = connection.storagePoolCreateXML(xml)
        except libvirt.libvirtError:  # the box's own pool is there
            pools[directory] = next(pool for pool in connection.listAllStoragePools() if directory in pool.XMLDesc())
        else:
            stack.callback(pools[directory].destroy)
    return [connection.storageVolLookupByPath(path) for path in paths]


def _run(volumes: Sequence[Any], take: Callable[[bytes], None]) -> None:
    _read(volumes, take)


def _read(volumes: Sequence[Any], take: Callable[[bytes], None]) -> int:
    length = 0
    for volume in volumes:
        stream = volume.connect().newStream(0)
        volume.download(stream, 0, 0, 0)
        while piece := stream.recv(PIECE):
            take(piece)
            length += len(piece)
        stream.finish()
    return length


def _verify(library: Coordinator) -> None:
    (verdict,) = library.verify(deep=True).checkpoints
    if verdict.findings:
        raise AssertionError(f"nothing is damaged here: {verdict.findings}")


GROUP = Group(
    title="verify",
    reference=PLAIN,
    competitors=competitors,
    aims=(at_most_times(IN_PROCESS, HASHED, 1.25),),
)
