"""The parsers, what each is fed, and what it may answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import msgspec
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from orchestrator import settings
from orchestrator.errors import HypervisorError, Refused, UsageError
from orchestrator.formats import domainxml, imagexml, qcow2, saveimage, storagexml
from orchestrator.hypervisor import uri
from orchestrator.integrity.headers import header_problem
from orchestrator.model import Source, check_name
from orchestrator.store import manifest
from tests.twin import qcow2 as good_qcow2
from tests.unit import test_domainxml, test_manifest, test_qcow2, test_savedxml, test_storagexml
from tests.unit.file_builders import header_bytes, memory_head

from .inputs import altered, damaged, damaged_text, values, xml_of

ROOT = Path(__file__).parents[2]
CONFIGURATION = (ROOT / "config" / "snapctl.toml").read_bytes()
PLACES = settings.Places(configs=(), data=Path("/home/ann/data"), root=False)
NEW = Source(path="/store/new.qcow2", format="qcow2")


@dataclass(frozen=True, kw_only=True)
class Target:
    """`act` feeds one input and checks what comes out; it may raise `refusals` and nothing else."""

    name: str
    inputs: SearchStrategy[Any]
    act: Callable[[Any], object]
    refusals: tuple[type[Exception], ...]


# --------------------------------------------------------------------------- what is done with an input


def read_memory_image(content: bytes) -> None:
    header = saveimage.parse_header(content)
    assert 0 < header.data_length <= saveimage.LONGEST_DATA
    assert header.cookie_offset < header.data_length
    assert header.compression in saveimage.COMPRESSIONS
    assert saveimage.is_whole(content) == header.whole
    xml = saveimage.domain_xml(content)
    assert xml is None or len(xml.encode()) < header.data_length


def read_qcow2(content: bytes) -> None:
    said = header_problem(content, "/images/a.qcow2", "/images/base", "raw")
    header = qcow2.parse_header(content)
    assert header.cluster_size in range(512, (2 << 20) + 1)
    assert header.backing is None or 0 < len(header.backing.encode()) <= qcow2.LONGEST_BACKING_NAME
    if said is None:
        assert header.backing == "/images/base"
        assert not header.corrupt
        assert not header.external_data


def read_domain(xml: str) -> None:
    said = domainxml.definition(xml)
    assert said.disks == domainxml.disks(xml)
    assert said.memory_bytes >= 0
    named = imagexml.named(xml)
    assert imagexml.differences(named, named) == []
    targets = [disk.target for disk in said.disks if disk.path is not None]
    moved = domainxml.on_disks(xml, dict.fromkeys(targets, NEW))
    for disk in domainxml.disks(moved):
        if disk.target in targets[-1:]:
            assert (disk.source, disk.backing) == (NEW, ())


def read_volume(xml: str) -> None:
    for facts in (storagexml.file_facts(xml), storagexml.directory_facts(xml)):
        assert facts is None or facts.path


def read_manifest(content: bytes) -> None:
    found = manifest.decode(content, test_manifest.DIRECTORY)
    assert all(overlay.path.startswith(f"{test_manifest.DIRECTORY}/") for overlay in found.overlays)
    assert manifest.decode(manifest.encode(found), test_manifest.DIRECTORY) == found


def configure(table: Any) -> None:
    found = settings.resolve([settings.Document(name="a.toml", table=table, readable_by_others=True)], {}, PLACES)
    assert found.store.path.startswith("/")
    assert min(found.job.timeout_s, found.connection.timeout_s) > 0


def read_configuration(content: bytes) -> None:
    with NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        settings.load(config=file.name, environ={}, places=PLACES)


def take_uri(text: str) -> None:
    uri.check(text)
    assert text[:4].lower() == "qemu"
    assert not {"command", "proxy", "netcat", "no_verify"} & set(text.replace("?", "&").split("&"))
    assert "@" not in uri.public(text)


def take_name(text: str) -> None:
    check_name(text, "checkpoint")
    assert text.isascii()
    assert 0 < len(text) <= 63
    assert not set(text) & set("/\\ \n\0")


# --------------------------------------------------------------------------- what it is done with

IMAGES = (memory_head(test_savedxml.SAVED), memory_head(test_domainxml.LIVE, was_running=0, order=">"))
DISKS = tuple(
    good_qcow2.head(1 << 30, backing, backing_format)
    for backing, backing_format in ((None, None), ("/images/base", "raw"), ("/images/" + "b" * 900, "qcow2"))
)
DOMAINS = (test_domainxml.LIVE, test_savedxml.SAVED, test_savedxml.CATALOGUED)
MANIFESTS = (manifest.encode(test_manifest.begun()), manifest.encode(test_manifest.whole()))
URIS = (
    *("qemu:///system", "qemu+unix:///session?socket=/run/x", "qemu+ssh://root@[::1]:22/system?keyfile=/k&no_tty=1"),
    *("qemu+tls://host.example/system?pkipath=/p", "qemu+ssh://u:p@h/system?command=/x;proxy=y"),
)
u32 = st.one_of(st.integers(0, 8), st.integers(0, 2**32 - 1))
fields = dict.fromkeys(("version", "data_length", "was_running", "compression", "cookie_offset"), u32)


DISK_FIELDS: dict[str, SearchStrategy[Any]] = {
    "version": st.sampled_from([1, 2, 3, 4]),
    "cluster_bits": st.sampled_from([8, 9, 16, 21, 22]),
    "size": st.one_of(st.integers(0, 1 << 40), st.integers(0, 2**64 - 1)),
    "l1_entries": u32,
    "snapshots": u32,
    "incompatible": st.one_of(st.integers(0, 63), st.integers(0, 2**64 - 1)),
    "header_length": st.sampled_from([0, 96, 104, 112, 2**32 - 8]),
    "extensions": st.lists(
        st.builds(test_qcow2.extension, st.sampled_from([0, test_qcow2.BACKING_FORMAT, 7]), st.binary(max_size=20))
    ).map(b"".join),
    "backing": st.one_of(st.just(b"/images/base"), st.binary(max_size=100)),
    "backing_offset": st.one_of(st.none(), st.integers(0, 300), st.integers(0, 2**64 - 1)),
    "backing_length": st.one_of(st.none(), u32),
}
VOLUME_FIELDS = {
    **dict.fromkeys(("67108864", "200704", "196616"), st.integers(-9, 2**70).map(str)),
    "0600": st.one_of(st.integers(0, 0o7777).map(oct), st.sampled_from(["0600", "8", "", "+7", "7_7"])),
    "type='file'": st.sampled_from(["type='file'", "type='block'", "type='dir'", "type='network'", ""]),
    "unit='bytes'": st.sampled_from(["unit='bytes'", "unit='KiB'", ""]),
    "/store/vda.qcow2": st.sampled_from(["/store/vda.qcow2", "", "&lt;", "x"]),
}


def _volume(changes: dict[str, str]) -> str:
    xml = test_storagexml.VOLUME
    for old, new in changes.items():
        xml = xml.replace(old, new)
    return xml


def _encoded(document: Any) -> bytes:
    return json.dumps(document).encode()


TARGETS = (
    Target(
        name="memory image",
        inputs=st.one_of(
            st.binary(max_size=300),
            damaged([image[:1000] for image in IMAGES]),
            st.builds(
                lambda order, numbers, data: header_bytes(order=order, **numbers) + data,
                *(st.sampled_from("<>"), st.fixed_dictionaries({}, optional=fields), st.binary(max_size=100)),
            ),
        ),
        act=read_memory_image,
        refusals=(saveimage.BadHeader,),
    ),
    Target(
        name="qcow2",
        inputs=st.one_of(
            st.binary(max_size=300),
            damaged(DISKS),
            st.binary(max_size=400).map(lambda tail: DISKS[1][:104] + tail),
            st.fixed_dictionaries({}, optional=DISK_FIELDS).map(lambda fields: test_qcow2.image(**fields)[:2000]),
        ),
        act=read_qcow2,
        refusals=(qcow2.BadHeader,),
    ),
    Target(
        name="domain XML",
        inputs=st.one_of(
            st.text(max_size=300),
            damaged_text(*DOMAINS),
            xml_of("domain", "<name>a</name>", "<uuid>b</uuid>"),
            xml_of("domain"),
        ),
        act=read_domain,
        refusals=(HypervisorError, Refused, UsageError),
    ),
    Target(
        name="volume XML",
        inputs=st.one_of(
            st.text(max_size=300),
            damaged_text(test_storagexml.VOLUME),
            xml_of("volume"),
            st.fixed_dictionaries({}, optional=VOLUME_FIELDS).map(_volume),
        ),
        act=read_volume,
        refusals=(HypervisorError,),
    ),
    Target(
        name="manifest",
        inputs=st.one_of(
            *(st.binary(max_size=300), damaged(MANIFESTS)),
            *(altered(msgspec.json.decode(each)).map(_encoded) for each in MANIFESTS),
        ),
        act=read_manifest,
        refusals=(manifest.BadManifest,),
    ),
    Target(
        name="configuration",
        inputs=st.one_of(st.binary(max_size=300), damaged([CONFIGURATION])),
        act=read_configuration,
        refusals=(UsageError,),
    ),
    Target(
        name="configuration of the right shape",
        inputs=st.one_of(
            altered(msgspec.toml.decode(CONFIGURATION)).filter(lambda table: isinstance(table, dict)),
            st.dictionaries(st.one_of(st.sampled_from(["uri", "store", "job", "connection"]), st.text()), values),
        ),
        act=configure,
        refusals=(UsageError,),
    ),
    Target(name="URI", inputs=st.one_of(st.text(), damaged_text(*URIS)), act=take_uri, refusals=(UsageError,)),
    Target(
        name="name",
        inputs=st.one_of(st.text(), damaged_text("clean", "a.b-c_d")),
        act=take_name,
        refusals=(UsageError,),
    ),
)
