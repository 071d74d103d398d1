"""Directories, overlays and the bytes of files."""

import hashlib

import pytest

from orchestrator.errors import HypervisorError, NotFound
from orchestrator.formats.fingerprint import fingerprint, samples
from orchestrator.model import Domain, FileInfo, NewOverlay
from orchestrator.ports import silent
from tests.contract.hosts import SMALL, ContractHost

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


def test_a_directory_is_made_with_its_parents(host: ContractHost) -> None:
    storage, directory = host.hypervisor.storage, host.directory()
    assert storage.files(f"{directory}/a/b") is None
    for _ in range(2):
        storage.make_directory(f"{directory}/a/b")
        assert storage.files(f"{directory}/a/b") == storage.files(directory) == []


def test_an_empty_directory_is_removed_and_nothing_else(host: ContractHost) -> None:
    storage, directory = host.hypervisor.storage, host.directory()
    storage.make_directory(f"{directory}/a")
    for _ in range(2):
        storage.remove_directory(f"{directory}/a")
        assert storage.files(f"{directory}/a") is None
    assert storage.files(directory) == []


def test_names_are_those_of_files_and_directories(host: ContractHost) -> None:
    storage, directory = host.hypervisor.storage, host.directory()
    assert storage.names(directory) is None
    storage.make_directory(f"{directory}/inner")
    storage.make_directory(f"{directory}/inner/most")
    storage.write(f"{directory}/file", b"content")
    assert storage.names(directory) == ["file", "inner"]
    assert storage.names(f"{directory}/inner/most") == []


@pytest.mark.parametrize("content", ["a file", "a directory"])
def test_remove_directory_not_empty_is_kept(host: ContractHost, content: str) -> None:
    storage, directory = host.hypervisor.storage, host.directory()
    storage.make_directory(directory)
    if content == "a file":
        storage.create_overlay(overlay(host.guest(), f"{directory}/vda.qcow2"))
    else:
        storage.make_directory(f"{directory}/inner")
    before = storage.files(directory)
    with pytest.raises(HypervisorError):
        storage.remove_directory(directory)
    assert storage.files(directory) == before


