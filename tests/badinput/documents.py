"""61 – 69: XML, from the hypervisor, from inside a memory image, and from the catalog."""

from __future__ import annotations

from orchestrator.formats import saveimage, xmltree
from tests.workstation import Workstation

from .case import ENVIRONMENT, INTEGRITY, Case, Elsewhere, Provocation, Row

LAUGHS = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))

HOSTILE: tuple[tuple[int, str, str, str], ...] = (
    (61, "no XML", "web01 is fine", "domain XML is malformed"),
    (61, "no text", "<domain>\0</domain>", "domain XML is malformed"),
    (61, "cut-off XML", "<domain><name>web01</name>", "domain XML is malformed"),
    (
        62,
        "external entity",
        "<!DOCTYPE d [<!ENTITY x SYSTEM 'file:///etc/shadow'>]><domain>&x;</domain>",
        "has a DOCTYPE",
    ),
    (
        62,
        "external parameter entity",
        "<!DOCTYPE d [<!ENTITY % x SYSTEM 'file:///etc/shadow'> %x;]><domain/>",
        "has a DOCTYPE",
    ),
    (63, "billion laughs", f"<!DOCTYPE d [<!ENTITY a0 'ha'>{LAUGHS}]><domain><name>&a9;</name></domain>", "domain XML"),
    (
        63,
        "billion laughs in an attribute",
        f"<!DOCTYPE d [<!ENTITY a0 'ha'>{LAUGHS}]><domain id='&a9;'/>",
        "domain XML is malformed",
    ),
    (64, "external DTD", "<!DOCTYPE domain SYSTEM 'http://192.0.2.1/x.dtd'><domain/>", "has a DOCTYPE"),
    (
        65,
        "100,000 elements deep",
        "<domain>" + "<a>" * 100_000 + "</a>" * 100_000 + "</domain>",
        "domain XML is malformed",
    ),
    (66, "20 MB", "<domain>" + " " * 20_000_000 + "</domain>", "domain XML is too big"),
    (67, "XML of a network", "<network><name>default</name></network>", "gave <network> where <domain> was expected"),
)


def told_by_the_hypervisor(xml: str) -> Provocation:
    def provoke(station: Workstation) -> None:
        station.machine().running_xml = xml

    return provoke


def in_the_image(xml: str) -> Provocation:
    """In the place of the XML in the memory image, of the same length."""

    def provoke(station: Workstation) -> None:
        image = station.content(station.memory())
        header = saveimage.parse_header(image)
        data = xml.encode()[: header.data_length - 1].ljust(header.data_length, b"\0")
        end = saveimage.HEADER_LENGTH + header.data_length
        station.forge(station.memory(), image[: saveimage.HEADER_LENGTH] + data + image[end:])

    return provoke


def in_the_catalog(xml: str) -> Provocation:
    def provoke(station: Workstation) -> None:
        station.sql("UPDATE checkpoint_document SET domain_xml = ?", xml)

    return provoke


def with_other_memory(station: Workstation) -> None:
    """An image whose guest is to have another amount of memory."""
    image = station.content(station.memory())
    station.forge(station.memory(), image.replace(b"131072", b"131073"))


CASES: tuple[Row, ...] = (
    *(
        Case(
            number=number,
            what=f"{what} for a domain",
            argv=("checkpoint", "web01", "new"),
            code=ENVIRONMENT,
            says=says,
            provoke=told_by_the_hypervisor(xml),
        )
        for number, what, xml, says in HOSTILE
    ),
    *(
        Case(
            number=number,
            what=f"{what} {where}",
            argv=("rollback", "web01", "work", "-y"),
            code=INTEGRITY,
            says="the memory image",
            provoke=provoke(xml),
        )
        for where, provoke in (("in an image", in_the_image), ("in the catalog", in_the_catalog))
        for number, what, xml, _ in HOSTILE
        if len(xml) < xmltree.MAX_BYTES
    ),
    Case(
        number=68,
        what="image with another amount of memory",
        argv=("rollback", "web01", "work", "-y", "--verify"),
        code=INTEGRITY,
        says="the memory image",
        provoke=with_other_memory,
        marks=True,
    ),
    Elsewhere(
        number=69,
        what="]]> and quotes in a path: must come back as they went",
        test="tests/unit/test_domainxml.py::test_on_disks_any_path_is_read_back",
    ),
)
