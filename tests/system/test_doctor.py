"""Each thing that doctor can find, brought about for real."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import libvirt
import pytest

from orchestrator.formats import domainxml
from orchestrator.hypervisor import connect as open_hypervisor
from orchestrator.model import NewOverlay, OperationKind, Source
from orchestrator.operations.shared.helper import HELPER_PREFIX
from orchestrator.store import layout, manifest
from orchestrator.store.layout import operation_directory
from orchestrator.store.manifest import Manifest
from tests.box.box import Box
from tests.box.connection import connect
from tests.box.fixtures import GuestFactory
from tests.box.witness import Witness
from tests.waiting import wait_until

from .client import Client, finish, new_client
from .host_state import files, unchanged
from .troubles import edited_disk

pytestmark = pytest.mark.system

STORE = "/var/lib/libvirt/images/examined"


@contextlib.contextmanager
def user(box: Box) -> Iterator[Client]:
    """Somebody with a new catalog, for the store that only this module uses."""
    with new_client(box.uri) as made:
        made.configure(f'[store]\npath = "{STORE}"')
        yield made


@pytest.fixture(scope="module")
def client(box: Box) -> Iterator[Client]:
    with user(box) as made:
        yield made


@pytest.fixture(scope="module")
def web(client: Client, module_guest: GuestFactory) -> Witness:
    """A guest, started paused, that stands on the second of its checkpoints `one` and `two`."""
    guest = module_guest(boot=False)
    guest.start(paused=True)
    for name in ("one", "two"):
        client.do("checkpoint", guest.name, name)
    return guest


@pytest.fixture
def domain(web: Witness) -> Iterator[Any]:
    with connect(web.uri) as connection:
        yield connection.lookupByName(web.name)


def findings(client: Client, *arguments: str, code: int) -> dict[str, dict[str, Any]]:
    """What is not well, by what it is about; nothing is ever found twice in these tests."""
    result = client.run("-o", "json", "doctor", *arguments)
    assert result.code == code, result
    found = [each for each in result.json if each["level"] != "ok"]
    assert max((each["exit_code"] for each in found), default=0) == code
    assert len({each["about"] for each in found}) == len(found), found
    return {each["about"]: each for each in found}


def test_doctor_sound_host_has_no_findings(box: Box, client: Client, web: Witness) -> None:
    with unchanged(box, client):
        assert findings(client, code=0) == {}
        result = client.run("doctor")
    assert (result.code, result.stderr) == (0, "")
    assert all(line.startswith("ok ") for line in result.stdout.splitlines())


def test_doctor_table_output_has_advice(box: Box, client: Client, web: Witness) -> None:
    with changed_mode(box, STORE, "0755"):
        result = client.run("doctor")
    assert result.code == 1
    assert f"other users may list or change {STORE}" in result.stdout
    assert f"→ on the hypervisor: chmod 0711 {STORE}" in result.stdout
    assert result.stderr.endswith("1 warning; nothing was changed; follow the advice\n")


@contextlib.contextmanager
def changed_mode(box: Box, path: str, mode: str) -> Iterator[None]:
    before = box.run_inside("stat", "-c", "%a", path).stdout.strip()
    box.run_inside("chmod", mode, path)
    try:
        yield
    finally:
        box.run_inside("chmod", before, path)


def memory_of(client: Client, web: Witness, name: str) -> str:
    path: str = client.do("show", web.name, name)["memory"]["path"]
    return path


# --------------------------------------------------------------------------- what it lives on


def test_modes_in_the_store(box: Box, client: Client, web: Witness) -> None:
    image = memory_of(client, web, "one")
    directory = image.rpartition("/")[0]
    for path, mode in ((directory, "0755"), (directory.rpartition("/")[0], "0777"), (image, "0644")):
        with changed_mode(box, path, mode):
            found = findings(client, code=1)
        assert path in found["store"]["what"]


def test_files_that_are_not_snapctls(box: Box, client: Client, web: Witness) -> None:
    stray, extra = f"{STORE}/stray", f"{memory_of(client, web, 'one').rpartition('/')[0]}/extra"
    box.run_inside("install", "-m", "0600", "/dev/null", stray)
    box.run_inside("install", "-m", "0600", "/dev/null", extra)
    try:
        found = findings(client, "--clean", "-y", code=0)
        assert stray in found["store"]["what"]
        assert extra in found["directories"]["what"]
        assert {stray, extra} <= set(files(box, STORE))
    finally:
        box.run_inside("rm", stray, extra)


def test_modes_of_the_catalog(client: Client, web: Witness) -> None:
    client.catalog.chmod(0o644)
    try:
        assert "other users may read" in findings(client, code=1)["catalog"]["what"]
    finally:
        client.catalog.chmod(0o600)


def test_doctor_store_without_space_is_a_warning(box: Box, web: Witness) -> None:
    box.mount_tmpfs("/var/lib/libvirt/small", "8m")
    with new_client(box.uri) as client:
        client.configure('[store]\npath = "/var/lib/libvirt/small/store"')
        assert "too little even for a rollback" in findings(client, code=1)["space"]["what"]


# --------------------------------------------------------------------------- operations


def test_doctor_unfinished_operation_recommends_recover(client: Client, web: Witness, domain: Any) -> None:
    with closing(sqlite3.connect(client.catalog)) as database:
        # Before the command opens it: SQLite makes its files root's, and gives them to the catalog's owner after that.
        assert open_steps(database) == []
        with client.start("rollback", web.name, "two", "-y") as process:
            wait_until(lambda: any(open_steps(database)), what="the end of a step", process=process, poll=0.001)
            process.kill()
            finish(process)
    found = findings(client, code=7)
    assert found["operations"]["advice"] == f"snapctl recover {web.name}"
    assert f"a rollback of {web.name} is unfinished" in found["operations"]["what"]
    client.do("recover")
    assert findings(client, code=0) == {}


def open_steps(database: sqlite3.Connection) -> list[str]:
    return [step for (step,) in database.execute("SELECT step FROM operation_member WHERE open")]


# --------------------------------------------------------------------------- files and domains


def test_doctor_missing_file_is_damage(box: Box, client: Client, web: Witness) -> None:
    image = memory_of(client, web, "one")
    box.run_inside("mv", image, "/var/lib/libvirt/hidden")
    try:
        found = findings(client, code=5)
    finally:
        box.run_inside("mv", "/var/lib/libvirt/hidden", image)
    assert found["files"]["what"] == f"{image} is missing: {web.name}/one cannot be restored"
    assert findings(client, code=0) == {}


def test_doctor_drifted_disk_is_a_warning(client: Client, web: Witness, domain: Any) -> None:
    definition = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
    edited_disk(domain)
    try:
        found = findings(client, code=1)
    finally:
        domain.connect().defineXML(definition)
    assert "from its next start on, the catalog says" in found["domains"]["what"]


def test_doctor_managed_save_image_is_a_warning(client: Client, web: Witness, domain: Any) -> None:
    domain.managedSave()
    found = findings(client, code=1)
    assert found["domains"]["advice"] == f"{client.virsh} start {web.name}"
    domain.managedSaveRemove()
    assert findings(client, code=0) == {}
    client.do("rollback", web.name, "two", "-y")


def test_doctor_undefined_domain_is_a_warning(client: Client, web: Witness, domain: Any) -> None:
    definition, connection = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE), domain.connect()
    domain.destroy()
    domain.undefine()
    try:
        found = findings(client, code=1)
    finally:
        connection.defineXML(definition)
    assert f"{web.name} is no longer defined" in found["domains"]["what"]
    client.do("rollback", web.name, "two", "-y")
    assert findings(client, code=0) == {}


# --------------------------------------------------------------------------- directories


@contextlib.contextmanager
def leftover(box: Box, web: Witness, domain: Any, age: timedelta = timedelta(hours=2)) -> Iterator[str]:
    """A directory as a rollback made it that nobody remembers, with an overlay on the guest's own disk; its path."""
    hypervisor = open_hypervisor(box.uri)
    uuid, operation_id = domain.UUIDString(), str(uuid4())
    directory = operation_directory(STORE, uuid, operation_id)
    overlay = NewOverlay(
        target="vda",
        path=f"{directory}/vda.qcow2",
        backing=f"/var/lib/libvirt/images/{web.name}-disk-vda.qcow2",
        backing_format="qcow2",
        capacity=1 << 26,
    )
    made = Manifest(
        host_uuid=hypervisor.host.uuid,
        host_name=hypervisor.host.name,
        domain_uuid=uuid,
        domain_name=web.name,
        operation_id=operation_id,
        kind=OperationKind.ROLLBACK,
        created=datetime.now(UTC) - age,
        stands_on=str(uuid4()),
        overlays=(overlay,),
    )
    hypervisor.storage.make_directory(directory)
    hypervisor.storage.write(layout.manifest_path(directory), manifest.encode(made))
    hypervisor.storage.create_overlay(overlay)
    hypervisor.close()
    yield directory
    box.run_inside("rm", "-rf", directory)


