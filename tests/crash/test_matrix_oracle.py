"""Each oracle of the wide matrix fails when what it watches over is harmed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from orchestrator.coordinator import Coordinator
from orchestrator.errors import Unfinished
from orchestrator.formats import domainxml
from orchestrator.model import Source
from tests.checkpoints import memory_of
from tests.crash.faults import Call
from tests.crash.matrix.acts import ACTS
from tests.crash.matrix.oracle import Violation
from tests.crash.matrix.play import Combination, Prepared, play
from tests.crash.matrix.verbs import VERBS, Next
from tests.crash.matrix.watched import MatrixHost
from tests.twin import TwinHypervisor

Harm = Callable[[MatrixHost], None]


@pytest.fixture(scope="module")
def prepared(quick_directory: Path) -> Iterator[Prepared]:
    (verb,) = [each for each in VERBS if each.name == "delete"]
    prepared = Prepared.of(verb, quick_directory / "oracle.sqlite")
    yield prepared
    prepared.host.close()


def settled(host: MatrixHost) -> None:
    host.session().recover()


def restore_elsewhere(host: MatrixHost) -> None:
    """virsh restore of a checkpoint's image, on the present disks, which moved on."""
    settled(host)
    path = memory_of(host.checkpoints()[0]).path
    domains = TwinHypervisor(host.world).domains
    sources = {target: Source(path=path, format="qcow2") for target, path in host.sources().items()}
    host.guest.destroy()
    domains.restore(path, domainxml.on_disks(domains.saved_definition(path), sources))


def boot_of_different_instants(host: MatrixHost) -> None:
    settled(host)
    host.guest.write("vda", 5)


def lose_work(host: MatrixHost) -> None:
    """A rollback that nobody asked for."""
    settled(host)
    host.session().rollback("web01", "base")


def lose_memory(host: MatrixHost) -> None:
    settled(host)
    host.guest.destroy()
    host.guest.start()
    host.guest.destroy()


def lose_checkpoint(host: MatrixHost) -> None:
    settled(host)
    host.session().delete("web01", ["base"])


def name_frozen_layer(host: MatrixHost) -> None:
    settled(host)
    layers = host.checkpoints()[-1].layers
    sources = {target: Source(path=layer.path, format="qcow2") for target, layer in layers.items()}
    host.world.define(domainxml.on_disks(host.guest.machine.persistent_xml or "", sources))


def write_frozen_layer(host: MatrixHost) -> None:
    settled(host)
    for layer in host.checkpoints()[-1].layers.values():
        host.world.files.write(layer.path, "elsewhere", 1)


def damage_image(host: MatrixHost) -> None:
    settled(host)
    for checkpoint in host.checkpoints():
        counter = host.counters[checkpoint.name]
        path = memory_of(checkpoint).path
        host.world.files.alter(path, f'"counter": {counter}', f'"counter": {9 - counter}')


def remove_clone(host: MatrixHost) -> None:
    settled(host)
    host.world.files.remove("/images/clone.qcow2")


HARM: tuple[tuple[str, Harm, str], ...] = (
    ("paired", restore_elsewhere, "nothing"),
    ("paired", boot_of_different_instants, "nothing"),
    ("kept", lose_work, "it runs on"),
    ("kept", lose_work, "shut down"),
    ("kept", lose_memory, "nothing"),
    ("catalog", lose_checkpoint, "nothing"),
    ("frozen", name_frozen_layer, "nothing"),
    ("frozen", write_frozen_layer, "nothing"),
    ("restores", damage_image, "nothing"),
    ("clone", remove_clone, "linked clone"),
)


@pytest.mark.parametrize(("oracle", "harm", "act"), HARM)
def test_oracle_harm_is_done_fails(prepared: Prepared, oracle: str, harm: Harm, act: str) -> None:
    host = prepared.host
    (chosen,) = [each for each in ACTS if each.name == act]
    combination = Combination(prepared.number(Call("open_operation")), chosen, Next("harm", lambda _: harm(host)))

    with pytest.raises(Violation) as raised:
        play(prepared, combination, Random(0))

    assert raised.value.oracle == oracle, raised.value


@pytest.mark.parametrize("hint", ["think", "start it: virsh start web01"])
def test_oracle_nothing_leads_out_fails(prepared: Prepared, monkeypatch: pytest.MonkeyPatch, hint: str) -> None:
    """Nor does what the message says, or it does not help."""

    def never(*arguments: object) -> None:
        raise Unfinished("it is not finished", effect="nothing was changed", hint=hint)

    (off,) = [each for each in ACTS if each.name == "shut down"]
    combination = Combination(prepared.number(Call("open_operation")), off, Next("harm", lambda _: None))
    with monkeypatch.context() as patch, pytest.raises(Violation) as raised:
        patch.setattr(Coordinator, "recover", never)
        play(prepared, combination, Random(0))

    assert raised.value.oracle == "way out"
