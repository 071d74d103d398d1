"""Domains as they are, and the small verbs."""

from dataclasses import replace
from uuid import uuid4

import pytest

from orchestrator.errors import HypervisorError, NotFound
from orchestrator.formats import domainxml
from orchestrator.model import GuestState, OffReason, Source
from orchestrator.ports import silent
from tests.contract.hosts import ContractHost
from tests.contract.overlays import restore, stack


def test_a_host_is_the_same_for_every_client(host: ContractHost) -> None:
    found = host.hypervisor.host
    assert found == host.connect().host
    assert found.uuid and found.name
    assert found.uri.startswith("qemu") and "?" not in found.uri
    assert all(part.isdecimal() for part in (*found.libvirt_version.split("."), *found.qemu_version.split(".")))


def test_a_domain_is_found_by_name_and_by_uuid(host: ContractHost) -> None:
    uuid, domains = host.guest().uuid, host.hypervisor.domains
    domain = domains.get(uuid)
    assert domain and domains.find(domain.name) == domains.find(uuid) == domain
    assert domain in domains.all()


def test_disks_of_all_domains_equal_those_of_each(host: ContractHost) -> None:
    host.guest(disks=2)
    domains = host.hypervisor.domains
    told = {each.uuid: (each.name, each.disks, each.persistent_disks) for each in domains.disks()}
    assert told == {each.uuid: (each.name, each.disks, each.persistent_disks) for each in domains.all()}


def test_find_and_get_unknown_domain_is_none(host: ContractHost) -> None:
    assert host.hypervisor.domains.find("no such domain") is None
    assert host.hypervisor.domains.find(str(uuid4())) is None
    assert host.hypervisor.domains.get(str(uuid4())) is None


def test_get_running_domain_reads_all_fields(host: ContractHost) -> None:
    domain = host.guest(disks=2)
    assert domain.state is GuestState.RUNNING
    assert domain.run_id is not None
    assert domain.off_reason is None
    assert domain.persistent
    assert domain.job is None and domain.block_jobs == ()
    assert not domain.managed_save and domain.libvirt_snapshots == domain.libvirt_checkpoints == ()
    assert [disk.target for disk in domain.disks] == ["vda", "vdb"]
    assert domain.sources() == domain.persistent_sources()
    assert domain.disks == domainxml.disks(domain.xml)
    assert domain.memory_bytes == 128 << 20
    assert domain.machine and domain.cpu and domain.emulator


def test_a_domain_is_measured_on_demand_only(host: ContractHost) -> None:
    seen = host.hypervisor.domains.get(host.guest(disks=2).uuid)
    assert seen and seen.capacities == {}
    domain = host.hypervisor.domains.measured(seen)
    assert domain == replace(seen, capacities=domain.capacities)
    assert set(domain.capacities) == {"vda", "vdb"}
    for target, path in domain.sources().items():
        facts = host.hypervisor.storage.stat(path or "")
        assert facts and facts.capacity == domain.capacities[target]


def test_measured_resident_bytes_only_of_a_running_guest(host: ContractHost) -> None:
    uuid, domains = host.guest().uuid, host.hypervisor.domains
    seen = domains.get(uuid)
    assert seen and seen.resident_bytes is None
    resident = domains.measured(seen).resident_bytes
    assert resident is not None and resident > 1 << 20
    domains.destroy(uuid)
    off = domains.get(uuid)
    assert off and domains.measured(off).resident_bytes is None
    assert set(domains.measured(off).capacities) == {"vda"}


def test_measured_missing_domain_raises_not_found(host: ContractHost) -> None:
    domain = host.guest()
    with pytest.raises(NotFound):
        host.hypervisor.domains.measured(replace(domain, uuid=str(uuid4())))


def test_run_id_changes_with_each_start(host: ContractHost) -> None:
    before = host.guest()
    host.hypervisor.domains.destroy(before.uuid)
    host.start(before.name)
    after = host.hypervisor.domains.get(before.uuid)
    assert after and after.run_id != before.run_id


def test_a_destroyed_domain_says_so(host: ContractHost) -> None:
    domain = host.guest()
    host.hypervisor.domains.destroy(domain.uuid)
    off = host.hypervisor.domains.get(domain.uuid)
    assert off and off.state is GuestState.OFF and off.run_id is None and off.off_reason is OffReason.DESTROYED
    assert off.disks == off.persistent_disks


