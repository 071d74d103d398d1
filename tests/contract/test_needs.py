"""What the host can start, and what becomes of a restore when it lacks something."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from orchestrator.errors import HypervisorError
from orchestrator.formats.needs import needs
from orchestrator.model import Domain, GuestState
from orchestrator.ports import silent
from tests.contract.hosts import ContractHost

POSSIBLE, IMPOSSIBLE = (
    f'<cpu mode="custom" match="exact"><model fallback="forbid">qemu64</model>{feature}</cpu>'
    for feature in ("", '<feature policy="require" name="hle"/>')
)
LAN = "lan77"


def saved(host: ContractHost, domain: Domain) -> str:
    """The path of its memory image."""
    directory = host.directory()
    host.hypervisor.storage.make_directory(directory)
    host.hypervisor.domains.save(domain.uuid, f"{directory}/memory.save", silent)
    return f"{directory}/memory.save"


def state_of(host: ContractHost, domain: Domain) -> GuestState:
    found = host.hypervisor.domains.get(domain.uuid)
    assert found
    return found.state


def test_what_runs_can_be_run(host: ContractHost) -> None:
    domain = host.guest()
    wanted = needs(domain.xml)
    domains = host.hypervisor.domains
    assert domains.platform_problem(wanted.platform) is None
    assert domains.platform_problem(wanted.platform) is None  # as it was told before
    assert domains.cpu_problem(wanted.platform, wanted.cpu or POSSIBLE) is None


@pytest.mark.parametrize(("lacking", "name"), [("machine", "pc-i440fx-99.2"), ("emulator", "/usr/bin/no-such-qemu")])
def test_a_platform_that_the_host_does_not_have(host: ContractHost, lacking: str, name: str) -> None:
    platform = replace(needs(host.guest().xml).platform, **{lacking: name})
    assert name in (host.hypervisor.domains.platform_problem(platform) or "")


def test_a_cpu_that_the_host_cannot_give(host: ContractHost) -> None:
    platform = needs(host.guest().xml).platform
    assert "required features: hle" in (host.hypervisor.domains.cpu_problem(platform, IMPOSSIBLE) or "")


def test_a_guest_whose_network_is_not_active_cannot_be_restored(host: ContractHost) -> None:
    host.start_network(LAN)
    domain = host.connected_guest(LAN)
    domains = host.hypervisor.domains
    assert needs(domain.xml).networks == (LAN,)
    assert LAN in domains.active_networks()
    image = saved(host, domain)
    xml = domains.saved_definition(image)
    assert needs(xml).networks == (LAN,)

    host.stop_network(LAN)
    assert LAN not in domains.active_networks()
    with pytest.raises(HypervisorError, match=f"network '{LAN}' is not active"):
        domains.restore(image, xml)
    assert state_of(host, domain) is GuestState.OFF

    host.start_network(LAN)
    domains.restore(image, xml)
    assert state_of(host, domain) is GuestState.PAUSED


@pytest.mark.parametrize("policy", ["mandatory", "requisite", "optional"])
def test_a_medium_that_is_gone(host: ContractHost, policy: str) -> None:
    domain = host.guest(cdrom=True)
    domains = host.hypervisor.domains
    image = saved(host, domain)
    (medium,) = needs(domain.xml).media
    host.hypervisor.storage.remove(medium.path)
    saved_xml = domains.saved_definition(image)
    xml = re.sub(rf"""file=['"]{re.escape(medium.path)}['"]""", rf"\g<0> startupPolicy='{policy}'", saved_xml)
    assert xml != saved_xml
    (wanted,) = needs(xml).media
    assert wanted.optional is (policy != "mandatory")

    if wanted.optional:
        domains.restore(image, xml)
        restored = domains.get(domain.uuid)
        assert restored
        assert [disk.source for disk in restored.disks if disk.target == medium.target] == [None]
    else:
        with pytest.raises(HypervisorError, match="No such file"):
            domains.restore(image, xml)
        assert state_of(host, domain) is GuestState.OFF
