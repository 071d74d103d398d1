"""XML that was not written by libvirt: one error, one line, nothing read, no time and no memory lost."""

from __future__ import annotations

import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import HypervisorError
from orchestrator.formats import domainxml, xmltree

LAUGHS = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))

HOSTILE = {
    "nothing": "",
    "no XML": "web01",
    "cut off": "<domain><name>web01</name>",
    "another root": "<network/>",
    "a namespace": "<domain xmlns='urn:x'/>",
    "NUL": "<domain>\0</domain>",
    "a lone surrogate": "<domain>\ud800</domain>",
    "too deep": "<domain>" + "<a>" * 5000 + "</a>" * 5000 + "</domain>",
    "too big": "<domain>" + " " * xmltree.MAX_BYTES + "</domain>",
    "a DOCTYPE": "<!DOCTYPE domain><domain/>",
    "a DTD in a file": "<!DOCTYPE domain SYSTEM 'file:///etc/passwd'><domain/>",
    "a DTD in the network": "<!DOCTYPE domain SYSTEM 'http://192.0.2.1/x.dtd'><domain/>",
    "a file": "<!DOCTYPE domain [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><domain>&x;</domain>",
    "a parameter entity": "<!DOCTYPE domain [<!ENTITY % x SYSTEM 'file:///etc/passwd'> %x;]><domain/>",
    "laughs in text": f"<!DOCTYPE domain [<!ENTITY a0 'ha'>{LAUGHS}]><domain>&a9;</domain>",
    "laughs in an attribute": f"<!DOCTYPE domain [<!ENTITY a0 'ha'>{LAUGHS}]><domain name='&a9;'/>",
    "an unknown entity": "<domain>&x;</domain>",
}


@pytest.mark.parametrize("xml", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_xml_is_one_short_error(xml: str) -> None:
    tracemalloc.start()
    begun = time.process_time()
    try:
        with pytest.raises(HypervisorError) as caught:
            domainxml.disks(xml)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert time.process_time() - begun < 1
    assert peak < 16 << 20
    assert "\n" not in str(caught.value) and len(str(caught.value)) <= 200
    assert "root:" not in str(caught.value)


@given(st.text(max_size=200))
def test_definition_any_text_is_read_or_refused(text: str) -> None:
    for xml in (text, f"<domain>{text}</domain>"):
        try:
            domainxml.definition(xml)
        except HypervisorError as error:
            assert "\n" not in str(error)


def test_definition_ignores_declared_encoding() -> None:
    xml = "<?xml version='1.0' encoding='utf-16'?><domain><name>ü</name><uuid>u</uuid></domain>"
    assert domainxml.definition(xml).name == "ü"
