"""Small files that snapctl writes itself, the directories around them, and what an image says without secrets."""

import pytest

from orchestrator.errors import HypervisorError, NotFound
from orchestrator.formats import domainxml
from orchestrator.ports import silent
from tests.contract.hosts import ContractHost

CONTENTS = [b"{}\n", b"\0" * 10, "ü ]]> <x/>".encode(), bytes(range(256)) * 4096]


@pytest.mark.parametrize("content", CONTENTS, ids=["text", "zeros", "not ascii", "1 MiB"])
def test_a_file_holds_what_was_written(host: ContractHost, content: bytes) -> None:
    storage, directory = host.hypervisor.storage, host.directory()
    path = f"{directory}/manifest.json"
    storage.make_directory(directory)
    storage.write(path, content)
    facts = host.connect().storage.stat(path)
    assert facts is not None
    assert (facts.physical, facts.mode, facts.format) == (len(content), 0o600, "raw")
    assert storage.read(path, 0, len(content) + 1) == content
    assert storage.files(directory) == [facts]


def test_the_last_one_to_write_is_right(host: ContractHost) -> None:
    directory = host.directory()
    path = f"{directory}/manifest.json"
    mine, theirs = host.hypervisor.storage, host.connect().storage
    mine.make_directory(directory)
    for writer, content in ((mine, b"a long first one"), (theirs, b"shorter"), (mine, b"and a longer one again")):
        writer.write(path, content)
        for reader in (mine, theirs):
            assert reader.read(path, 0, 100) == content
    mine.remove(path)
    theirs.write(path, b"anew")
    assert mine.read(path, 0, 100) == b"anew"


def test_write_needs_the_directory_and_replaces_no_file(host: ContractHost) -> None:
    storage, directory = host.hypervisor.storage, host.directory()
    with pytest.raises(HypervisorError):
        storage.write(f"{directory}/manifest.json", b"{}")
    assert storage.files(directory) is None
    storage.make_directory(f"{directory}/inner")
    with pytest.raises(HypervisorError):
        storage.write(f"{directory}/inner", b"{}")
    assert storage.files(f"{directory}/inner") == []


def test_directories_are_listed_apart_from_files(host: ContractHost) -> None:
    storage, directory = host.hypervisor.storage, host.directory()
    assert storage.directories(directory) is None
    storage.make_directory(f"{directory}/b")
    storage.write(f"{directory}/file", b"x")
    host.connect().storage.make_directory(f"{directory}/a/inner")
    found = storage.directories(directory)
    assert found is not None
    assert [(each.path, each.format, each.mode) for each in found] == [
        (f"{directory}/a", "dir", 0o711),
        (f"{directory}/b", "dir", 0o711),
    ]
    assert storage.directories(f"{directory}/b") == []
    assert storage.directories(f"{directory}/file") is None


def test_saved_xml_is_that_of_the_domain(host: ContractHost) -> None:
    hypervisor, domain, path = host.hypervisor, host.guest(disks=2), f"{host.directory()}.save"
    hypervisor.domains.save(domain.uuid, path, silent)
    said = domainxml.definition(hypervisor.domains.saved_xml(path))
    assert (said.uuid, said.name, said.emulator, said.machine) == (
        domain.uuid, domain.name, domain.emulator, domain.machine,
    )  # fmt: skip
    assert [(disk.target, disk.path) for disk in said.disks] == [(disk.target, disk.path) for disk in domain.disks]


def test_create_file_name_taken_changes_nothing(host: ContractHost) -> None:
    directory = host.directory()
    path = f"{directory}/store.json"
    mine, theirs = host.hypervisor.storage, host.connect().storage
    mine.make_directory(directory)
    assert theirs.files(directory) == []  # so that it has the directory as it was
    assert mine.create_file(path, b"mine") is True
    assert theirs.create_file(path, b"theirs, and longer") is False
    assert mine.create_file(path, b"me") is False
    facts = theirs.stat(path)
    assert facts is not None
    assert (facts.physical, facts.mode, facts.format) == (4, 0o600, "raw")
    assert theirs.read(path, 0, 100) == b"mine"
    assert mine.files(directory) == [facts]
    mine.remove(path)
    assert theirs.create_file(path, b"theirs, and longer") is True
    assert mine.read(path, 0, 100) == b"theirs, and longer"


def test_create_file_needs_the_directory(host: ContractHost) -> None:
    directory = host.directory()
    with pytest.raises(HypervisorError):
        host.hypervisor.storage.create_file(f"{directory}/store.json", b"{}")


def test_the_beginning_of_a_file_is_overwritten(host: ContractHost) -> None:
    storage, directory = host.hypervisor.storage, host.directory()
    storage.make_directory(directory)
    storage.write(f"{directory}/file", b"before and after")
    storage.overwrite(f"{directory}/file", b"BEFORE")
    assert storage.read(f"{directory}/file", 0, 100) == b"BEFORE and after"
    with pytest.raises(NotFound):
        storage.overwrite(f"{directory}/none", b"BEFORE")
