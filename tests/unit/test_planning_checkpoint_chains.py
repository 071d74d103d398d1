"""A checkpoint of a chain that no rollback would accept is refused before it is made."""

from __future__ import annotations

import pytest

from orchestrator.errors import Refused
from orchestrator.model import Source
from orchestrator.operations.checkpoint.plan import plan_checkpoint
from tests.twin import qcow2
from tests.unit.builders import BASE, checkpoint_facts, checkpoint_request, disk, domain
from tests.unit.file_builders import GIB

TOP = "/images/top.qcow2"
ON_BASE = (Source(path=BASE, format="qcow2"),)


def plan(heads: dict[str, bytes], backing: tuple[Source, ...] = ON_BASE) -> None:
    guest = domain(disk("vda", TOP, backing=backing))
    plan_checkpoint(checkpoint_request(), checkpoint_facts(domain=guest, head=None, heads=heads))


def top(backing: str | None = BASE, backing_format: str | None = "qcow2") -> bytes:
    return qcow2.head(20 * GIB, backing, backing_format)


def marked(bit: int) -> bytes:
    head = bytearray(top())
    head[79] = 1 << bit
    return bytes(head)


@pytest.mark.parametrize(
    ("heads", "backing"),
    [
        ({}, ON_BASE),
        ({TOP: top(), BASE: top(None)}, ON_BASE),
        ({TOP: top(None)}, ()),
        ({TOP: top("/images/data.raw", None)}, (Source(path="/images/data.raw", format="raw"),)),
        ({TOP: top("/dev/vg/data", "raw")}, (Source(path="/dev/vg/data", format="raw"),)),
    ],
)
def test_a_chain_that_is_what_its_headers_say_is_fine(heads: dict[str, bytes], backing: tuple[Source, ...]) -> None:
    plan(heads, backing)


@pytest.mark.parametrize(
    ("heads", "backing", "problem"),
    [
        ({TOP: marked(1)}, ON_BASE, f"is backed by {TOP}, which is marked corrupt by QEMU"),
        (
            {TOP: marked(2)},
            ON_BASE,
            f"is backed by {TOP}, which keeps its data in another file (data_file), which snapctl cannot check",
        ),
        ({BASE: bytes(104)}, ON_BASE, f"is backed by {BASE}, which does not begin as a qcow2 image"),
        (
            {TOP: top("/else")},
            ON_BASE,
            f"is backed by {TOP}, which has the backing file /else in its header, not {BASE}",
        ),
        ({TOP: top()}, (), f"is backed by {TOP}, which has the backing file {BASE} in its header, not none"),
        ({TOP: top(None)}, ON_BASE, f"is backed by {TOP}, which has the backing file none in its header, not {BASE}"),
        (
            {TOP: top(BASE, "raw")},
            ON_BASE,
            f"is backed by {TOP}, which has a backing file of format raw in its header, not qcow2",
        ),
        (
            {},
            (Source(path="network:nbd:export", format="raw"),),
            "is backed by network:nbd:export, neither file nor block device",
        ),
    ],
)
def test_a_chain_that_a_rollback_would_refuse_is_refused(
    heads: dict[str, bytes], backing: tuple[Source, ...], problem: str
) -> None:
    """What its headers say is what libvirt goes by when it restores the memory on an overlay of it."""
    with pytest.raises(Refused) as refused:
        plan(heads, backing)

    assert refused.value.problem == f"disk vda of web01 {problem}"
