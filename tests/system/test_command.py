"""The command as its users meet it: what it prints, what it leaves on either side, how it fails."""

from __future__ import annotations

import json
import os
import stat
from datetime import UTC, datetime
from pathlib import Path
from posixpath import dirname

import libvirt
import pytest
from lxml import etree

from tests.box.box import Box
from tests.box.connection import connect
from tests.box.fixtures import GuestFactory
from tests.box.witness import Media, Witness

from .client import BECOME_NOBODY, Client
from .host_state import files, observe, unchanged

pytestmark = pytest.mark.system

USAGE, ENVIRONMENT, NOT_FOUND = 2, 3, 6


@pytest.fixture(scope="module")
def web(client: Client, module_guest: GuestFactory) -> Witness:
    """A booted witness with two disks, on its checkpoint `clean`."""
    guest = module_guest(media=Media(disks=2))
    client.do("checkpoint", guest.name, "clean", "-d", "all is well", "-t", "base", "-t", "tested")
    return guest


def disk_sources(box: Box, guest: Witness, flags: int) -> list[str]:
    with connect(box.uri) as connection:
        xml = connection.lookupByName(guest.name).XMLDesc(flags)
    return [str(source.get("file")) for source in etree.fromstring(xml).findall("devices/disk/source")]


def active_overlays(client: Client, guest: Witness) -> list[str]:
    """What a checkpoint made now would freeze."""
    return [each["backing"] for each in client.do("checkpoint", guest.name, "--dry-run")["overlays"]]


# --------------------------------------------------------------------------- who the client is


@pytest.mark.skipif(not BECOME_NOBODY, reason="only root can become another user")
def test_the_client_has_no_rights(client: Client, web: Witness) -> None:
    assert client.catalog.owner() == "nobody"
    memory = client.do("show", web.name, "clean")["memory"]["path"]
    assert not Path(memory).exists()  # but in the box


# --------------------------------------------------------------------------- what is left where


def test_files_are_private(box: Box, client: Client, web: Witness) -> None:
    shown = client.do("show", web.name, "clean")
    directory = dirname(shown["memory"]["path"])
    store = dirname(dirname(directory))
    assert store == client.store
    modes = {path: facts.split()[0] for path, facts in files(box, directory).items()}
    assert modes.pop(directory) == "drwx--x--x"
    assert {f"{directory}/memory.save", f"{directory}/vda.qcow2", f"{directory}/vdb.qcow2"} <= set(modes)
    assert set(modes.values()) == {"-rw-------"}
    for parent in (store, dirname(directory)):
        assert files(box, parent)[parent].startswith("drwx--x--x")
    assert stat.S_IMODE(client.catalog.stat().st_mode) == 0o600


def test_the_domain_is_on_its_overlays_now_and_at_its_next_start(box: Box, client: Client, web: Witness) -> None:
    overlays = active_overlays(client, web)
    assert all(path.startswith(f"{client.store}/") for path in overlays)
    assert disk_sources(box, web, 0) == overlays
    assert disk_sources(box, web, libvirt.VIR_DOMAIN_XML_INACTIVE) == overlays
    client.do("rollback", web.name, "clean", "-y")
    assert disk_sources(box, web, 0) == disk_sources(box, web, libvirt.VIR_DOMAIN_XML_INACTIVE) != overlays


def test_overlays_are_as_capable_as_the_disk_they_stand_for(box: Box, client: Client, web: Witness) -> None:
    """Discards and dirty bitmaps need version 3 of qcow2."""
    for overlay in active_overlays(client, web):
        told = box.run_inside("qemu-img", "info", "--force-share", "--output=json", overlay).stdout
        assert json.loads(told)["format-specific"]["data"]["compat"] == "1.1"


def test_no_pool_is_left_active(box: Box, client: Client, web: Witness) -> None:
    client.do("rollback", web.name, "clean", "-y")
    assert set(observe(box, client).pools) == {"default"}  # the box's own