def test_doctor_clean_removes_unused_directory(box: Box, client: Client, web: Witness, domain: Any) -> None:
    before = files(box, STORE)
    with leftover(box, web, domain) as directory:
        with unchanged(box, client):
            found = findings(client, code=1)
        assert directory in found["directories"]["what"]
        assert found["directories"]["advice"] == "snapctl doctor --clean"
        assert findings(client, "--clean", "-y", code=0) == {}
        after = files(box, STORE)
        assert set(after) == set(before)
        assert {path for path in before if before[path] != after[path]} <= {directory.rpartition("/")[0]}
    assert findings(client, code=0) == {}


@pytest.mark.parametrize("case", ["young", "foreign file", "no manifest", "half a manifest", "in use", "cloned"])
def test_doctor_clean_keeps_directory_that_may_be_needed(
    box: Box, client: Client, web: Witness, domain: Any, case: str
) -> None:
    age = timedelta(minutes=1) if case == "young" else timedelta(hours=2)
    with leftover(box, web, domain, age) as directory, contextlib.ExitStack() as after:
        overlay, marked = f"{directory}/vda.qcow2", f"{directory}/manifest.json"
        match case:
            case "foreign file":
                box.run_inside("install", "-m", "0600", "/dev/null", f"{directory}/notes")
            case "no manifest":
                box.run_inside("rm", marked)
            case "half a manifest":
                box.run_inside("truncate", "--size=-40", marked)
            case "in use":
                after.enter_context(user_of(domain, overlay))
            case "cloned":
                clone = f"/var/lib/libvirt/images/clone-{uuid4()}.qcow2"
                box.run_inside("qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", overlay, clone)
                after.enter_context(user_of(domain, clone))
        with unchanged(box, client):
            found = findings(client, "--clean", "-y", code=0)
        assert (found["directories"]["level"], directory in found["directories"]["what"]) == ("note", True)


