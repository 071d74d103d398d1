"""Directories, overlays and the bytes of files."""

import hashlib

import pytest

from orchestrator.errors import HypervisorError, NotFound
from orchestrator.model import Domain, FileFacts, NewOverlay
from orchestrator.ports import silent
from tests.contract.labs import SMALL, Lab

NAMES = ["vda.qcow2", "a ]]> & \" ' <ü>.qcow2", "--help.qcow2", ".hidden.qcow2", "%2e%2e.qcow2"]


def overlay(domain: Domain, path: str) -> NewOverlay:
    """An overlay on the first disk of a domain."""
    source = domain.disks[0].source
    assert source is not None
    return NewOverlay(
        target="vda",
        path=path,
        backing=source.path,
        backing_format=source.format,
        capacity=domain.capacities["vda"],
    )


def test_a_directory_is_made_with_its_parents(lab: Lab) -> None:
    storage, directory = lab.hypervisor.storage, lab.directory()
    assert storage.files(f"{directory}/a/b") is None
    for _ in range(2):
        storage.make_directory(f"{directory}/a/b")
        assert storage.files(f"{directory}/a/b") == storage.files(directory) == []


def test_an_empty_directory_is_removed_and_nothing_else(lab: Lab) -> None:
    storage, directory = lab.hypervisor.storage, lab.directory()
    storage.make_directory(f"{directory}/a")
    for _ in range(2):
        storage.remove_directory(f"{directory}/a")
        assert storage.files(f"{directory}/a") is None
    assert storage.files(directory) == []


@pytest.mark.parametrize("content", ["a file", "a directory"])
def test_a_directory_that_is_not_empty_stays(lab: Lab, content: str) -> None:
    storage, directory = lab.hypervisor.storage, lab.directory()
    storage.make_directory(directory)
    if content == "a file":
        storage.create_overlay(overlay(lab.guest(), f"{directory}/vda.qcow2"))
    else:
        storage.make_directory(f"{directory}/inner")
    before = storage.files(directory)
    with pytest.raises(HypervisorError):
        storage.remove_directory(directory)
    assert storage.files(directory) == before


@pytest.mark.parametrize("name", NAMES)
def test_an_overlay_is_as_it_was_ordered(lab: Lab, name: str) -> None:
    storage, directory = lab.hypervisor.storage, lab.directory()
    wanted = overlay(lab.guest(), f"{directory}/{name}")
    storage.make_directory(directory)
    storage.create_overlay(wanted)
    facts = storage.facts(wanted.path)
    assert facts == FileFacts(
        path=wanted.path,
        physical=len(storage.read(wanted.path, 0, 1 << 20)),
        allocation=facts.allocation if facts else 0,
        capacity=wanted.capacity,
        format="qcow2",
        mode=0o600,
        mtime=facts.mtime if facts else "",
        backing=wanted.backing,
    )
    assert storage.files(directory) == [facts]
    assert storage.read(wanted.path, 0, 4) == b"QFI\xfb"
    storage.remove(wanted.path)
    assert storage.facts(wanted.path) is None


def test_an_overlay_never_replaces_a_file(lab: Lab) -> None:
    storage, directory = lab.hypervisor.storage, lab.directory()
    domain = lab.guest()
    storage.make_directory(directory)
    storage.create_overlay(overlay(domain, f"{directory}/vda.qcow2"))
    before = storage.facts(f"{directory}/vda.qcow2")
    with pytest.raises(HypervisorError):
        lab.connect().storage.create_overlay(overlay(domain, f"{directory}/vda.qcow2"))
    assert storage.facts(f"{directory}/vda.qcow2") == before


def test_an_overlay_needs_its_directory_and_its_backing_file(lab: Lab) -> None:
    storage, directory, domain = lab.hypervisor.storage, lab.directory(), lab.guest()
    with pytest.raises(HypervisorError):
        storage.create_overlay(overlay(domain, f"{directory}/vda.qcow2"))
    storage.make_directory(directory)
    orphan = NewOverlay(
        target="vda",
        path=f"{directory}/vda.qcow2",
        backing=f"{directory}/missing.qcow2",
        backing_format="qcow2",
        capacity=1 << 20,
    )
    with pytest.raises(HypervisorError):
        storage.create_overlay(orphan)
    assert storage.files(directory) == []


def test_no_facts_of_what_is_no_file(lab: Lab) -> None:
    storage, directory = lab.hypervisor.storage, lab.directory()
    base = lab.guest().disks[0].path
    assert storage.facts(f"{directory}/missing.qcow2") is None
    storage.make_directory(directory)
    assert storage.facts(f"{directory}/missing.qcow2") is None
    assert storage.facts(directory) is None
    assert storage.facts(f"{base}/below a file") is None


def test_the_facts_of_several_files_are_those_of_each(lab: Lab) -> None:
    storage, directory, domain = lab.hypervisor.storage, lab.directory(), lab.guest(disks=2)
    other = f"{directory}/other"
    storage.make_directory(other)
    paths = (f"{directory}/vda.qcow2", f"{directory}/vdb.qcow2", f"{other}/vda.qcow2")
    made = [overlay(domain, path) for path in paths]
    for each in made:
        storage.create_overlay(each)
    there = [*(each.path for each in made), made[0].backing]
    missing = [f"{directory}/missing.qcow2", other, f"{directory}/no/such", f"{made[0].path}/below a file"]
    assert storage.facts_of([*there, *missing]) == {path: storage.facts(path) for path in (*there, *missing)}
    assert all(storage.facts(path) for path in there) and not any(map(storage.facts, missing))
    assert storage.facts_of([]) == {}