@pytest.mark.parametrize("name", NAMES)
def test_an_overlay_is_as_it_was_ordered(host: ContractHost, name: str) -> None:
    storage, directory = host.hypervisor.storage, host.directory()
    wanted = overlay(host.guest(), f"{directory}/{name}")
    storage.make_directory(directory)
    storage.create_overlay(wanted)
    facts = storage.stat(wanted.path)
    assert facts == FileInfo(
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
    assert storage.stat(wanted.path) is None


def test_an_overlay_never_replaces_a_file(host: ContractHost) -> None:
    storage, directory = host.hypervisor.storage, host.directory()
    domain = host.guest()
    storage.make_directory(directory)
    storage.create_overlay(overlay(domain, f"{directory}/vda.qcow2"))
    before = storage.stat(f"{directory}/vda.qcow2")
    with pytest.raises(HypervisorError):
        host.connect().storage.create_overlay(overlay(domain, f"{directory}/vda.qcow2"))
    assert storage.stat(f"{directory}/vda.qcow2") == before


def test_an_overlay_needs_its_directory_and_its_backing_file(host: ContractHost) -> None:
    storage, directory, domain = host.hypervisor.storage, host.directory(), host.guest()
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


def test_stat_missing_file_or_directory_is_none(host: ContractHost) -> None:
    storage, directory = host.hypervisor.storage, host.directory()
    base = host.guest().disks[0].path
    assert storage.stat(f"{directory}/missing.qcow2") is None
    storage.make_directory(directory)
    assert storage.stat(f"{directory}/missing.qcow2") is None
    assert storage.stat(directory) is None
    assert storage.stat(f"{base}/below a file") is None


def test_stat_all_equals_stat_of_each(host: ContractHost) -> None:
    storage, directory, domain = host.hypervisor.storage, host.directory(), host.guest(disks=2)
    other = f"{directory}/other"
    storage.make_directory(other)
    paths = (f"{directory}/vda.qcow2", f"{directory}/vdb.qcow2", f"{other}/vda.qcow2")
    made = [overlay(domain, path) for path in paths]
    for each in made:
        storage.create_overlay(each)
    there = [*(each.path for each in made), made[0].backing]
    missing = [f"{directory}/missing.qcow2", other, f"{directory}/no/such", f"{made[0].path}/below a file"]
    assert storage.stat_all([*there, *missing]) == {path: storage.stat(path) for path in (*there, *missing)}
    assert all(storage.stat(path) for path in there) and not any(map(storage.stat, missing))
    assert storage.stat_all([]) == {}


def test_stat_all_shows_present_files(host: ContractHost) -> None:
    storage, directory, domain = host.hypervisor.storage, host.directory(), host.guest()
    paths = [f"{directory}/vda.qcow2", f"{directory}/vdb.qcow2"]
    storage.make_directory(directory)
    storage.create_overlay(overlay(domain, paths[0]))
    assert [facts is not None for facts in storage.stat_all(paths).values()] == [True, False]
    other = host.connect().storage
    other.remove(paths[0])
    other.create_overlay(overlay(domain, paths[1]))
    assert [facts is not None for facts in storage.stat_all(paths).values()] == [False, True]
    image = f"{directory}/memory.save"  # which no pool has made
    host.hypervisor.domains.save(domain.uuid, image, silent)
    assert storage.stat_all([image])[image]


def test_storage_changes_are_visible_to_other_clients(host: ContractHost) -> None:
    directory, domain = host.directory(), host.guest()
    mine, theirs = host.hypervisor.storage, host.connect().storage
    mine.make_directory(directory)
    assert theirs.files(directory) == []
    mine.create_overlay(overlay(domain, f"{directory}/one.qcow2"))
    assert theirs.stat(f"{directory}/one.qcow2") == mine.stat(f"{directory}/one.qcow2") is not None
    theirs.remove(f"{directory}/one.qcow2")
    assert mine.stat(f"{directory}/one.qcow2") is None
    mine.create_overlay(overlay(domain, f"{directory}/one.qcow2"))
    theirs.remove(f"{directory}/one.qcow2")
    mine.remove_directory(directory)
    assert theirs.files(directory) is None
    mine.make_directory(directory)
    assert theirs.files(directory) == []


def test_a_client_that_leaves_takes_nothing_from_the_others(host: ContractHost) -> None:
    directory, other = host.directory(), host.connect()
    host.hypervisor.storage.make_directory(directory)
    assert other.storage.files(directory) == []
    other.close()
    host.hypervisor.storage.create_overlay(overlay(host.guest(), f"{directory}/vda.qcow2"))
    assert host.hypervisor.storage.stat(f"{directory}/vda.qcow2")


def test_stat_changes_with_the_file(host: ContractHost) -> None:
    domain, path = host.guest(), f"{host.directory()}.save"
    seen = []
    for _ in range(2):
        host.hypervisor.domains.save(domain.uuid, path, silent)
        seen.append(host.hypervisor.storage.stat(path))
        host.start(domain.name)
    assert seen[0] and seen[1] and seen[0].mtime != seen[1].mtime


def test_any_part_of_a_file_can_be_read(host: ContractHost) -> None:
    storage, directory = host.hypervisor.storage, host.directory()
    path = f"{directory}/vda.qcow2"
    storage.make_directory(directory)
    storage.create_overlay(overlay(host.guest(), path))
    content = storage.read(path, 0, 1 << 20)
    assert storage.read(path, 3, 10) == content[3:13]
    assert storage.read(path, len(content) - 5, 100) == content[-5:]
    assert storage.read(path, len(content), 10) == b""
    assert storage.read(path, 0, 0) == b""


def test_a_file_is_hashed_whole(host: ContractHost) -> None:
    storage, directory = host.hypervisor.storage, host.directory()
    path = f"{directory}/vda.qcow2"
    storage.make_directory(directory)
    storage.create_overlay(overlay(host.guest(), path))
    content = storage.read(path, 0, 1 << 20)
    told: list[tuple[str, int, int]] = []
    assert storage.sha256(path, lambda *progress: told.append(progress)) == hashlib.sha256(content).hexdigest()
    assert told[-1] == ("hash", len(content), len(content))


def test_hashing_can_be_interrupted(host: ContractHost) -> None:
    storage, base = host.hypervisor.storage, host.guest().disks[0].path
    assert base is not None

    def interrupt(what: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        storage.sha256(base, interrupt)
    assert storage.read(base, 0, 4) == b"QFI\xfb"


def test_read_and_sha256_missing_file_raise_not_found(host: ContractHost) -> None:
    storage, path = host.hypervisor.storage, f"{host.directory()}/missing"
    with pytest.raises(NotFound):
        storage.read(path, 0, 1)
    with pytest.raises(NotFound):
        storage.sha256(path, silent)


def test_remove_is_for_files_and_harmless_without_one(host: ContractHost) -> None:
    storage, directory = host.hypervisor.storage, host.directory()
    storage.remove(f"{directory}/missing")
    storage.make_directory(directory)
    storage.remove(f"{directory}/missing")
    with pytest.raises(HypervisorError):
        storage.remove(directory)
    assert storage.files(directory) == []


def test_free_space_is_that_of_the_nearest_directory(host: ContractHost) -> None:
    storage, directory = host.hypervisor.storage, host.directory()
    assert storage.free_bytes(f"{directory}/not/made/yet") > 0
    assert storage.files(directory) is None
    small = host.small_directory()
    assert 0 <= storage.free_bytes(f"{small}/not/made/yet") <= SMALL
    for place in (directory, small):
        assert storage.free_bytes(place) <= storage.total_bytes(f"{place}/not/made/yet")


def test_a_client_finds_back_after_the_daemon_was_restarted(fragile_host: ContractHost) -> None:
    directory, domain = fragile_host.directory(), fragile_host.guest()
    storage = fragile_host.hypervisor.storage
    storage.make_directory(directory)
    fragile_host.restart_daemon()
    seen = fragile_host.hypervisor.domains.get(domain.uuid)
    assert seen and seen.run_id == domain.run_id
    storage.create_overlay(overlay(domain, f"{directory}/vda.qcow2"))
    assert storage.stat(f"{directory}/vda.qcow2")


# --------------------------------------------------------------------------- fingerprints


@pytest.mark.parametrize("name", ["a.iso", "a ]]> & \" ' <ü>.iso"])
def test_fingerprints_are_those_of_size_and_content(host: ContractHost, name: str) -> None:
    storage, directory = host.hypervisor.storage, host.directory()
    storage.make_directory(directory)
    path, other, missing = (f"{directory}/{each}" for each in (name, "other", "missing"))
    storage.write(path, b"content")
    storage.write(other, b"another")
    found = storage.fingerprints([path, missing, other, path])
    assert found == {path: fingerprint(7, [b"content"]), other: fingerprint(7, [b"another"]), missing: None}
    assert storage.fingerprints([]) == {}


def test_fingerprints_of_many_files_are_read(host: ContractHost) -> None:
    storage, directory = host.hypervisor.storage, host.directory()
    storage.make_directory(directory)
    contents = {f"{directory}/{number}": str(number).encode() for number in range(40)}
    for path, content in contents.items():
        storage.write(path, content)
    assert storage.fingerprints(list(contents)) == {
        path: fingerprint(len(content), [content]) for path, content in contents.items()
    }
    assert not [each.name for each in host.hypervisor.domains.all() if "peek" in each.name]


def test_fingerprints_of_an_image_are_those_of_its_bytes(host: ContractHost) -> None:
    """Whatever its format is, and while a guest has it open."""
    storage, domain = host.hypervisor.storage, host.guest(disks=2)
    sources = [disk.source for disk in domain.disks if disk.source is not None]
    found = storage.fingerprints([source.path for source in sources])
    for source in sources:
        info = storage.stat(source.path)
        assert info is not None
        content = (storage.read(source.path, offset, length) for offset, length in samples(info.physical))
        assert found[source.path] == fingerprint(info.physical, content)
