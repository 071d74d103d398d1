"""Which parts of a file its fingerprint is of, and what it shows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.formats.fingerprint import FIRST, LAST, fingerprint, is_comparable, samples, size_of
from orchestrator.model import is_device, same_device
from tests.unit.file_builders import GIB, MIB

MOST = 4 * MIB
"""What libvirt reads at once."""


@given(st.integers(0, 1 << 45))
def test_samples_are_apart_within_the_file_and_small(size: int) -> None:
    parts = samples(size)
    ends = [0, *(offset + length for offset, length in parts)]
    assert all(offset >= end for (offset, _), end in zip(parts, ends, strict=False))
    assert ends[-1] == size
    assert all(0 < length <= MOST for _, length in parts)
    assert sum(length for _, length in parts) <= 4 * MIB + 65536


@pytest.mark.parametrize("size", [0, 1, 65536, FIRST, FIRST + 1, 4 * MIB])
def test_samples_of_a_small_file_are_all_of_it(size: int) -> None:
    assert sum(length for _, length in samples(size)) == size


def test_samples_of_a_disk_have_its_beginning_its_end_and_some_between() -> None:
    parts = samples(100 * GIB)
    assert parts[0] == (0, FIRST) and parts[-1] == (100 * GIB - LAST, LAST)
    assert len(parts) == 18


def test_fingerprint_tells_size_and_content() -> None:
    one = fingerprint(3, [b"ab", b"c"])
    assert one == fingerprint(3, [b"abc"]) != fingerprint(3, [b"abd"])
    assert one != fingerprint(4, [b"abc"])
    assert size_of(one) == 3 and is_comparable(one)


@pytest.mark.parametrize("text", ["", "2:3:ab", "x"])
def test_fingerprint_of_another_scheme_is_not_compared(text: str) -> None:
    assert not is_comparable(text)


@pytest.mark.parametrize(
    ("path", "plain"),
    [
        ("/dev/mapper/vg-lv", "/dev/vg/lv"),
        ("/dev/mapper/a--b-c--d", "/dev/a-b/c-d"),
        ("/dev/vg/lv", "/dev/vg/lv"),
        ("/dev/mapper/crypt", "/dev/mapper/crypt"),
        ("/dev/mapper/vg-thin_tdata-x", "/dev/mapper/vg-thin_tdata-x"),
        ("/images//a-b.qcow2", "/images/a-b.qcow2"),
    ],
)
def test_same_device_names_a_logical_volume_once(path: str, plain: str) -> None:
    assert same_device(path) == plain


@pytest.mark.parametrize(("path", "yes"), [("/dev/vda", True), ("/dev/shm/a.img", False), ("/device", False)])
def test_is_device_is_a_node_not_a_file(path: str, yes: bool) -> None:
    assert is_device(path) is yes
