"""The header of a memory image. Layout: libvirt `qemu_saveimage.h`, struct _virQEMUSaveHeader."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orchestrator.formats.saveimage import (
    COMPRESSIONS,
    HEADER_LENGTH,
    LONGEST_DATA,
    PARTIAL,
    VERSION,
    WHOLE,
    BadHeader,
    Header,
    domain_xml,
    is_whole,
    parse_header,
)
from tests.unit.file_builders import header_bytes

REAL = bytes.fromhex(
    "4c696276697274 51656d75 6453617665"  # LibvirtQemudSave
    "02000000 71160100 01000000 00000000 36160000" + "00000000" * 14
)
"""Laid out by hand as x86-64 does: a guest that ran, raw, XML and cookie of 0x1671 bytes, 64 KiB of padding."""


def test_a_header_is_read() -> None:
    assert len(REAL) == HEADER_LENGTH == 92
    assert parse_header(REAL) == Header(
        whole=True,
        version=2,
        data_length=0x1671 + 64 * 1024,
        was_running=True,
        compression="raw",
        cookie_offset=0x1636,
    )


@pytest.mark.parametrize("order", ["<", ">"], ids=["little-endian", "big-endian"])
@pytest.mark.parametrize("compression", range(len(COMPRESSIONS)), ids=COMPRESSIONS)
@pytest.mark.parametrize("was_running", [0, 1], ids=["paused", "running"])
def test_either_byte_order_reads_the_same(order: str, compression: int, was_running: int) -> None:
    header = parse_header(header_bytes(order=order, compression=compression, was_running=was_running))

    assert header == Header(
        whole=True,
        version=2,
        data_length=70_000,
        was_running=bool(was_running),
        compression=COMPRESSIONS[compression],
        cookie_offset=4_000,
    )


def test_parse_header_ignores_what_follows() -> None:
    assert parse_header(REAL + b"<domain/>\0QEVM") == parse_header(REAL)


def test_an_image_that_libvirt_did_not_finish_is_not_whole() -> None:
    partial = header_bytes(magic=PARTIAL)

    assert not parse_header(partial).whole
    assert not is_whole(partial)
    assert is_whole(header_bytes(magic=WHOLE))


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "is cut off after 0 bytes"),
        (REAL[:-1], "is cut off after 91 bytes"),
        (b"QFI\xfb".ljust(92, b"\0"), "does not begin as a libvirt save image"),
        (REAL.replace(b"Save", b"SavE"), "does not begin as a libvirt save image"),
        (header_bytes(version=0), "has header version 0, not 2"),
        (header_bytes(version=1), "has header version 1, not 2"),
        (header_bytes(version=3), "has header version 50331648, not 2"),
        (header_bytes(version=3, order=">"), "has header version 3, not 2"),
        (header_bytes(compression=7), "has the unknown format 7"),
        (header_bytes(data_length=0, cookie_offset=0), "claims 0 bytes of XML"),
        (header_bytes(data_length=LONGEST_DATA + 1), "claims 16777217 bytes of XML"),
        (header_bytes(data_length=4_000, cookie_offset=4_000), "has its cookie outside its data"),
        (header_bytes(was_running=2), "has the unknown run state 2"),
    ],
)
def test_a_bad_header_is_refused_with_its_reason(data: bytes, problem: str) -> None:
    with pytest.raises(BadHeader) as refused:
        parse_header(data)

    assert str(refused.value) == problem
    assert not is_whole(data)


def test_an_image_without_a_cookie_is_read() -> None:
    assert parse_header(header_bytes(cookie_offset=0)).cookie_offset == 0


def test_the_longest_data_area_is_read() -> None:
    assert parse_header(header_bytes(data_length=LONGEST_DATA)).data_length == LONGEST_DATA


def _is_vouched_for(header: Header) -> bool:
    return (
        header.version == VERSION
        and 0 < header.data_length <= LONGEST_DATA
        and header.cookie_offset < header.data_length
        and header.compression in COMPRESSIONS
    )


@given(st.binary(max_size=200))
@example(WHOLE.ljust(92, b"\xff"))
def test_arbitrary_bytes_raise_nothing_but_bad_header(data: bytes) -> None:
    try:
        header = parse_header(data)
    except BadHeader:
        assert not is_whole(data)
    else:
        assert _is_vouched_for(header)


u32 = st.one_of(st.integers(0, 8), st.integers(0, 2**32 - 1))


@given(
    fields=st.fixed_dictionaries(
        {
            "magic": st.sampled_from([WHOLE, PARTIAL]),
            "version": u32,
            "data_length": u32,
            "was_running": u32,
            "compression": u32,
            "cookie_offset": u32,
            "order": st.sampled_from("<>"),
        }
    )
)
def test_arbitrary_fields_are_refused_or_vouched_for(fields: dict[str, Any]) -> None:
    try:
        header = parse_header(header_bytes(**fields))
    except BadHeader:
        return
    assert _is_vouched_for(header)
    assert header.whole == (fields["magic"] == WHOLE)
    assert header.data_length == fields["data_length"]  # and so in the right byte order


@given(position=st.integers(0, 8 * 36 - 1))
def test_a_flipped_bit_is_refused_or_seen(position: int) -> None:
    """No bit of the fields is ignored: each one changes what is read, or has it refused."""
    flipped = bytearray(REAL)
    flipped[position // 8] ^= 1 << position % 8
    try:
        header = parse_header(bytes(flipped))
    except BadHeader:
        return
    assert header != parse_header(REAL)


# --------------------------------------------------------------------------- the XML


def test_the_xml_ends_where_its_padding_begins() -> None:
    cookie = b"<cookie/>\0"
    assert domain_xml(REAL + "<domain name='ä'/>".encode() + b"\0" + cookie + bytes(100)) == "<domain name='ä'/>"


def test_domain_xml_cut_off_is_none() -> None:
    assert domain_xml(REAL) is None
    assert domain_xml(REAL + b"<domain>") is None


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (REAL[:91], "is cut off after 91 bytes"),
        (header_bytes(data_length=5_000) + b"x" * 5_000, "has XML without an end"),
        (header_bytes(data_length=5_000) + b"x" * 5_000 + b"\0", "has XML without an end"),
        (REAL + b"\xff\0", "has XML that is no text"),
    ],
)
def test_an_image_without_xml_is_refused(data: bytes, problem: str) -> None:
    with pytest.raises(BadHeader) as refused:
        domain_xml(data)

    assert str(refused.value) == problem


@given(st.binary(max_size=200))
def test_arbitrary_bytes_for_xml_raise_nothing_but_bad_header(data: bytes) -> None:
    for content in (data, REAL + data, header_bytes(data_length=100, cookie_offset=0) + data):
        try:
            xml = domain_xml(content)
        except BadHeader:
            continue
        assert xml is None or "\0" not in xml
