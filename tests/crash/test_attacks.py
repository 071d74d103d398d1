"""What others may do between two lines, found by reading with that question: nothing is lost, or paired wrongly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from copy import deepcopy
from pathlib import Path

import pytest

from orchestrator.errors import SnapctlError, Unfinished
from orchestrator.model import GuestState, OperationState
from orchestrator.operations.edit.plan import Edits
from orchestrator.operations.prune.policy import Policy
from tests.checkpoints import memory_of
from tests.crash.faults import Call, Fault, Killed, Kind
from tests.crash.injectors import CallInjector
from tests.crash.test_between_steps import At
from tests.crash.test_foreign_acts import checkpoint_b, kill, rollback_a
from tests.crash.twin_host import TwinHost
from tests.twin.files import File


@pytest.fixture
def host(quick_directory: Path, request: pytest.FixtureRequest) -> Iterator[TwinHost]:
    """A guest that runs on checkpoint `a`."""
    host = TwinHost(quick_directory / f"{request.node.name}.sqlite")
    host.checkpoint("a")
    yield host
    host.close()


# --------------------------------------------------------------------------- paused or resumed between plan and save

SWITCHES: dict[str, tuple[GuestState, GuestState]] = {
    "paused": (GuestState.RUNNING, GuestState.PAUSED),
    "resumed": (GuestState.PAUSED, GuestState.RUNNING),
}


def switch(host: TwinHost, to: GuestState) -> None:
    host.guest.suspend() if to is GuestState.PAUSED else host.guest.resume()


@pytest.mark.parametrize("what", SWITCHES)
def test_checkpoint_guest_was_switched_before_the_save_is_left_as_it_was_saved(host: TwinHost, what: str) -> None:
    """It is not resumed because it ran when that was planned, nor left paused because it was then."""
    planned, saved = SWITCHES[what]
    if planned is GuestState.PAUSED:
        host.guest.suspend()
    host.counters["b"] = host.counter

    checkpoint_b(host.session(At("saved.before", lambda: switch(host, saved))))

    assert host.guest.machine.state is saved
    host.check(state=saved)
    host.session().rollback("web01", "b")
    assert host.guest.machine.state is saved


@pytest.mark.parametrize("after", ["save", "define", "deciding", "restore"])
@pytest.mark.parametrize("what", SWITCHES)
def test_recover_guest_was_switched_before_the_save_is_left_as_it_was_saved(
    host: TwinHost, what: str, after: str
) -> None:
    planned, saved = SWITCHES[what]
    if planned is GuestState.PAUSED:
        host.guest.suspend()
    host.counters["b"] = host.counter
    fault = Fault(Call(after), Kind.KILLED)
    with pytest.raises(Killed):
        checkpoint_b(host.session(At("saved.before", lambda: switch(host, saved), fault)))
    host.expire_leases()

    host.session().recover()

    host.check(state=saved)


# --------------------------------------------------------------------------- between two checkpoints of one prune


@pytest.fixture
def tree(host: TwinHost) -> TwinHost:
    """a - b - c - d, and the guest stands on `a`; `--keep-last 1` keeps `d`, and `a` as it is current."""
    for name in ("b", "c", "d"):
        host.checkpoint(name)
    host.rollback("a")
    return host


def cut_image_of_d(host: TwinHost) -> None:
    (d,) = [each for each in host.checkpoints() if each.name == "d"]
    image = host.world.files[memory_of(d).path]
    image.content = image.content[:-1]
    assert host.session().verify().damaged


BETWEEN: dict[str, Callable[[TwinHost], object]] = {
    "the newest was deleted": lambda host: host.session().delete("web01", ["d"]),
    "the newest was found damaged": cut_image_of_d,
    "it was tagged": lambda host: host.session().edit("web01", "b", Edits(tags=("keep",))),
    "it was protected": lambda host: host.session().protect("web01", ["b"]),
    "it was rolled back to": lambda host: host.session().rollback("web01", "b"),
}


@pytest.mark.parametrize("act", BETWEEN)
def test_prune_act_of_others_between_two_checkpoints_keeps_what_is_to_be_kept(tree: TwinHost, act: str) -> None:
    """Deleting the first may take hours: `c` goes, and `b` is to be kept by then."""
    host = tree

    class Between(CallInjector):
        """The first operation is closed, and the second not yet begun."""

        acted = False

        def call(self, name, port_error, act_):  # type: ignore[no-untyped-def]
            result = super().call(name, port_error, act_)
            if name == "close" and not self.acted:
                self.acted = True
                host.expire_leases()
                BETWEEN[act](host)
            return result

    injector = Between()
    try:
        host.session(injector).prune("web01", Policy(keep_last=1, keep_tags=("keep",)), collapse=False)
    except SnapctlError as error:
        print(error)

    assert injector.acted
    names = {each.name for each in host.checkpoints()}
    assert "c" not in names
    assert "b" in names


# --------------------------------------------------------------------------- an older backup in place of the present


def put_older_backup(host: TwinHost, backup: dict[str, File]) -> None:
    """With its times, as `rsync -a` and `cp -p` do it."""
    host.world.files.files.update(deepcopy(backup))


def back_up(host: TwinHost) -> dict[str, File]:
    return deepcopy({path: host.world.files[path] for path in host.guest.machine.tops().values()})


@pytest.mark.parametrize("after", ["complete", "destroy"])
def test_recover_rollback_older_backup_was_put_in_place_keeps_it(host: TwinHost, after: str) -> None:
    """Of the present disks: it came to be there after the word that they be discarded."""
    kept, backup = host.counter, back_up(host)
    host.guest.tick(100)
    kill(host, rollback_a, after=after)
    if host.guest.machine.active:
        host.guest.destroy()
    put_older_backup(host, backup)

    (recovered,) = host.session().recover()

    assert recovered.state is OperationState.UNDONE
    assert host.guest.start().read("vda") == kept


@pytest.mark.parametrize(("after", "times"), [("save", 1), ("complete", 2), ("define", 1)])
def test_recover_checkpoint_older_backup_was_put_in_place_is_not_paired(host: TwinHost, after: str, times: int) -> None:
    """The memory that was saved is of later disks."""
    kept, backup = host.counter, back_up(host)
    host.guest.tick(100)
    kill(host, checkpoint_b, after=after, times=times)
    tops = set(backup)
    put_older_backup(host, backup)

    with pytest.raises(Unfinished) as raised:
        host.session().recover()
    assert "virsh start web01" in raised.value.hint
    assert host.guest.machine.state is GuestState.OFF
    assert {host.world.files.read(path, "counter") for path in tops} == {kept}
    assert any(path.endswith("memory.save") for path in host.world.files.files)

    host.guest.start()
    host.session().recover()
    assert host.session().unfinished() == []
    assert host.guest.agrees()


# --------------------------------------------------------------------------- a layer that is no qcow2 file any more


def test_recover_flatten_layer_lost_its_header_keeps_what_is_below(host: TwinHost) -> None:
    """libvirt then takes it for a raw file, which has no backing file: as if all had been copied into it."""
    host.checkpoint("b")
    below = host.guest.machine.domain().disks[0].backing[0].path
    host.session().delete("web01", ["a", "b"], collapse=False)
    host.guest.shut_down()
    top = host.guest.machine.domain().persistent_sources()["vda"]
    kill(host, lambda session: session.flatten("web01"), after="begin_rewrite")
    image = host.world.files.image(top or "")
    image.format, image.backing = "raw", None

    with suppress(SnapctlError):
        host.session().recover()

    assert below in host.world.files.files