def test_destroy_is_harmless_when_there_is_nothing_to_destroy(host: ContractHost) -> None:
    domain = host.guest()
    host.hypervisor.domains.destroy(domain.uuid)
    host.hypervisor.domains.destroy(domain.uuid)
    host.hypervisor.domains.destroy(str(uuid4()))


def test_destroy_transient_domain_removes_it(host: ContractHost) -> None:
    domain = host.guest(persistent=False)
    assert not domain.persistent and domain.persistent_disks == ()
    host.hypervisor.domains.destroy(domain.uuid)
    assert host.hypervisor.domains.get(domain.uuid) is None


def test_resume_ends_a_pause_and_is_harmless_then(host: ContractHost) -> None:
    domain = host.guest()
    host.suspend(domain.name)
    paused = host.hypervisor.domains.get(domain.uuid)
    assert paused and paused.state is GuestState.PAUSED
    for _ in range(2):
        host.hypervisor.domains.resume(domain.uuid)
        running = host.hypervisor.domains.get(domain.uuid)
        assert running and running.state is GuestState.RUNNING


def test_a_domain_that_is_off_cannot_be_resumed_or_saved(host: ContractHost) -> None:
    domain = host.guest()
    host.hypervisor.domains.destroy(domain.uuid)
    with pytest.raises(HypervisorError):
        host.hypervisor.domains.resume(domain.uuid)
    path = f"{host.directory()}.save"
    with pytest.raises(HypervisorError):
        host.hypervisor.domains.save(domain.uuid, path, silent)
    assert host.hypervisor.storage.stat(path) is None


def test_an_unknown_domain_is_not_found(host: ContractHost) -> None:
    domains, unknown = host.hypervisor.domains, str(uuid4())
    for call in (domains.definition, domains.resume, lambda uuid: domains.save(uuid, "/images/x.save", silent)):
        with pytest.raises(NotFound):
            call(unknown)
    domains.wait_for_job(unknown)


def test_define_moves_the_persistent_disks_and_not_those_of_the_running_guest(host: ContractHost) -> None:
    domain = host.guest(disks=2)
    sources = stack(host.hypervisor, domain, host.directory())
    host.hypervisor.domains.define(domainxml.on_disks(host.hypervisor.domains.definition(domain.uuid), sources))
    seen = host.hypervisor.domains.get(domain.uuid)
    assert seen
    assert seen.persistent_sources() == {target: source.path for target, source in sources.items()}
    assert (seen.sources(), seen.run_id, seen.state) == (domain.sources(), domain.run_id, GuestState.RUNNING)


def test_the_chain_of_a_running_guest_is_listed_nearest_first(host: ContractHost) -> None:
    hypervisor, domain, image = host.hypervisor, host.guest(), f"{host.directory()}.save"
    hypervisor.domains.save(domain.uuid, image, silent)
    middle = stack(hypervisor, domain, host.directory())
    hypervisor.domains.define(domainxml.on_disks(hypervisor.domains.definition(domain.uuid), middle))
    repointed = hypervisor.domains.find(domain.name)
    assert repointed
    top = stack(hypervisor, repointed, host.directory())
    restore(hypervisor, image, top)
    live = hypervisor.domains.get(domain.uuid)
    assert live and live.disks[0].source == top["vda"]
    assert live.disks[0].backing == (middle["vda"], domain.disks[0].source)


def test_define_name_of_another_domain_is_refused(host: ContractHost) -> None:
    domain = host.guest()
    xml = host.hypervisor.domains.definition(domain.uuid).replace(domain.uuid, str(uuid4()))
    with pytest.raises(HypervisorError):
        host.hypervisor.domains.define(xml)


def test_a_source_may_have_any_name(host: ContractHost) -> None:
    domain = host.guest()
    odd = Source(path=f"{host.directory()}/a ]]> & \" ' <ü>.qcow2", format="qcow2")
    host.hypervisor.domains.define(domainxml.on_disks(host.hypervisor.domains.definition(domain.uuid), {"vda": odd}))
    seen = host.hypervisor.domains.get(domain.uuid)
    assert seen and seen.persistent_disks[0].source == odd
