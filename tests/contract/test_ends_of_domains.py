"""What libvirt keeps of a domain that is off: a managed-save image, a definition; and a copy of what a save wrote."""

from __future__ import annotations

import pytest

from orchestrator.errors import HypervisorError
from orchestrator.formats import domainxml, saveimage
from orchestrator.model import Domain, GuestState
from orchestrator.ports import silent
from tests.contract.hosts import ContractHost


def seen(host: ContractHost, domain: Domain) -> Domain:
    found = host.hypervisor.domains.get(domain.uuid)
    assert found is not None
    return found


def test_managed_save_image_names_its_disks_and_is_removed(host: ContractHost) -> None:
    domain = host.guest(disks=2)
    domains = host.hypervisor.domains
    assert domains.managed_save_xml(domain.uuid) is None
    host.managed_save(domain.name)
    assert seen(host, domain).managed_save
    xml = domains.managed_save_xml(domain.uuid)
    assert xml is not None
    assert [disk.source for disk in domainxml.disks(xml)] == [disk.source for disk in domain.disks]
    for _ in range(2):
        domains.remove_managed_save(domain.uuid)
        assert not seen(host, domain).managed_save
        assert domains.managed_save_xml(domain.uuid) is None


def test_managed_save_image_outlives_a_restore_of_another_image(host: ContractHost) -> None:
    domain, path = host.guest(), f"{host.directory()}.save"
    domains = host.hypervisor.domains
    domains.save(domain.uuid, path, silent)
    host.start(domain.name)
    host.managed_save(domain.name)

    domains.restore(path, domains.saved_definition(path))

    assert (seen(host, domain).state, seen(host, domain).managed_save) == (GuestState.PAUSED, True)
    domains.remove_managed_save(domain.uuid)
    assert (seen(host, domain).state, seen(host, domain).managed_save) == (GuestState.PAUSED, False)


def test_undefined_domain_is_gone_and_may_be_defined_again(host: ContractHost) -> None:
    domain = host.guest()
    domains = host.hypervisor.domains
    definition = domains.definition(domain.uuid)
    domains.undefine(domain.uuid)
    assert not seen(host, domain).persistent  # it runs, and is transient
    domains.destroy(domain.uuid)
    assert domains.get(domain.uuid) is None
    domains.undefine(domain.uuid)

    domains.define(definition)

    assert seen(host, domain).persistent


def test_renamed_copy_of_an_image_is_restored_under_the_new_name(host: ContractHost) -> None:
    """The image itself is not: libvirt knows the domain by its new name, and the image by the old one."""
    domain, path, copy = host.guest(), f"{host.directory()}.save", f"{host.directory()}.copy.save"
    domains, storage = host.hypervisor.domains, host.hypervisor.storage
    domains.save(domain.uuid, path, silent)
    new = f"{domain.name}-new"
    host.rename(domain.name, new)
    xml = domains.saved_definition(path)
    for named in (xml, domainxml.renamed(xml, new)):
        with pytest.raises(HypervisorError):
            domains.restore(path, named)

    storage.copy(path, copy)
    with pytest.raises(HypervisorError):
        storage.copy(path, copy)
    assert storage.sha256(copy, silent) == storage.sha256(path, silent)
    header = storage.read(copy, 0, saveimage.HEADER_LENGTH)
    length = saveimage.HEADER_LENGTH + saveimage.parse_header(header).data_length
    head = saveimage.renamed(storage.read(copy, 0, length), lambda text: domainxml.renamed(text, new))
    storage.overwrite(copy, head)
    with pytest.raises(HypervisorError):  # its mark is still to come
        domains.saved_definition(copy)
    storage.overwrite(copy, saveimage.WHOLE)
    domains.restore(copy, domains.saved_definition(copy))

    assert (seen(host, domain).name, seen(host, domain).state) == (new, GuestState.PAUSED)
    domains.destroy(domain.uuid)
    host.rename(new, domain.name)