def test_reading_verbs_and_dry_runs_change_nothing(box: Box, client: Client, web: Witness) -> None:
    with unchanged(box, client):
        for arguments in (
            ("checkpoint", web.name, "new", "--dry-run"),
            ("rollback", web.name, "clean", "--dry-run"),
            ("edit", web.name, "clean", "--name", "new", "--dry-run"),
            ("list",),
            ("tree",),
            ("show", web.name, "clean"),
            ("recover",),
            ("catalog", "info"),
        ):
            assert client.run(*arguments).code == 0


# --------------------------------------------------------------------------- what is printed


def test_list_as_json(client: Client, web: Witness) -> None:
    (listed,) = client.do("list", web.name)
    expected = {
        "domain": web.name, "name": "clean", "parent": None, "mode": "save", "tags": ["base", "tested"],
        "description": "all is well", "current": True, "state": "ready",
    }  # fmt: skip
    assert {key: listed[key] for key in expected} == expected
    assert listed["memory_bytes"] > 10_000_000
    assert listed["disk_bytes"] == 0  # so far it all is the user's own
    age = datetime.now(UTC) - datetime.fromisoformat(listed["created"])
    assert 0 <= age.total_seconds() < 600


def test_show_as_json_has_all_of_list(client: Client, web: Witness) -> None:
    (listed,) = client.do("list", web.name)
    shown = client.do("show", web.name, "clean")
    assert {key: shown[key] for key in listed} == listed
    assert set(shown["memory"]) >= {"path", "size", "sha256"}
    assert [set(disk) >= {"target", "layer", "format"} for disk in shown["disks"]] == [True, True]
    assert shown["host"]["libvirt_version"]


def test_changing_verb_reports_durations(client: Client, web: Witness) -> None:
    done = client.do("rollback", web.name, "clean", "-y")
    assert done["domain"] == web.name
    assert 0 < done["downtime_s"] <= done["duration_s"] < 60
    result = client.run("rollback", web.name, "-y", "-v")
    assert result.stderr == ""
    sentence, *steps = result.stdout.splitlines()
    assert sentence.startswith(f"{web.name}: rolled back to clean in ")
    order = ["prepared", "stopped", "repointed", "restored", "committed", "resumed", "cleaned"]
    assert [line.split()[0] for line in steps] == order
    assert client.run("-q", "rollback", web.name, "-y").stdout == ""


def test_a_checkpoint_without_a_name_gets_one(client: Client, web: Witness) -> None:
    names = {client.do("checkpoint", web.name)["checkpoint"] for _ in range(2)}
    assert len(names) == 2
    client.do("rollback", web.name, "clean", "-y")
    for name in sorted(names, reverse=True):
        client.do("delete", web.name, name, "-y")


# --------------------------------------------------------------------------- how it fails


def test_error_as_json_has_the_documented_keys(client: Client, web: Witness) -> None:
    result = client.run("-o", "json", "show", web.name, "never-made")
    assert (result.code, result.stdout) == (NOT_FOUND, "")
    error = json.loads(result.stderr)
    assert set(error) == {"error", "message", "effect", "hint", "exit_code"}
    assert error["exit_code"] == NOT_FOUND


def test_list_missing_hypervisor_is_refused(client: Client) -> None:
    line = client.refusal(ENVIRONMENT, "-c", "qemu+unix:///system?socket=/tmp/no-such-socket", "list")
    assert "qemu+unix:///system" in line


@pytest.mark.parametrize("uri", ["qemu+ext:///system?command=/bin/sh", "test:///default", "nonsense"])
def test_list_malformed_uri_is_refused(client: Client, uri: str) -> None:
    client.refusal(USAGE, "-c", uri, "list")


def test_list_missing_catalog_is_told(client: Client) -> None:
    result = client.run("--catalog", "sqlite:////proc/no/such/catalog.sqlite", "list")
    assert (result.code, result.stdout) == (0, "")
    assert "there is no catalog sqlite:////proc/no/such/catalog.sqlite yet" in result.stderr


def test_list_unreadable_catalog_is_refused(client: Client) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root has files that the client may not read")
    theirs = client.home / "theirs.sqlite"
    theirs.touch(mode=0o600)
    client.refusal(ENVIRONMENT, "--catalog", f"sqlite:///{theirs}", "list")
