"""Running, paused, shut off, not even defined: in what state a guest is found, and in what state it is left."""

from __future__ import annotations

from collections.abc import Iterator

import libvirt
import pytest

from tests.box.box import Box
from tests.box.connection import connect
from tests.box.fixtures import GuestFactory
from tests.box.witness import Media, Witness

from .client import Client
from .moments import moment, say_everywhere, write_notes

pytestmark = pytest.mark.system

RUNNING, PAUSED, OFF = libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_SHUTOFF


@pytest.fixture(scope="module")
def booted(module_guest: GuestFactory) -> Witness:
    return module_guest(media=Media(disks=2))


@pytest.fixture
def web(box: Box, booted: Witness) -> Iterator[Witness]:
    """The module's witness, which a test may leave paused."""
    yield booted
    resume(box, booted)


@pytest.fixture
def passing(module_guest: GuestFactory) -> Witness:
    """A witness that exists only as long as it runs."""
    return module_guest(persistent=False)


def state(box: Box, guest: Witness) -> int:
    with connect(box.uri) as connection:
        number: int = connection.lookupByName(guest.name).state()[0]
    return number


def suspend(box: Box, guest: Witness) -> None:
    with connect(box.uri) as connection:
        connection.lookupByName(guest.name).suspend()


def resume(box: Box, guest: Witness) -> None:
    with connect(box.uri) as connection:
        domain = connection.lookupByName(guest.name)
        if domain.state()[0] == PAUSED:
            domain.resume()


def destroy(box: Box, guest: Witness) -> None:
    with connect(box.uri) as connection:
        connection.lookupByName(guest.name).destroy()


def known_to_libvirt(box: Box, guest: Witness) -> bool:
    return guest.name in dict(box.domains())


def test_checkpoint_paused_guest_stays_paused(box: Box, client: Client, web: Witness) -> None:
    write_notes(web, "paused")
    before = moment(web)
    suspend(box, web)
    client.do("checkpoint", web.name, "paused")
    assert state(box, web) == PAUSED
    client.do("checkpoint", web.name, "paused-again")  # a guest that was restored paused is still only paused
    assert state(box, web) == PAUSED

    resume(box, web)
    write_notes(web, "lost")
    client.do("rollback", web.name, "paused", "-y")
    assert state(box, web) == PAUSED

    resume(box, web)
    after = moment(web)
    assert (after.boot, after.notes) == (before.boot, before.notes)


def test_a_paused_guest_is_resumed_if_asked(box: Box, client: Client, web: Witness) -> None:
    suspend(box, web)
    client.do("checkpoint", web.name, "to-be-resumed", "--after", "resume")
    assert state(box, web) == RUNNING
    client.do("rollback", web.name, "to-be-resumed", "-y", "--after", "resume")
    assert state(box, web) == RUNNING
    assert web.report()["mismatches"] == "0"


def test_a_running_guest_is_paused_if_asked(box: Box, client: Client, web: Witness) -> None:
    boot = web.report()["boot"]
    client.do("checkpoint", web.name, "to-be-paused", "--after", "pause")
    assert state(box, web) == PAUSED
    client.do("rollback", web.name, "to-be-paused", "-y")  # the checkpoint is of a running guest
    assert state(box, web) == RUNNING
    client.do("rollback", web.name, "to-be-paused", "-y", "--after", "pause")
    assert state(box, web) == PAUSED
    resume(box, web)
    assert web.report()["boot"] == boot


def test_a_guest_that_was_stopped_is_started_from_its_checkpoint(box: Box, client: Client, web: Witness) -> None:
    write_notes(web, "stopped")
    boot = web.report()["boot"]
    done = client.do("checkpoint", web.name, "stopped", "--after", "stop")
    assert state(box, web) == OFF
    assert done["downtime_s"] is None  # nobody knows how long it will be off
    client.do("rollback", web.name, "stopped", "-y")
    assert state(box, web) == RUNNING
    assert say_everywhere(web, "stopped")
    assert web.report()["boot"] == boot


def test_a_boot_after_a_checkpoint_does_not_harm_it(box: Box, client: Client, web: Witness) -> None:
    """The persistent definition names the new overlays: a plain start writes to them, not to what is frozen."""
    write_notes(web, "before the boot")
    boot = web.report()["boot"]
    client.do("checkpoint", web.name, "before-boot", "--after", "stop")
    web.boot()
    assert web.report()["boot"] != boot
    write_notes(web, "after the boot")
    destroy(box, web)
    client.do("rollback", web.name, "before-boot", "-y")
    assert say_everywhere(web, "before the boot")
    assert web.report()["boot"] == boot


def test_the_present_state_is_kept_if_asked(client: Client, web: Witness) -> None:
    write_notes(web, "first")
    client.do("checkpoint", web.name, "first")
    write_notes(web, "second")
    done = client.do("rollback", web.name, "first", "--keep-current=second")
    assert done["kept"] == "second"
    assert say_everywhere(web, "first")
    kept = client.do("rollback", web.name, "second", "--keep-current")["kept"]  # under a name that never recurs
    assert say_everywhere(web, "second")
    assert client.do("show", web.name, kept)["parent"] == "first"


def test_nothing_that_the_guest_does_is_missing_from_what_is_kept(box: Box, client: Client, web: Witness) -> None:
    """It does not run between the instant that is kept and the rollback: QEMU is started once, for the other one."""
    client.do("checkpoint", web.name, "once")
    boot, before = web.report()["boot"], starts(box, web)
    counter = int(web.report()["counter"])
    done = client.do("rollback", web.name, "once", "--keep-current=all-of-it")
    assert starts(box, web) == before + 1
    assert [each["name"] for each in done["steps"]] == [
        *("prepared", "saved", "repointed", "restored", "committed", "resumed", "hashed", "described")
    ]
    client.do("rollback", web.name, "all-of-it", "-y")
    report = web.report()
    assert int(report["counter"]) >= counter
    assert (report["boot"], report["mismatches"]) == (boot, "0")


def starts(box: Box, guest: Witness) -> int:
    """How often its QEMU was started, as libvirt's log of the domain tells."""
    log = box.run_inside("cat", f"/var/log/libvirt/qemu/{guest.name}.log").stdout
    return log.count(": starting up libvirt version")


def test_a_transient_domain(box: Box, client: Client, passing: Witness) -> None:
    write_notes(passing, "here")
    boot = passing.report()["boot"]
    client.do("checkpoint", passing.name, "here")
    write_notes(passing, "lost")
    client.do("rollback", passing.name, "here", "-y")
    assert say_everywhere(passing, "here")

    client.do("checkpoint", passing.name, "gone", "--after", "stop")
    assert not known_to_libvirt(box, passing)
    client.do("rollback", passing.name, "here", "-y")  # though nothing but the catalog knows it now
    assert say_everywhere(passing, "here")
    assert passing.report()["boot"] == boot
    assert state(box, passing) == RUNNING
