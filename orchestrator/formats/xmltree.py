"""XML from the hypervisor, read without trust, and XML for it, built without joining strings.

The only importer of lxml. A domain XML may come out of a save image or from another client's pen, so
parsing resolves no entity, loads no DTD, touches no network, and is bounded in size and depth.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias

from lxml import etree

from ..errors import HypervisorError, UsageError

Element: TypeAlias = etree._Element

MAX_BYTES = 4 << 20
"""The longest string that libvirt's protocol carries. A domain XML is a few KiB, and 1 KiB more for each layer."""


etree.register_namespace("snapctl", "urn:snapctl:run")


def parse(text: str, tag: str) -> Element:
    """The root of a document whose root element must be `<tag>`.

    Raises `HypervisorError` for what is malformed, too big, too deep, or carries a DOCTYPE.
    """
    try:
        content = text.encode()
        if len(content) > MAX_BYTES:
            raise HypervisorError(f"the hypervisor's {tag} XML is too big: {len(content)} bytes")
        root = etree.fromstring(content, _parser())
    except etree.XMLSyntaxError as error:
        raise HypervisorError(f"the hypervisor's {tag} XML is malformed: {error.msg}") from error
    except UnicodeEncodeError as error:
        raise HypervisorError(f"the hypervisor's {tag} XML is malformed: {error.reason}") from error
    if root.getroottree().docinfo.internalDTD is not None:  # what a DOCTYPE becomes, even an empty one
        raise HypervisorError(f"the hypervisor's {tag} XML has a DOCTYPE, which libvirt never writes")
    if root.tag != tag:
        raise HypervisorError(f"the hypervisor gave <{root.tag}> where <{tag}> was expected")
    return root


def new(tag: str, **attributes: str) -> Element:
    with _representable():
        return etree.Element(tag, attributes)


def add(parent: Element, tag: str, text: str | None = None, **attributes: str) -> Element:
    """A new last child of `parent`. Raises `UsageError` for text that XML cannot carry."""
    with _representable():
        child = etree.SubElement(parent, tag, attributes)
        child.text = text
        return child


def put(element: Element, **attributes: str) -> None:
    """Set attributes. Raises `UsageError` for text that XML cannot carry."""
    with _representable():
        for name, value in attributes.items():
            element.set(name, value)


def serialize(element: Element) -> str:
    return etree.tostring(element, encoding="unicode", with_tail=False)


def _parser() -> etree.XMLParser:
    # A new one each time: an XMLParser must not be used by two threads at once. `huge_tree=False` keeps
    # libxml2's own bounds on depth and on what entities in attribute values may grow to.
    return etree.XMLParser(
        encoding="utf-8", resolve_entities=False, load_dtd=False, no_network=True, huge_tree=False, strip_cdata=False
    )


@contextmanager
def _representable() -> Iterator[None]:
    try:
        yield
    except ValueError as error:  # lxml: control characters, lone surrogates
        raise UsageError("a name or path has a character that XML cannot carry") from error
