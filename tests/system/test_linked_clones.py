"""Other domains, and other hosts, use files of the store: none of those goes, and no guest is started twice."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from uuid import uuid4

import pytest

from tests.box.box import Box
from tests.box.connection import connect
from tests.box.fixtures import GuestFactory
from tests.box.witness import Witness
from tests.waiting import wait_until

from .client import Client, new_client
from .host_state import files, unchanged

pytestmark = pytest.mark.system

REFUSED = 6


@pytest.fixture
def client(box: Box) -> Iterator[Client]:
    with new_client(box.uri) as made:
        yield made


@pytest.fixture
def web(client: Client, guest: GuestFactory) -> Witness:
    """A guest, started paused, on the second of its checkpoints `one` and `two`."""
    made = guest(boot=False)
    made.start(paused=True)
    for name in ("one", "two"):
        client.do("checkpoint", made.name, name)
    return made


@contextlib.contextmanager
def clone_of(box: Box, base: str, *, runs: bool) -> Iterator[str]:
    """The name of another domain that has an overlay on that file as its disk."""
    name, path = f"clone-{uuid4()}", f"/var/lib/libvirt/images/clone-{uuid4()}.qcow2"
    box.run_inside("qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", base, path)
    xml = f"""<domain type='qemu'><name>{name}</name><memory unit='MiB'>16</memory>
    <os><type>hvm</type></os><devices><disk type='file' device='disk'><driver name='qemu' type='qcow2'/>
    <source file='{path}'/><target dev='vda' bus='virtio'/></disk></devices></domain>"""
    with connect(box.uri) as connection:
        domain = connection.defineXML(xml)
        try:
            if runs:
                domain.create()
            yield name
            if not runs:
                domain.create()  # which needs its whole chain
        finally:
            if domain.isActive():
                domain.destroy()
            domain.undefine()
            box.run_inside("rm", path)


def disk_of(web: Witness) -> str:
    with connect(web.uri) as connection:
        xml: str = connection.lookupByName(web.name).XMLDesc()
    return xml.partition("<source file='")[2].partition("'")[0]


@pytest.mark.parametrize("runs", [True, False], ids=["running", "off"])
def test_clone_keeps_its_base_from_delete_rollback_and_collapse(
    box: Box, client: Client, web: Witness, runs: bool
) -> None:
    frozen, active = client.do("show", web.name, "two")["disks"][0]["path"], disk_of(web)
    if runs:  # QEMU opens no layer that another one writes to
        with connect(web.uri) as connection:
            connection.lookupByName(web.name).destroy()

    with clone_of(box, active, runs=runs) as name:
        done = client.do("rollback", web.name, "one", "-y")
        assert done["note"] == f"{active} was kept: {name} uses it for its disk vda"
        planned = client.do("delete", web.name, "two", "--dry-run")[0]
        assert frozen in [path for path, _ in planned["kept"]]
        done = client.do("delete", web.name, "two", "-y")[0]
        assert f"{frozen} was kept: {name} uses it for its disk vda" in done["note"]
        assert {frozen, active} <= set(files(box, client.store))
        with unchanged(box, client):
            client.run("doctor", "--clean", "-y")

    client.do("doctor", "--clean", "-y")
    assert not {frozen, active} & set(files(box, client.store))
    client.do("rollback", web.name, "one", "-y")
    assert client.run("doctor").code == 0


def test_doctor_clean_keeps_the_present_disk_of_an_undefined_domain_of_a_lost_catalog(
    box: Box, client: Client, web: Witness, guest: GuestFactory
) -> None:
    client.do("rollback", web.name, "one", "-y")
    active = disk_of(web)
    with connect(web.uri) as connection:
        domain = connection.lookupByName(web.name)
        definition = domain.XMLDesc(2)  # inactive
        domain.destroy()
        box.run_inside("qemu-io", "-f", "qcow2", "-c", "write 0 64k", active)  # what the guest wrote
        old = "import json,sys; p=sys.argv[1]; d=json.load(open(p)); d['created']='2020-01-01T00:00:00Z'; "
        path = f"{active.rpartition('/')[0]}/manifest.json"
        box.run_inside("python3", "-c", f"{old}json.dump(d, open(p, 'w'))", path)
        domain.undefine()
        try:
            with new_client(box.uri) as another:
                another.configure(f'[store]\npath = "{client.store}"')
                another.do("list")
                with unchanged(box, another):
                    assert "belongs to the catalog" in another.refusal(REFUSED, "doctor", "--clean", "-y")
                    result = another.run("-o", "json", "doctor")
            (note,) = [each for each in result.json if "there is data in vda.qcow2" in each["what"]]
            assert "KiB" in note["what"] and "pool-create-as" in note["advice"]
        finally:
            connection.defineXML(definition)


@contextlib.contextmanager
def opened_by_another_qemu(box: Box, path: str) -> Iterator[None]:
    """A QEMU that is no domain of this libvirt has the image open for writing, as one on another host would."""
    wait_until(lambda: not is_locked(box, path), what="the end of the guest's own QEMU")
    script = f"(sleep 120 | qemu-io -f qcow2 {path}) >/dev/null 2>&1 & echo $!"
    box.run_inside("sh", "-c", script)
    wait_until(lambda: is_locked(box, path), what="the lock of another QEMU")
    try:
        yield
    finally:
        box.run_inside("sh", "-c", f"kill $(pgrep -f '[q]emu-io -f qcow2 {path}')")
        wait_until(lambda: not is_locked(box, path), what="the end of the other QEMU")


def is_locked(box: Box, path: str) -> bool:
    done = box.run_inside("sh", "-c", f"qemu-img info {path} >/dev/null 2>&1 && echo free || echo locked")
    return done.stdout.strip() == "locked"


@pytest.mark.parametrize("verb", ["rollback", "delete"])
def test_domain_that_runs_elsewhere_is_not_started_twice_and_keeps_its_files(
    box: Box, client: Client, web: Witness, verb: str
) -> None:
    with connect(web.uri) as connection:
        connection.lookupByName(web.name).destroy()
    before, active = set(files(box, client.store)), disk_of(web)

    with opened_by_another_qemu(box, active):
        result = client.run(verb, web.name, "one", "-y")
        assert result.code == REFUSED, result
        assert f"{web.name} is shut off here, but a QEMU process uses its disk" in result.stderr
    with connect(web.uri) as connection:
        assert not connection.lookupByName(web.name).isActive()
        assert [each.name() for each in connection.listAllDomains() if "helper" in each.name()] == []
    assert set(files(box, client.store)) == before

    client.do(verb, web.name, "one", "-y")
