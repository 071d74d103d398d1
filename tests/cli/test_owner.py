"""One owner: a second catalog changes nothing in a store, and what its user can do about it."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from orchestrator.cli.render import catalog as render
from orchestrator.store import owner
from tests.twin.files import File, Image
from tests.workstation import STORE, Workstation

from .conftest import Run

OWNER = f"{STORE}/store.json"
CHANGING = [
    ("checkpoint", "web01", "mine"),
    ("checkpoint", "web01", "mine", "--dry-run"),
    ("rollback", "web01", "base", "-y"),
    ("delete", "web01", "base", "-y"),
    ("collapse", "web01"),
    ("collapse",),
    ("flatten", "web01"),
    ("edit", "web01", "base", "-d", "mine"),
    ("protect", "web01", "base"),
    ("prune", "--all", "--keep-last", "1", "-y"),
    ("recover",),
    ("doctor", "--clean", "-y"),
    ("catalog", "rebuild"),
]
"""Names that the catalog of the sample knows; a new one does not."""


@pytest.fixture(autouse=True)
def _at_its_place(station: Workstation) -> None:
    """The sample was made elsewhere."""
    said = owner.decode(station.content(OWNER)).owner
    assert said is not None
    station.world.files.put(OWNER, File(owner.encode(replace(said, where=f"sqlite:///{station.catalog}"))))


def another(station: Workstation) -> str:
    """The URL of a catalog that is not there."""
    return f"sqlite:///{station.home}/another.sqlite"


def owned(station: Workstation) -> Any:
    return json.loads(station.content(OWNER))


def ids(run: Run, *options: str) -> list[str]:
    return [each["id"] for each in run(*options, "list", "-o", "json").json]


def disown(station: Workstation) -> None:
    """As snapctl left stores before it named their owners."""
    station.world.files.remove(OWNER)
    station.sql("DELETE FROM store")


def make_another(station: Workstation) -> str:
    """A catalog that owns another store, and so has an id."""
    url = another(station)
    station.world.add("other").start().tick()
    station.configure(f'catalog = "{url}"\n[store]\npath = "/elsewhere"\n')
    assert station.main("checkpoint", "other", "first", "-q") == 0
    station.configure()
    return url


# --------------------------------------------------------------------------- who owns it


def test_first_change_writes_owner_with_private_file(run: Run, station: Workstation) -> None:
    said = owned(station)
    ((catalog_id,),) = station.sql("SELECT id FROM catalog")
    assert (said["catalog"], said["where"]) == (catalog_id, f"sqlite:///{station.catalog}")
    assert (said["host"], said["host_name"]) == (station.world.host.uuid, "twin")
    assert station.world.files[OWNER].mode == 0o600
    assert len(station.content(OWNER)) == owner.LENGTH


@pytest.mark.parametrize("argv", CHANGING, ids=" ".join)
@pytest.mark.parametrize("exists", [True, False])
def test_change_second_catalog_is_refused_and_changes_nothing(
    run: Run, station: Workstation, argv: tuple[str, ...], exists: bool
) -> None:
    url = make_another(station) if exists else another(station)
    before, files = station.seen(), sorted(os.listdir(station.home))
    result = run("--catalog", url, "-o", "json", *argv)
    assert result.code == 6, result
    assert station.seen() == before
    assert sorted(os.listdir(station.home)) == files
    assert f"belongs to the catalog sqlite:///{station.catalog} of" in result.error["message"]
    assert "snapctl catalog adopt" in result.error["hint"]


def test_list_second_catalog_tells_whose_the_store_is(run: Run, station: Workstation) -> None:
    url = another(station)
    result = run("--catalog", url, "list")
    assert result.code == 0
    assert f"there is no catalog {url} yet" in result.err
    assert f"belongs to the catalog sqlite:///{station.catalog}" in result.err
    assert not (station.home / "another.sqlite").exists()


def test_doctor_second_catalog_warns(run: Run, station: Workstation) -> None:
    result = run("--catalog", another(station), "doctor")
    assert result.code == 1
    assert "warning  owner" in result.out.replace("warn   ", "warning")
    assert not (station.home / "another.sqlite").exists()


# --------------------------------------------------------------------------- stores of before


def test_change_store_of_before_is_claimed_by_the_catalog_that_knows_it(run: Run, station: Workstation) -> None:
    disown(station)
    station.world.add("other").start().tick()  # which has nothing in that store
    for domain in ("web01", "other"):
        assert run("--catalog", another(station), "checkpoint", domain, "mine").code == 6
    assert OWNER not in station.world.files.files
    assert run("protect", "web01", "base").code == 0
    assert owned(station)["where"] == f"sqlite:///{station.catalog}"


def test_change_empty_store_is_claimed(run: Run, station: Workstation) -> None:
    url = make_another(station)
    assert json.loads(station.content("/elsewhere/store.json"))["where"] == url


def test_change_blank_owner_file_is_claimed(run: Run, station: Workstation, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a daemon leaves that was killed while it made the file."""
    monkeypatch.setattr("orchestrator.store.ownership.BLANK_S", 0.0)
    disown(station)
    station.world.files.put(OWNER, File(b"\0" * owner.LENGTH))
    assert run("protect", "web01", "base").code == 0
    assert owned(station)["where"] == f"sqlite:///{station.catalog}"


