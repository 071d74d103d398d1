"""What would make a restore fail is refused before the guest is stopped; what may make it fail is a note."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from orchestrator.errors import LONGEST_LINE, Refused
from orchestrator.formats.needs import NeededFile, Needs, needs
from orchestrator.model import After, Device
from orchestrator.operations.checkpoint.plan import plan_checkpoint
from orchestrator.operations.rollback.plan import plan_rollback
from orchestrator.operations.shared.preflight import HostFacts
from tests.unit.builders import (
    NEXT,
    checkpoint,
    checkpoint_disk,
    checkpoint_facts,
    checkpoint_request,
    domain,
    host,
    layer,
    other_disk,
    rollback_facts,
)
from tests.unit.file_builders import seen_of

ISO = "/var/lib/libvirt/images/install.iso"
KERNEL = "/boot/vmlinuz-7.2"
NEEDS = replace(needs(domain().xml), boot_files=(NeededFile(path=KERNEL, what="kernel"),))


def medium(**changes: Any) -> Needs:
    file = NeededFile(**{"path": ISO, "what": "cdrom image", "target": "sda", "ejectable": True, **changes})
    return replace(NEEDS, media=(file,))


OBSTACLES: dict[str, tuple[HostFacts, list[str]]] = {
    "machine type": (
        HostFacts(platform_problem="the machine 'pc-i440fx-2.1' is not supported by emulator '/usr/bin/kvm'"),
        ["the host cannot run web01: the machine 'pc-i440fx-2.1' is not supported", "virsh domcapabilities"],
    ),
    "CPU": (
        HostFacts(cpu_problem="Host CPU does not provide required features: hle, rtm"),
        ["the host cannot give web01 the CPU of the checkpoint", "required features: hle, rtm"],
    ),
    "network": (
        HostFacts(inactive_networks=("lan", "default")),
        ["web01 needs the network lan, which is not active", "virsh net-start lan"],
    ),
    "kernel": (HostFacts(missing_files={KERNEL}), [f"the kernel {KERNEL} of web01 is missing", "restore the file"]),
}


def rolled_back(found: HostFacts, *, force: bool = False, **facts: Any) -> str | None:
    return plan_rollback(NEXT, After.AS_SAVED, rollback_facts(needs=NEEDS, found=found, **facts), force=force).note


def checkpointed(found: HostFacts, wanted: Needs = NEEDS, *, force: bool = False) -> str | None:
    return plan_checkpoint(checkpoint_request(force=force), checkpoint_facts(needs=wanted, found=found)).note


@pytest.mark.parametrize("plan", [rolled_back, checkpointed])
@pytest.mark.parametrize(("found", "said"), OBSTACLES.values(), ids=OBSTACLES)
def test_what_is_certain_to_fail_is_refused(plan: Any, found: HostFacts, said: list[str]) -> None:
    with pytest.raises(Refused) as refused:
        plan(found)
    line = str(refused.value)

    assert [words for words in said if words not in line] == []
    assert "nothing was changed; " in line
    assert len(line) <= LONGEST_LINE


@pytest.mark.parametrize("plan", [rolled_back, checkpointed])
@pytest.mark.parametrize(("found", "said"), OBSTACLES.values(), ids=OBSTACLES)
def test_whoever_insists_gets_it_as_a_note(plan: Any, found: HostFacts, said: list[str]) -> None:
    assert said[0] in (plan(found, force=True) or "")


@pytest.mark.parametrize("plan", [rolled_back, checkpointed])
def test_nothing_amiss_needs_no_note(plan: Any) -> None:
    assert plan(HostFacts(missing_files={"/elsewhere"})) is None


def test_a_medium_that_is_gone_is_to_be_ejected_before_a_checkpoint() -> None:
    with pytest.raises(Refused) as refused:
        checkpointed(HostFacts(missing_files={ISO}), medium())

    assert str(refused.value) == (
        f"the cdrom image {ISO} of web01 is missing; nothing was changed; "
        "eject it: virsh change-media web01 sda --eject"
    )


def test_a_read_only_disk_cannot_be_ejected() -> None:
    with pytest.raises(Refused) as refused:
        checkpointed(HostFacts(missing_files={ISO}), medium(what="disk image", target="vdb", ejectable=False))

    assert "virsh detach-disk web01 vdb" in str(refused.value)


def test_a_medium_that_may_be_gone_is_a_note() -> None:
    note = checkpointed(HostFacts(missing_files={ISO}), medium(optional=True))
    assert note == f"the cdrom image {ISO} is missing: the drive sda will be empty"


def test_a_rollback_does_without_a_medium_that_may_be_gone() -> None:
    frozen = layer()
    wanted = checkpoint(disks=(checkpoint_disk(frozen), other_disk("sda", Device.CDROM, ISO)))
    xml = wanted.origin.domain_xml.replace(f'file="{ISO}"', f'file="{ISO}" startupPolicy="optional"')
    wanted = replace(wanted, origin=replace(wanted.origin, domain_xml=xml))
    facts = rollback_facts(checkpoint=wanted)
    facts = replace(facts, seen=seen_of(wanted, facts.chains, facts={ISO: None}))

    assert plan_rollback(NEXT, After.AS_SAVED, facts).note == (
        f"the cdrom image {ISO} is missing: the drive sda will be empty"
    )


@pytest.mark.parametrize(
    ("older", "told"),
    [
        ({"qemu_version": "7.2.0"}, ["QEMU is 7.2.0, older than 7.2.22"]),
        ({"libvirt_version": "8.10.0"}, ["libvirt is 8.10.0, older than 9.0.0"]),
        ({"qemu_version": "10.0.0", "libvirt_version": "11.3.0"}, []),
    ],
)
def test_older_software_is_a_note(older: dict[str, str], told: list[str]) -> None:
    note = rolled_back(HostFacts(), host=replace(host(), **older)) or ""
    assert [words for words in told if words not in note] == []
    assert bool(note) == bool(told)


def test_a_note_is_shown_before_anything_is_done() -> None:
    plan = plan_rollback(NEXT, After.AS_SAVED, rollback_facts(host=replace(host(), qemu_version="7.2.0")))
    assert plan.lines()[-1] == f"note: {plan.note}"