@contextlib.contextmanager
def user_of(domain: Any, path: str) -> Iterator[None]:
    """Another domain, off, that has the file as its disk."""
    definition = f"""<domain type='qemu'><name>user-{uuid4()}</name><memory unit='MiB'>16</memory>
    <os><type>hvm</type></os><devices><disk type='file' device='disk'><driver name='qemu' type='qcow2'/>
    <source file='{path}'/><target dev='vda'/></disk></devices></domain>"""
    user = domain.connect().defineXML(definition)
    try:
        yield
    finally:
        user.undefine()


@pytest.mark.parametrize("marked", [True, False])
def test_doctor_helper_left_by_a_collapse_is_reported(
    box: Box, client: Client, web: Witness, domain: Any, marked: bool
) -> None:
    with leftover(box, web, domain) as directory, helper(box, domain, f"{directory}/vda.qcow2", marked) as name:
        with unchanged(box, client):
            found = findings(client, code=1 if marked else 0)
        assert name in found["helpers"]["what"]
        assert f"{client.virsh} destroy {name}" in found["helpers"]["advice"]
        assert found["directories"]["level"] == "note"
        assert ("helpers" in findings(client, "--clean", "-y", code=0)) is not marked
        assert (name in dict(box.domains())) is not marked
        if marked:
            assert findings(client, "--clean", "-y", code=0) == {}
    assert findings(client, code=0) == {}


@contextlib.contextmanager
def helper(box: Box, domain: Any, layer: str, marked: bool) -> Iterator[str]:
    """A helper domain of no operation, with a layer open; its name."""
    uuid = str(uuid4())
    name = f"{HELPER_PREFIX}{uuid}"
    source = Source(path=layer, format="qcow2")
    xml = domainxml.helper(domain.XMLDesc(), uuid=uuid, name=name, target="vda", layer=source)
    with closing(open_hypervisor(box.uri)) as hypervisor:
        hypervisor.domains.create_paused(xml if marked else re.sub("<metadata>.*</metadata>", "", xml))
        yield name  # and it goes with its client


def test_an_empty_directory_of_no_domain_is_left_alone(box: Box, client: Client, web: Witness) -> None:
    path = f"{STORE}/{uuid4()}"
    box.run_inside("mkdir", "-m", "0711", path)
    try:
        with unchanged(box, client):
            found = findings(client, "--clean", "-y", code=0)
        assert f"{path} is empty" in found["directories"]["what"]
        assert found["directories"]["advice"].endswith(f"rmdir {path}")
    finally:
        box.run_inside("rmdir", path)


def test_with_a_lost_catalog_cleaning_up_takes_nothing(box: Box, client: Client, web: Witness) -> None:
    with user(box) as another:
        with unchanged(box, another):
            assert "belongs to the catalog" in another.refusal(6, "doctor", "--clean", "-y")
            result = another.run("-o", "json", "doctor")
        assert result.code == 1
    owner, lost, overlay = (each for each in result.json if each["level"] != "ok")
    assert owner["advice"].endswith("snapctl catalog adopt")
    assert f"{web.name}/one" in lost["what"] and f"{web.name}/two" in lost["what"]
    assert lost["advice"].endswith("catalog adopt")
    assert overlay["level"] == "note"


# --------------------------------------------------------------------------- chains: last, as they stay


@pytest.mark.long
def test_doctor_long_chain_is_a_warning(client: Client, guest: GuestFactory) -> None:
    deep = guest(boot=False)
    deep.start(paused=True)
    for number in range(31):
        client.do("checkpoint", deep.name, f"c{number}")
    assert f"{deep.name} has a chain of 32 layers" in findings(client, code=1)["chains"]["what"]