def test_change_damaged_owner_file_is_refused_until_adopted(run: Run, station: Workstation) -> None:
    station.world.files.put(OWNER, File(b"{nonsense"))
    assert "it is unknown whose the store is" in run("protect", "web01", "base").err
    assert run("catalog", "adopt", "-y").code == 0
    assert run("protect", "web01", "base").code == 0


def test_change_store_not_mounted_is_refused(run: Run, station: Workstation) -> None:
    """Else it would be made the owner of an empty mount point."""
    station.unmount()
    result = run("checkpoint", "db", "another")
    assert result.code == 6
    assert "mount it" in result.err
    assert STORE not in station.world.files.directories


# --------------------------------------------------------------------------- adopt


def test_adopt_makes_the_old_owner_a_stranger(run: Run, station: Workstation) -> None:
    url = another(station)
    before = ids(run)
    adopted = run("--catalog", url, "catalog", "adopt", "-y")
    assert (adopted.code, adopted.out) == (0, f"{STORE} adopted: 6 checkpoints of db, web01\n")
    assert ids(run, "--catalog", url) == before
    assert run("protect", "web01", "base").code == 6
    assert run("--catalog", url, "rollback", "web01", "experiment", "-y").code == 0
    assert run("--catalog", url, "doctor").code == 0


def test_adopt_dry_run_says_what_it_means_and_changes_nothing(run: Run, station: Workstation) -> None:
    before = station.seen()
    result = run("--catalog", another(station), "catalog", "adopt", "--dry-run")
    assert result.code == 0
    assert "record checkpoints of web01" in result.out
    assert f"from then on the catalog sqlite:///{station.catalog}" in result.out
    assert station.seen() == before


@pytest.mark.parametrize("url", ["its own", "another"])
def test_adopt_store_that_is_not_there_is_refused(run: Run, station: Workstation, url: str) -> None:
    station.unmount()
    before = station.seen()
    catalog = another(station) if url == "another" else f"sqlite:///{station.catalog}"
    result = run("--catalog", catalog, "catalog", "adopt", "-y")
    assert (result.code, station.seen()) == (6, before)
    assert result.err == (
        f"the store {STORE} is not there on twin; nothing was changed; "
        "mount it; if it is lost, first create an empty directory there\n"
    )
    assert not (station.home / "another.sqlite").exists()


def test_adopt_question_says_what_is_lost_in_plain_sentences(station: Workstation) -> None:
    station.world.files.remove(station.memory("experiment").replace("memory.save", "manifest.json"))
    with station._coordinator(another(station), STORE) as new:
        question = render.question(new.plan_adoption())
    assert question == (
        f"The store {STORE} has 5 checkpoints. 1 directory in it cannot be used. "
        f"The store belongs to the catalog sqlite:///{station.catalog} of {owned(station)['user']}@"
        f"{owned(station)['client']}: that catalog can change nothing in it afterwards, "
        f"and what only that catalog knows is lost. Adopt the store for the catalog {another(station)}?"
    )


