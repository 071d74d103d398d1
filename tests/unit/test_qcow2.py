"""qcow2 headers: what QEMU writes is understood, what an attacker writes is refused."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orchestrator.formats.qcow2 import HEAD_LENGTH, BadHeader, Header, empty_length, parse_header
from tests import children

MIB = 1024 * 1024
BACKING_FORMAT, FEATURE_NAMES, UNKNOWN = 0xE2792ACA, 0x6803F857, 0x12345678
PLAIN = Header(
    version=3,
    cluster_size=65536,
    virtual_size=64 * MIB,
    backing=None,
    backing_format=None,
    internal_snapshots=0,
    dirty=False,
    corrupt=False,
    external_data=False,
)


def extension(kind: int, content: bytes, length: int | None = None) -> bytes:
    padding = bytes(-len(content) % 8)
    return struct.pack(">II", kind, len(content) if length is None else length) + content + padding


def image(
    *,
    magic: bytes = b"QFI\xfb",
    version: int = 3,
    cluster_bits: int = 16,
    size: int = 64 * MIB,
    encryption: int = 0,
    l1_entries: int = 1,
    snapshots: int = 0,
    incompatible: int = 0,
    compatible: int = 0,
    autoclear: int = 0,
    refcount_order: int = 4,
    header_length: int = 104,
    extensions: bytes = b"",
    backing: bytes = b"",
    backing_offset: int | None = None,
    backing_length: int | None = None,
) -> bytes:
    """The first cluster of an image, as docs/interop/qcow2.rst of QEMU lays it out; a header may claim more."""
    fixed = 72 if version == 2 else header_length
    offset = fixed + len(extensions) + 8 if backing else 0
    head = struct.pack(
        ">4sIQIIQIIQQIIQ",
        *(magic, version, offset if backing_offset is None else backing_offset),
        *(len(backing) if backing_length is None else backing_length, cluster_bits, size),
        *(encryption, l1_entries, 0x30000, 0x10000, 1, snapshots, 0),
    )
    if version != 2:
        head += struct.pack(">QQQII", incompatible, compatible, autoclear, refcount_order, header_length)
    return (head.ljust(min(fixed, 65536), b"\0") + extensions + bytes(8) + backing).ljust(65536, b"\0")


NAMED_QCOW2 = extension(BACKING_FORMAT, b"qcow2")

# --------------------------------------------------------------------------- what is understood


def test_parse_header_plain_image() -> None:
    assert parse_header(image()) == PLAIN


@pytest.mark.parametrize("version", [2, 3])
def test_parse_header_overlay_has_backing_file_and_format(version: int) -> None:
    header = parse_header(image(version=version, extensions=NAMED_QCOW2, backing=b"/images/b\xc3\xa4se.qcow2"))

    assert (header.version, header.backing, header.backing_format) == (version, "/images/bäse.qcow2", "qcow2")


def test_parse_header_reads_each_incompatible_feature() -> None:
    marks = [(header.dirty, header.corrupt, header.external_data) for header in (
        parse_header(image(incompatible=1 << bit)) for bit in range(5)
    )]  # fmt: skip

    assert marks == [(True, False, False), (False, True, False), (False, False, True), *[(False, False, False)] * 2]


def test_a_backing_file_may_be_named_without_its_format() -> None:
    header = parse_header(image(backing=b"base"))

    assert (header.backing, header.backing_format) == ("base", None)


def test_internal_snapshots_are_counted() -> None:
    assert parse_header(image(snapshots=3)).internal_snapshots == 3


def test_features_that_a_reader_may_ignore_are_ignored() -> None:
    assert parse_header(image(compatible=1 << 63, autoclear=1 << 63)) == PLAIN


def test_extensions_that_a_reader_may_ignore_are_ignored() -> None:
    extensions = extension(FEATURE_NAMES, b"x" * 48 * 8) + extension(UNKNOWN, b"odd") + NAMED_QCOW2

    assert parse_header(image(extensions=extensions, backing=b"base")).backing_format == "qcow2"


def test_a_longer_header_than_ours_is_skipped() -> None:
    assert parse_header(image(header_length=112, extensions=NAMED_QCOW2)).backing_format == "qcow2"


def test_parse_header_backing_name_right_after_extensions() -> None:
    """Without the mark at their end; the name ends them."""
    whole = image(extensions=NAMED_QCOW2, backing=b"base")
    without_mark = whole[:120] + b"base" + whole[132:]
    closer = without_mark[:8] + struct.pack(">Q", 120) + without_mark[16:]

    assert parse_header(closer).backing == "base"


def test_the_rest_of_the_file_is_not_needed() -> None:
    content = image(extensions=NAMED_QCOW2, backing=b"base")

    assert parse_header(content[: 104 + 16 + 8 + 4]) == parse_header(content)


CREATED: dict[str, tuple[list[str], dict[str, object]]] = {
    "as it is": ([], {}),
    "version 2": (["-o", "compat=0.10"], {"version": 2}),
    "smallest clusters": (["-o", "cluster_size=512"], {"cluster_size": 512}),
    "largest clusters": (["-o", "cluster_size=2M"], {"cluster_size": 2 * MIB}),
    "extended L2, zstd": (["-o", "extended_l2=on,compression_type=zstd"], {}),
    "lazy refcounts": (["-o", "lazy_refcounts=on,refcount_bits=64"], {}),
    "overlay": (["-F", "raw", "-b", "base.raw"], {"backing": "base.raw", "backing_format": "raw"}),
    "odd backing": (["-u", "-F", "raw", "-b", "json:{}"], {"backing": "json:{}", "backing_format": "raw"}),
    "external data": (["-o", "data_file=data,data_file_raw=on"], {"external_data": True}),
}


@pytest.mark.parametrize(("options", "expected"), CREATED.values(), ids=CREATED)
def test_parse_header_of_qemu_img_output(tmp_path: Path, options: list[str], expected: dict[str, object]) -> None:
    (tmp_path / "base.raw").write_bytes(bytes(MIB))
    children.run("qemu-img", "create", "-q", "-f", "qcow2", *options, "new.qcow2", "64M", check=True, cwd=tmp_path)
    with (tmp_path / "new.qcow2").open("rb") as file:
        header = parse_header(file.read(HEAD_LENGTH))

    assert {name: getattr(header, name) for name in Header.__slots__} == {
        **{name: getattr(PLAIN, name) for name in Header.__slots__},
        **expected,
    }


@pytest.mark.parametrize("capacity", [MIB, 512 * MIB, 513 * MIB, 10 << 30, 5 << 40])
def test_empty_length_is_that_of_qemu_img_output(tmp_path: Path, capacity: int) -> None:
    children.run("qemu-img", "create", "-q", "-f", "qcow2", "new.qcow2", str(capacity), check=True, cwd=tmp_path)

    assert empty_length(capacity) == (tmp_path / "new.qcow2").stat().st_size


# --------------------------------------------------------------------------- what is refused

REFUSED: dict[str, tuple[bytes, str]] = {
    "an empty file": (b"", "does not begin as a qcow2 image"),
    "a raw disk": (bytes(HEAD_LENGTH), "does not begin as a qcow2 image"),
    "cut within version 2": (image()[:71], "is cut off after 71 bytes"),
    "cut within version 3": (image()[:103], "is cut off after 103 bytes"),
    "version 1": (image(version=1), "has qcow2 version 1, not 2 or 3"),
    "version 4": (image(version=4), "has qcow2 version 4, not 2 or 3"),
    "clusters of 256 bytes": (image(cluster_bits=8), "has clusters of 2^8 bytes"),
    "clusters of 4 MiB": (image(cluster_bits=22), "has clusters of 2^22 bytes"),
    "absurd clusters": (image(cluster_bits=2**32 - 1), "has clusters of 2^4294967295 bytes"),
    "an unknown feature": (image(incompatible=1 << 5), "needs unknown features (0x20)"),
    "wide reference counts": (image(refcount_order=7), "has reference counts of 2^7 bits"),
    "unknown encryption": (image(encryption=3), "has the unknown encryption 3"),
    "a short header": (image(header_length=96), "claims a header of 96 bytes"),
    "a crooked header": (image(header_length=105), "claims a header of 105 bytes"),
    "an endless header": (image()[:100] + b"\xff\xff\xff\xf8" + image()[104:], "claims a header of 4294967288 bytes"),
    "8 EiB": (image(size=2**63), f"claims {2**63} bytes, which its tables cannot hold"),
    "a huge table": (image(l1_entries=2**32 - 1), f"claims {64 * MIB} bytes, which its tables cannot hold"),
    "a byte too many": (image(size=512 * MIB + 1), f"claims {512 * MIB + 1} bytes, which its tables cannot hold"),
    "a byte too many with extended L2": (
        image(size=256 * MIB + 1, incompatible=1 << 4),
        f"claims {256 * MIB + 1} bytes, which its tables cannot hold",
    ),
    "a name within the header": (image(backing=b"base", backing_offset=64), "has no proper place for the name"),
    "a name of no length": (image(backing=b"base", backing_length=0), "has no proper place for the name"),
    "a name of 1024 bytes": (image(backing=b"b" * 1024), "has no proper place for the name"),
    "a name at the end of the world": (
        image(backing=b"base", backing_offset=2**64 - 1),
        "has the name of its backing file beyond its beginning",
    ),
    "a name across the cluster's end": (
        image(backing=b"base", backing_offset=65533),
        "has the name of its backing file beyond its beginning",
    ),
    "a name that is no text": (image(backing=b"\xff"), "has the unreadable backing file name b'\\xff'"),
    "a name with an end in it": (image(backing=b"a\0b"), "has the unreadable backing file name b'a\\x00b'"),
    "an extension without an end": (
        image(extensions=extension(UNKNOWN, b"", 2**32 - 1)),
        "has a header extension that does not end",
    ),
    "an extension over the name": (
        image(extensions=extension(UNKNOWN, b"", 64), backing=b"base"),
        "has a header extension that does not end",
    ),
    "extensions without an end": (
        image(cluster_bits=21, extensions=extension(UNKNOWN, b"") * 9000),
        "has header extensions beyond its beginning",
    ),
    "two formats": (image(extensions=NAMED_QCOW2 * 2), "has no proper name for the format"),
    "a long format": (image(extensions=extension(BACKING_FORMAT, b"x" * 16)), "has no proper name for the format"),
    "no format": (image(extensions=extension(BACKING_FORMAT, b"")), "has the unreadable backing format name b''"),
}


@pytest.mark.parametrize(("content", "problem"), REFUSED.values(), ids=REFUSED)
def test_parse_header_unsafe_header_is_refused(content: bytes, problem: str) -> None:
    with pytest.raises(BadHeader) as refused:
        parse_header(content[:HEAD_LENGTH])

    assert str(refused.value).startswith(problem)


OVERLAY = image(extensions=extension(FEATURE_NAMES, b"x" * 96) + NAMED_QCOW2, backing=b"/images/base.qcow2")


@given(st.binary(max_size=512))
@example(b"QFI\xfb")
def test_parse_header_random_bytes_give_header_or_bad_header(content: bytes) -> None:
    """A header or `BadHeader`, and nothing else; at once."""
    for given_ in (content, image()[:104] + content, b"QFI\xfb\0\0\0\3" + content):
        try:
            parse_header(given_)
        except BadHeader as refused:
            assert len(str(refused)) < 4200


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 255)), max_size=8), st.integers(0, 400))
def test_wherever_an_image_is_hit_there_is_an_answer(hits: list[tuple[int, int]], length: int) -> None:
    content = bytearray(OVERLAY)
    for at, value in hits:
        content[at] = value
    for given_ in (bytes(content), bytes(content[:length])):
        try:
            header = parse_header(given_)
        except BadHeader:
            continue
        assert header.backing is None or 0 < len(header.backing.encode()) <= 1023