def test_several_files_are_looked_at_as_they_are_now(lab: Lab) -> None:
    storage, directory, domain = lab.hypervisor.storage, lab.directory(), lab.guest()
    paths = [f"{directory}/vda.qcow2", f"{directory}/vdb.qcow2"]
    storage.make_directory(directory)
    storage.create_overlay(overlay(domain, paths[0]))
    assert [facts is not None for facts in storage.facts_of(paths).values()] == [True, False]
    other = lab.connect().storage
    other.remove(paths[0])
    other.create_overlay(overlay(domain, paths[1]))
    assert [facts is not None for facts in storage.facts_of(paths).values()] == [False, True]
    image = f"{directory}/memory.save"  # which no pool has made
    lab.hypervisor.domains.save(domain.uuid, image, silent)
    assert storage.facts_of([image])[image]


def test_each_client_sees_what_the_others_do(lab: Lab) -> None:
    directory, domain = lab.directory(), lab.guest()
    mine, theirs = lab.hypervisor.storage, lab.connect().storage
    mine.make_directory(directory)
    assert theirs.files(directory) == []
    mine.create_overlay(overlay(domain, f"{directory}/one.qcow2"))
    assert theirs.facts(f"{directory}/one.qcow2") == mine.facts(f"{directory}/one.qcow2") is not None
    theirs.remove(f"{directory}/one.qcow2")
    assert mine.facts(f"{directory}/one.qcow2") is None
    mine.create_overlay(overlay(domain, f"{directory}/one.qcow2"))
    theirs.remove(f"{directory}/one.qcow2")
    mine.remove_directory(directory)
    assert theirs.files(directory) is None
    mine.make_directory(directory)
    assert theirs.files(directory) == []


def test_a_client_that_leaves_takes_nothing_from_the_others(lab: Lab) -> None:
    directory, other = lab.directory(), lab.connect()
    lab.hypervisor.storage.make_directory(directory)
    assert other.storage.files(directory) == []
    other.close()
    lab.hypervisor.storage.create_overlay(overlay(lab.guest(), f"{directory}/vda.qcow2"))
    assert lab.hypervisor.storage.facts(f"{directory}/vda.qcow2")


def test_the_facts_of_a_file_change_with_it(lab: Lab) -> None:
    domain, path = lab.guest(), f"{lab.directory()}.save"
    seen = []
    for _ in range(2):
        lab.hypervisor.domains.save(domain.uuid, path, silent)
        seen.append(lab.hypervisor.storage.facts(path))
        lab.start(domain.name)
    assert seen[0] and seen[1] and seen[0].mtime != seen[1].mtime


def test_any_part_of_a_file_can_be_read(lab: Lab) -> None:
    storage, directory = lab.hypervisor.storage, lab.directory()
    path = f"{directory}/vda.qcow2"
    storage.make_directory(directory)
    storage.create_overlay(overlay(lab.guest(), path))
    content = storage.read(path, 0, 1 << 20)
    assert storage.read(path, 3, 10) == content[3:13]
    assert storage.read(path, len(content) - 5, 100) == content[-5:]
    assert storage.read(path, len(content), 10) == b""
    assert storage.read(path, 0, 0) == b""


def test_a_file_is_hashed_whole(lab: Lab) -> None:
    storage, directory = lab.hypervisor.storage, lab.directory()
    path = f"{directory}/vda.qcow2"
    storage.make_directory(directory)
    storage.create_overlay(overlay(lab.guest(), path))
    content = storage.read(path, 0, 1 << 20)
    told: list[tuple[str, int, int]] = []
    assert storage.sha256(path, lambda *progress: told.append(progress)) == hashlib.sha256(content).hexdigest()
    assert told[-1] == ("hash", len(content), len(content))


def test_hashing_can_be_interrupted(lab: Lab) -> None:
    storage, base = lab.hypervisor.storage, lab.guest().disks[0].path
    assert base is not None

    def interrupt(what: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        storage.sha256(base, interrupt)
    assert storage.read(base, 0, 4) == b"QFI\xfb"


def test_what_is_not_there_cannot_be_read(lab: Lab) -> None:
    storage, path = lab.hypervisor.storage, f"{lab.directory()}/missing"
    with pytest.raises(NotFound):
        storage.read(path, 0, 1)
    with pytest.raises(NotFound):
        storage.sha256(path, silent)


def test_remove_is_for_files_and_harmless_without_one(lab: Lab) -> None:
    storage, directory = lab.hypervisor.storage, lab.directory()
    storage.remove(f"{directory}/missing")
    storage.make_directory(directory)
    storage.remove(f"{directory}/missing")
    with pytest.raises(HypervisorError):
        storage.remove(directory)
    assert storage.files(directory) == []


def test_free_space_is_that_of_the_nearest_directory(lab: Lab) -> None:
    storage, directory = lab.hypervisor.storage, lab.directory()
    assert storage.free_bytes(f"{directory}/not/made/yet") > 0
    assert storage.files(directory) is None
    small = lab.small_directory()
    assert 0 <= storage.free_bytes(f"{small}/not/made/yet") <= SMALL
    for place in (directory, small):
        assert storage.free_bytes(place) <= storage.total_bytes(f"{place}/not/made/yet")


def test_a_client_finds_back_after_the_daemon_was_restarted(fragile_lab: Lab) -> None:
    directory, domain = fragile_lab.directory(), fragile_lab.guest()
    storage = fragile_lab.hypervisor.storage
    storage.make_directory(directory)
    fragile_lab.restart_daemon()
    seen = fragile_lab.hypervisor.domains.get(domain.uuid)
    assert seen and seen.run_id == domain.run_id
    storage.create_overlay(overlay(domain, f"{directory}/vda.qcow2"))
    assert storage.facts(f"{directory}/vda.qcow2")
