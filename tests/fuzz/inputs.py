"""What the parsers are fed: anything at all, good samples that were damaged, and things of the right shape."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

MOST_DAMAGE = 6
LONGEST_PIECE = 64

TROUBLE = (
    *(b"\0", b"\0" * 8, b"\xff" * 4, b"\xff" * 8, b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\0\0\0\1"),
    *(b"<", b">", b"/>", b"]]>", b"<![CDATA[", b"<!--", b"<?x ?>", b"&amp;", b"&x;", b"&#0;", b"&#xFFFFFFFF;"),
    *(b"<!DOCTYPE domain [<!ENTITY x 'y'>]>", b"'", b'"', b"{", b"}", b"[", b"[[", b"]", b",", b":", b"=", b"\\u0000"),
    *(b"-1", b"1e999", b"NaN", b"9" * 40, b"0x10", b"null", b"true", b"../", b"//", b"\n", b"\r", b"\t", b"\xc3"),
    *("é\u202e\u2028\ufeff".encode(), b"\xed\xa0\x80", b"\xff\xfe"),
)
"""Bytes that parsers stumble over."""


class Damage(Enum):
    SET, FLIP, CUT, DROP, INSERT, COPY = range(6)


@st.composite
def damaged(draw: DrawFn, samples: Sequence[bytes]) -> bytes:
    """A sample after some blows."""
    content = bytearray(draw(st.sampled_from(samples)))
    for _ in range(draw(st.integers(1, MOST_DAMAGE))):
        at = draw(st.integers(0, max(len(content) - 1, 0)))
        piece = slice(at, at + draw(st.integers(1, LONGEST_PIECE)))
        match draw(st.sampled_from(Damage)):
            case Damage.SET:
                content[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
            case Damage.FLIP:
                content[at : at + 1] = bytes(byte ^ 1 << draw(st.integers(0, 7)) for byte in content[at : at + 1])
            case Damage.CUT:
                del content[at:]
            case Damage.DROP:
                del content[piece]
            case Damage.INSERT:
                content[at:at] = draw(st.sampled_from(TROUBLE))
            case Damage.COPY:
                content[at:at] = content[piece] * draw(st.integers(1, 50))
    return bytes(content)


def damaged_text(*samples: str) -> SearchStrategy[str]:
    """The same of text; what is no UTF-8 any more becomes lone surrogates."""
    encoded = [sample.encode() for sample in samples]
    return damaged(encoded).map(lambda content: content.decode(errors="surrogateescape"))


# --------------------------------------------------------------------------- XML of the right shape

TAGS = (
    *("domain", "name", "uuid", "memory", "os", "type", "loader", "nvram", "kernel", "cpu", "devices", "emulator"),
    *("disk", "driver", "source", "target", "backingStore", "format", "readonly", "shareable", "transient", "seclabel"),
    *("hostdev", "graphics", "metadata", "label", "volume", "capacity", "allocation", "physical", "permissions"),
    *("mode", "timestamps", "mtime", "path", "x:y"),
)
ATTRIBUTES = ("type", "device", "file", "dev", "name", "id", "unit", "machine", "index", "path", "protocol", "model")
VALUES = (
    *("file", "block", "network", "dir", "disk", "lun", "cdrom", "tape", "qcow2", "raw", "vda", "vdb", "KiB", "bytes"),
    *("/images/a", "/etc/passwd", "json:{}", "7", "-7", "0600", "0x1", "9" * 30, "", " ", "..", "é\u202e", "٣"),
)

_values = st.one_of(st.sampled_from(VALUES), st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8))


def _element(tag: str, attributes: dict[str, str], text: str, children: list[str]) -> str:
    said = "".join(f" {name}={quoteattr(value)}" for name, value in attributes.items())
    return f"<{tag}{said}>{escape(text)}{''.join(children)}</{tag}>"


def _elements(children: SearchStrategy[list[str]]) -> SearchStrategy[str]:
    attributes = st.dictionaries(st.sampled_from(ATTRIBUTES), _values, max_size=3)
    return st.builds(_element, st.sampled_from(TAGS), attributes, _values, children)


_trees = st.recursive(_elements(st.just([])), lambda inner: _elements(st.lists(inner, max_size=5)), max_leaves=12)


def xml_of(root: str, *children: str) -> SearchStrategy[str]:
    """Well-formed XML with that root: elements that libvirt has, in any order and number, after those given."""
    return st.lists(_trees, max_size=6).map(lambda found: _element(root, {}, "", [*children, *found]))


# --------------------------------------------------------------------------- JSON and TOML of the right shape

_leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.sampled_from(VALUES),
    st.text(max_size=12),
    st.datetimes().map(lambda time: time.isoformat()),
)
values: SearchStrategy[Any] = st.recursive(
    _leaves,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(TAGS), inner)),
    max_leaves=6,
)


@st.composite
def altered(draw: DrawFn, document: Any) -> Any:
    """A document with other values in some places of it."""
    if draw(st.integers(0, 11)) == 0:
        return draw(values)
    match document:
        case dict():
            return {key: draw(altered(value)) for key, value in document.items() if draw(st.integers(0, 30))}
        case list():
            return [draw(altered(value)) for value in document for _ in range(draw(st.sampled_from([1, 1, 1, 0, 2])))]
        case _:
            return document
