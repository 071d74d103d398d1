"""A memory image is code: the XML inside it names an emulator to run, files to open and devices to hand over.

Pure. Before an image is restored, what its XML names of the host is held against the catalogued XML
of the same instant. The two are different forms of one definition: the catalogued one is that of the
running guest, without secrets; libvirt saves the persistent form, which says less (no aliases, no
terminals, no chains) and has the secrets. So what decides (`exact`) must be the same in both, and
whatever else the image names (`named`) must be known to the catalog. Secrets are not compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from ..model import Disk
from . import domainxml
from .xmltree import Element, parse

Claims: TypeAlias = Mapping[str, frozenset[str]]
"""Values by category, e.g. `{"emulator": {"/usr/bin/qemu"}}`."""

QEMU = "{http://libvirt.org/schemas/domain/qemu/1.0}"
"""The namespace whose elements go to QEMU's command line as they are."""

BOOT = {
    "loader": "loader",
    "nvram": "NVRAM file",
    "kernel": "kernel",
    "initrd": "initrd",
    "dtb": "device tree",
    "cmdline": "kernel command line",
}
"""Children of `<os>`, and how they are called."""

NUMBERING = "index"
"""The attribute of a `<source>` that libvirt gives to a running guest's files."""

SECRET_ATTRIBUTE, SECRET_ELEMENT = "passwd", "cookies"
"""Of `<graphics>` and of a disk's `<source>`: libvirt shows them on demand only (VIR_DOMAIN_XML_SECURE)."""

NOTES = "metadata"
"""The element that belongs to others: libvirt only keeps it."""

LONGEST_VALUE = 200
"""Characters of a value that a difference shows: whoever changed an image chose them."""


@dataclass(frozen=True, slots=True)
class Named:
    """What a domain XML names of the host."""

    exact: Claims
    named: Claims


def named(xml: str) -> Named:
    """Raises `HypervisorError` for what is no domain XML."""
    domain = parse(xml, "domain")
    return Named(_collected(_exact(xml, domain)), _collected(_named(domain)))


def writable_sources(xml: str) -> dict[str, str | None]:
    """The path of each disk that the guest could change, by target. Raises `HypervisorError`."""
    return {disk.target: disk.path for disk in domainxml.disks(xml) if disk.writable}


def differences(saved: Named, known: Named) -> list[str]:
    """What `saved`, from a memory image, says otherwise than `known`, from the catalog: a phrase for each.

    Other names in the image are reported only when the compared values are the same.
    """
    return list(_changed(saved.exact, known.exact)) or list(_unknown(saved.named, known.named))


def _changed(saved: Claims, known: Claims) -> Iterator[str]:
    for what in sorted(saved.keys() | known.keys()):
        if saved.get(what) != known.get(what):
            yield f"its {what} is {_listed(saved.get(what))}, not {_listed(known.get(what))}"


def _unknown(saved: Claims, known: Claims) -> Iterator[str]:
    for what, values in sorted(saved.items()):
        if unknown := values - known.get(what, frozenset()):
            yield f"its {what} is {_listed(unknown)}, which is not in the catalog"


def _exact(xml: str, domain: Element) -> Iterator[tuple[str, str]]:
    said = domainxml.definition(xml)
    yield "name", said.name
    yield "UUID", said.uuid
    if said.emulator:
        yield "emulator", said.emulator
    for tag, what in BOOT.items():
        if text := domain.findtext(f"os/{tag}", "").strip():
            yield what, text
    for disk in said.disks:
        yield f"disk {disk.target}", _disk(disk)
    yield "number of host devices", str(len(domain.findall("devices/hostdev")))
    for element in domain.iterchildren():
        if _tag(element).startswith(QEMU):
            yield "QEMU command line", _flat(element)


def _named(domain: Element) -> Iterator[tuple[str, str]]:
    """Every absolute path, every part of every `<source>`, and every security label."""
    for child in domain.iterchildren():
        yield from _names(child, _tag(child), in_source=False)


def _names(element: Element, place: str, *, in_source: bool) -> Iterator[tuple[str, str]]:
    if element.tag in (NOTES, SECRET_ELEMENT) or not _tag(element):
        return
    in_source = in_source or element.tag == "source"
    text = (element.text or "").strip()
    if text.startswith("/"):
        yield place, text
    for name, value in _attributes(element):
        if value.startswith("/") or (in_source and name != NUMBERING):
            yield f"{place} {name}", value
    if element.tag == "seclabel":
        yield place, _security_label(element)
    for child in element.iterchildren():
        yield from _names(child, f"{place}/{_tag(child)}", in_source=in_source)


def _disk(disk: Disk) -> str:
    source = f"{disk.source.path} ({disk.source.format})" if disk.source else f"no file ({disk.source_type})"
    return f"{disk.device} {'read-only ' if disk.readonly else ''}{source}"


def _security_label(element: Element) -> str:
    """libvirt makes up the label of a dynamic one at each start."""
    kind, model = element.get("type", "dynamic"), element.get("model", "")
    label = element.findtext("label", "") if kind != "dynamic" else element.findtext("baselabel", "")
    return " ".join(part for part in (kind, model, element.get("relabel", ""), label) if part)


def _flat(element: Element) -> str:
    """An element on one line, however it was indented and whatever prefix its namespace had."""
    attributes = "".join(f" {name}={value!r}" for name, value in _attributes(element))
    inside = "".join(_flat(child) for child in element.iterchildren() if _tag(child))
    return f"<{_tag(element).removeprefix(QEMU)}{attributes}>{(element.text or '').strip()}{inside}"


def _attributes(element: Element) -> list[tuple[str, str]]:
    return sorted((str(name), str(value)) for name, value in element.attrib.items() if name != SECRET_ATTRIBUTE)


def _tag(node: Element) -> str:
    """The tag of an element, "" for a comment or processing instruction."""
    return node.tag if isinstance(node.tag, str) else ""


def _collected(claims: Iterator[tuple[str, str]]) -> Claims:
    found: dict[str, set[str]] = {}
    for what, value in claims:
        found.setdefault(what, set()).add(value)
    return {what: frozenset(values) for what, values in found.items()}


def _listed(values: frozenset[str] | None) -> str:
    text = ", ".join(sorted(values)) if values else "missing"
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"