def test_adopt_empty_mount_point_says_how_many_checkpoints_vanish(run: Run, station: Workstation) -> None:
    station.unmount()
    station.world.files.make_directory(STORE)
    assert "no longer list what is not in that store: " in run("catalog", "adopt", "--dry-run").out
    with station.session() as ours:
        question = render.question(ours.plan_adoption())
    assert question == (
        f"The store {STORE} has 0 checkpoints. 6 checkpoints of this host that this catalog has, but the store has "
        f"not, will no longer be listed. Adopt the store for the catalog sqlite:///{station.catalog}?"
    )


def test_adopt_without_terminal_needs_yes(run: Run, station: Workstation) -> None:
    assert run("--catalog", another(station), "catalog", "adopt").code == 2


def test_adopt_owner_itself_does_nothing(run: Run, station: Workstation) -> None:
    before = station.seen()
    assert "already belongs to this catalog" in run("catalog", "adopt", "-y").out
    assert station.seen() == before


def test_adopt_with_other_checkpoints_of_the_host_is_refused(run: Run, station: Workstation) -> None:
    result = run("--catalog", make_another(station), "catalog", "adopt", "-y")
    assert result.code == 6
    assert "name a new catalog" in result.err


def test_adopt_killed_before_the_owner_was_written_may_be_repeated(run: Run, station: Workstation) -> None:
    url = another(station)
    old = station.content(OWNER)
    assert run("--catalog", url, "catalog", "adopt", "-y").code == 0
    station.world.files.put(OWNER, File(old))
    assert run("--catalog", url, "protect", "web01", "base").code == 6
    assert run("--catalog", url, "catalog", "adopt", "-y").code == 0
    assert run("--catalog", url, "protect", "web01", "base").code == 0


def test_adopt_owner_at_work_is_busy(run: Run, station: Workstation) -> None:
    station.killed("saved.before", "checkpoint", "web01", "next")
    station.sql("UPDATE operation SET lease_until = '2999-01-01T00:00:00.000000+00:00'")  # this very process has it
    result = run("--catalog", another(station), "catalog", "adopt", "-y")
    assert result.code == 4
    assert "a checkpoint of web01 is in progress" in result.err


def test_adopt_job_on_a_disk_of_the_store_is_busy(run: Run, station: Workstation) -> None:
    station.machine().block_jobs = ("vda",)
    assert run("--catalog", another(station), "catalog", "adopt", "-y").code == 4


# --------------------------------------------------------------------------- catalogs that are not there


@pytest.mark.parametrize("argv", [("list",), ("tree",), ("usage",), ("verify",), ("doctor",), ("list", "web01")])
def test_reading_verb_makes_no_catalog(run: Run, station: Workstation, argv: tuple[str, ...]) -> None:
    station.world.files.remove(OWNER)
    assert run("--catalog", another(station), *argv).code in (0, 1)
    assert not (station.home / "another.sqlite").exists()


@pytest.mark.parametrize("url", ["sqlite:///x.db", "x.db", "sqlite:///./x.db", "../x.db"])
def test_relative_catalog_is_refused_with_the_absolute_one(run: Run, station: Workstation, url: str) -> None:
    result = run("--catalog", url, "-o", "json", "list")
    assert result.code == 2
    assert result.error["hint"].startswith(f"write sqlite:///{Path.cwd()}/")


# --------------------------------------------------------------------------- disks of another catalog


def own_store(station: Workstation) -> None:
    """Another user's configuration: a catalog and a store of their own, on the same hypervisor."""
    station.configure(f'catalog = "{another(station)}"\n[store]\npath = "/elsewhere"\n')


@pytest.mark.parametrize("argv", [("checkpoint", "web01", "mine"), ("checkpoint", "db", "mine", "--dry-run")])
def test_checkpoint_disk_of_another_catalog_is_refused(run: Run, station: Workstation, argv: tuple[str, ...]) -> None:
    own_store(station)
    before = station.seen()
    result = run("-o", "json", *argv)
    assert result.code == 6
    assert f"in the store of the catalog sqlite:///{station.catalog} of " in result.error["message"]
    assert "snapctl catalog adopt" in result.error["hint"]
    assert station.seen() == before


