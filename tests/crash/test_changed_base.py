"""A base that several checkpoints rely on, and that was changed outside snapctl between them."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

import pytest

from orchestrator.errors import Refused
from orchestrator.formats import domainxml
from orchestrator.model import Source
from tests.crash.test_saved_guest import on_device
from tests.crash.twin_host import TwinHost
from tests.twin import Guest
from tests.twin.files import Image
from tests.twin.world import CAPACITY, IMAGES

BASE = f"{IMAGES}/web01-vda.qcow2"


@pytest.fixture
def host(quick_directory: Path, request: pytest.FixtureRequest) -> Iterator[TwinHost]:
    """A guest with checkpoint `a`."""
    host = TwinHost(quick_directory / f"{abs(hash(request.node.name))}.sqlite", disks=1)
    host.checkpoint("a")
    host.guest.tick()
    yield host
    host.close()


def change_base_while_off(host: TwinHost) -> None:
    """With virt-customize, say; its length is the same."""
    host.guest.shut_down()
    host.world.files.write(BASE, "counter", 777)
    host.guest.start().tick()


def clone(host: TwinHost) -> Guest:
    """Another domain on the same base."""
    other, top = host.world.add("web02"), f"{IMAGES}/clone.qcow2"
    host.world.files.put(top, Image(capacity=CAPACITY, backing=BASE, backing_format="qcow2"))
    host.world.define(domainxml.on_disks(other.machine.persistent_xml or "", {"vda": Source(path=top, format="qcow2")}))
    return other.start()


def states(host: TwinHost) -> dict[str, str]:
    return {f"{each.domain}/{each.name}": each.state for each in host.session().list()}


@pytest.mark.parametrize("adopt", [False, True])
def test_checkpoint_base_was_changed_while_off_is_refused_in_its_plan(host: TwinHost, adopt: bool) -> None:
    change_base_while_off(host)

    with pytest.raises(Refused, match=f"{BASE}, a layer of web01, was changed .*; checkpoint a relied") as refused:
        host.session().plan_checkpoint("web01", "b", adopt=adopt)

    hint = refused.value.hint
    assert hint.endswith("snapctl verify web01, else: snapctl delete --no-collapse web01 a")
    assert host.guest.machine.active


def test_checkpoint_base_was_changed_after_the_plan_is_undone(host: TwinHost) -> None:
    session = host.session()
    plan = session.plan_checkpoint("web01", "b")
    host.world.files.write(BASE, "other", 777)

    with pytest.raises(Refused, match="checkpoint a relied on it") as refused:
        session.execute(plan)

    assert refused.value.effect.startswith("undone: the disks of web01 are as before")
    assert host.guest.machine.active and [*states(host)] == ["web01/a"]


def test_checkpoint_device_below_was_changed_is_undone(quick_directory: Path) -> None:
    host = on_device(quick_directory)
    host.checkpoint("a")
    host.world.files.image("/dev/vg/base").data["other"] = 1

    with pytest.raises(Refused, match="/dev/vg/base, a layer of web01, was changed"):
        host.session().checkpoint("web01", "b")

    host.session().delete("web01", ["a"], collapse=False)
    host.checkpoint("b")
    assert not host.session().verify().damaged
    host.close()


def test_checkpoint_of_a_clone_names_the_other_domain(host: TwinHost) -> None:
    clone(host)
    change_base_while_off(host)
    with pytest.raises(Refused, match=r"a layer of web02, was changed .*; checkpoint web01/a relied on it") as refused:
        host.session().checkpoint("web02", "b")
    assert refused.value.hint.endswith("snapctl delete --no-collapse web01 a")


def test_checkpoint_once_the_others_are_deleted_is_of_the_base_as_it_is(host: TwinHost) -> None:
    change_base_while_off(host)
    host.session().delete("web01", ["a"], collapse=False)
    host.guest.tick()

    host.checkpoint("b")

    assert not host.session().verify().damaged
    host.guest.tick()
    host.rollback("b")


def test_base_comes_back_from_a_backup_its_checkpoint_is_sound_again(host: TwinHost) -> None:
    before = deepcopy(host.world.files.files[BASE])
    change_base_while_off(host)
    assert host.session().verify().damaged
    with pytest.raises(Refused):
        host.session().checkpoint("web01", "b")

    host.guest.shut_down()
    host.world.files.files[BASE] = before  # with its time

    assert not host.session().verify().damaged
    host.rollback("a")
    host.check()


def test_checkpoint_content_is_the_same_is_made_once_it_was_compared(host: TwinHost) -> None:
    host.session().verify(deep=True)
    host.world.files.touch(BASE)
    with pytest.raises(Refused, match="checkpoint a relied on it"):
        host.session().checkpoint("web01", "b")

    host.session().verify("web01")

    host.checkpoint("b")
    assert states(host) == {"web01/a": "ready", "web01/b": "ready"}


# --------------------------------------------------------------------------- verify --accept


def test_accept_names_all_that_rely_on_the_file(host: TwinHost) -> None:
    """Of all domains: one record of the file is compared for each of them."""
    host.checkpoint("b")
    clone(host).tick()
    host.session().checkpoint("web02", "c")
    host.world.files.touch(BASE)
    host.session().verify()

    plan = host.session().plan_acceptance("web01", "b")

    (accepted,) = plan.files
    assert set(accepted.relying) == {"web01/a", "web01/b", "web02/c"}
    assert set(plan.unnamed) == {"web01/a", "web02/c"}
    assert "accept it only if it is what it was when each was made" in plan.lines()[-1]
    assert set(host.session().plan_acceptance("web01").unnamed) == {"web02/c"}


def test_accept_another_comes_to_rely_on_it_after_it_was_shown_is_refused(host: TwinHost) -> None:
    clone(host).tick()
    base = deepcopy(host.world.files.files[BASE])
    host.world.files.touch(BASE)
    touched = host.world.files.files[BASE]
    plan = host.session().plan_acceptance("web01", "a")
    host.world.files.files[BASE] = base
    host.session().checkpoint("web02", "c")
    host.world.files.files[BASE] = touched

    with pytest.raises(Refused, match="changed after their differences were shown"):
        host.session().accept("web01", "a", plan)
