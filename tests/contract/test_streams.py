"""Layers pulled into the one above them: by a domain that exists for that alone, and under a running guest."""

from uuid import uuid4

import pytest

from orchestrator.errors import HypervisorError
from orchestrator.formats import domainxml
from orchestrator.model import Domain, GuestState, NewOverlay, Source
from orchestrator.ports import silent
from tests.contract.hosts import ContractHost
from tests.contract.overlays import restore, stack


def chain_on(host: ContractHost, domain: Domain, length: int) -> list[str]:
    """Overlays on the disk of a domain, each on the one before; the paths, the disk's own first."""
    storage, directory = host.hypervisor.storage, host.directory()
    storage.make_directory(directory)
    disk = domain.writable_disks[0]
    assert disk.source
    paths, formats = [disk.source.path], [disk.source.format]
    for number in range(length):
        path = f"{directory}/{number}.qcow2"
        below = {"backing": paths[-1], "backing_format": formats[-1]}
        storage.create_overlay(NewOverlay(target="vda", path=path, capacity=domain.capacities[disk.target], **below))
        paths.append(path)
        formats.append("qcow2")
    return paths


def backing(host: ContractHost, path: str) -> str | None:
    facts = host.hypervisor.storage.stat(path)
    assert facts is not None
    return facts.backing


def test_stream_in_helper_copies_data_and_leaves_nothing_behind(host: ContractHost) -> None:
    domain, domains = host.guest(), host.hypervisor.domains
    domains.destroy(domain.uuid)
    base, first, second, top = chain_on(host, domain, 3)
    uuid = str(uuid4())
    layer = Source(path=top, format="qcow2")
    domains.create_paused(domainxml.helper(domain.xml, uuid=uuid, name=f"helper-{uuid}", target="vda", layer=layer))
    seen = domains.get(uuid)
    assert seen and seen.state is GuestState.PAUSED and not seen.persistent
    assert [source.path for source in seen.disks[0].backing] == [second, first, base]
    domains.stream(uuid, "vda", base, silent)
    domains.destroy(uuid)
    assert domains.get(uuid) is None
    assert backing(host, top) == base and backing(host, second) == first


def test_stream_without_base_leaves_no_backing_file(host: ContractHost) -> None:
    domain, domains = host.guest(), host.hypervisor.domains
    domains.destroy(domain.uuid)
    *_, top = chain_on(host, domain, 1)
    uuid = str(uuid4())
    layer = Source(path=top, format="qcow2")
    domains.create_paused(domainxml.helper(domain.xml, uuid=uuid, name=f"helper-{uuid}", target="vda", layer=layer))
    domains.stream(uuid, "vda", None, silent)
    domains.destroy(uuid)
    assert backing(host, top) is None


def test_stream_in_running_guest_keeps_its_contents(host: ContractHost) -> None:
    domain, operator = host.manned_guest(disks=1)
    domains, base = host.hypervisor.domains, domain.sources()["vda"]
    for number in (1, 2):
        operator.remember(number)
        directory = host.directory()
        image = f"{directory}/memory.save"
        host.hypervisor.storage.make_directory(directory)
        found = domains.find(domain.name)
        assert found
        sources = stack(host.hypervisor, found, directory)
        domains.save(domain.uuid, image, silent)
        restore(host.hypervisor, image, sources)
        domains.resume(domain.uuid)
    domains.stream(domain.uuid, "vda", base, silent)
    seen = domains.get(domain.uuid)
    assert seen and seen.state is GuestState.RUNNING and not seen.block_jobs
    assert [source.path for source in seen.disks[0].backing] == [base]
    assert backing(host, sources["vda"].path) == base
    assert operator.recall() == (2, [2])


def test_create_paused_helper_on_file_in_use_is_refused(host: ContractHost) -> None:
    domain, domains = host.guest(), host.hypervisor.domains
    for path in chain_on(host, domain, 1):  # the guest's own disk, and what stands on it
        uuid, layer = str(uuid4()), Source(path=path, format="qcow2")
        with pytest.raises(HypervisorError, match="using the image"):
            domains.create_paused(domainxml.helper(domain.xml, uuid=uuid, name=uuid, target="vda", layer=layer))
        assert domains.get(uuid) is None


def test_lock_problem_file_in_use_is_told_from_a_free_one(host: ContractHost) -> None:
    domain, domains = host.guest(), host.hypervisor.domains
    uuid = str(uuid4())
    helpers = [
        domainxml.helper(
            domain.xml, uuid=uuid, name=f"helper-{uuid}", target="vda", layer=Source(path=path, format="qcow2")
        )
        for path in chain_on(host, domain, 1)
    ]
    for xml in helpers:
        assert "using the image" in (domains.lock_problem(xml) or "")
    domains.destroy(domain.uuid)
    for xml in helpers:
        assert domains.lock_problem(xml) is None
        assert domains.get(uuid) is None


def test_stopping_what_is_not_there_is_harmless(host: ContractHost) -> None:
    domain = host.guest()
    host.hypervisor.domains.stop_streaming(domain.uuid, "vda")
    host.hypervisor.domains.stop_streaming(str(uuid4()), "vda")