def test_checkpoint_disk_in_a_store_without_owner_names_who_made_it(run: Run, station: Workstation) -> None:
    own_store(station)
    station.world.files.remove(OWNER)
    result = run("-o", "json", "checkpoint", "web01", "mine")
    assert result.code == 6
    assert "the unknown catalog that created it for web01 on twin" in result.error["message"]


def test_checkpoint_file_that_only_lies_as_in_a_store_is_the_users_own(run: Run, station: Workstation) -> None:
    place = f"/images/{uuid4()}/{uuid4()}"
    station.world.files.make_directory(place)
    top = station.world.files.files.pop("/images/db-vda.qcow2")
    station.world.add("plain")
    station.world.files.files["/images/db-vda.qcow2"] = top
    machine = station.machine("plain")
    station.world.files.files[f"{place}/disk.qcow2"] = station.world.files.files.pop("/images/plain-vda.qcow2")
    assert machine.persistent_xml is not None
    machine.persistent_xml = machine.persistent_xml.replace("/images/plain-vda.qcow2", f"{place}/disk.qcow2")
    station.guest("plain").start().tick()
    assert run("checkpoint", "plain", "mine").code == 0


def test_rollback_domain_that_another_catalog_has_by_now_is_refused(run: Run, station: Workstation) -> None:
    """Alice's guest, which Bob checkpointed while her store had no owner: no advice to boot his frozen layer."""
    before = dict(station.world.files.files)
    own_store(station)
    manifest = next(path for path in before if path.endswith("manifest.json") and station.machine("db").uuid in path)
    top = next(iter(station.machine("db").tops().values()))
    theirs = f"/theirs/{station.machine('db').uuid}/{uuid4()}"
    station.world.files.make_directory(theirs)
    station.world.files.put(
        "/theirs/store.json", File(station.content(OWNER).replace(b'"catalog": "', b'"catalog": "x'))
    )
    station.world.files.put(f"{theirs}/manifest.json", File(station.content(manifest)))
    capacity = station.world.files.image(top).capacity
    station.world.files.put(f"{theirs}/vda.qcow2", Image(capacity=capacity, backing=top, backing_format="qcow2"))
    machine = station.machine("db")
    assert machine.running_xml is not None and machine.persistent_xml is not None
    machine.running_xml = machine.running_xml.replace(top, f"{theirs}/vda.qcow2")
    machine.persistent_xml = machine.persistent_xml.replace(top, f"{theirs}/vda.qcow2")
    station.configure()
    for argv in (("rollback", "db", "empty", "-y"), ("checkpoint", "db", "mine")):
        result = run("-o", "json", *argv)
        assert result.code == 6
        assert f"{theirs}/vda.qcow2, in the store of the catalog" in result.error["message"]


def test_checkpoint_catalog_older_than_its_store_is_refused(run: Run, station: Workstation) -> None:
    """A backup of the catalog was restored."""
    old = station.home / "old.sqlite"
    assert run("catalog", "backup", str(old)).code == 0
    assert run("checkpoint", "db", "later").code == 0
    for file in station.home.glob("catalog.sqlite*"):
        file.unlink()
    old.rename(station.catalog)
    for argv in (("checkpoint", "db", "mine"), ("rollback", "db", "empty", "-y")):
        result = run("-o", "json", *argv)
        assert result.code == 6
        assert "which is in the store, but not in the catalog" in result.error["message"]


def test_first_change_of_two_clients_at_once_both_own_the_store(run: Run, station: Workstation) -> None:
    url = another(station)
    station.configure(f'catalog = "{url}"\n[store]\npath = "/elsewhere"\n')
    for name in ("one", "two"):
        station.world.add(name).start().tick()
    with station._coordinator(url, "/elsewhere") as late:
        late.list()  # there is no catalog yet
        assert run("checkpoint", "one", "first").code == 0
        late.checkpoint("two", "second")
    assert [each["name"] for each in run("list", "-o", "json").json] == ["first", "second"]
