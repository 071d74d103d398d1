"""What nothing needs: the rule against its definition, and the catalog against the rule, on random trees."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from orchestrator.catalog import open_catalog
from orchestrator.catalog.reachability import HEAD, Held, Node, kept_alone, unneeded
from orchestrator.model import Checkpoint, OperationKind

from .catalog_samples import HOST, SampleDomain, paths


@st.composite
def forests(draw: st.DrawFn) -> list[Node]:
    """Layers on layers: each on an earlier one, on one outside of the graph, or on none."""
    size = draw(st.integers(0, 12))
    return [
        Node(
            id=number,
            backing=draw(st.none() | st.integers(0, number - 1) | st.just(99)) if number else None,
            ours=draw(st.booleans()),
            held=draw(st.integers(0, 3)) == 0,
        )
        for number in draw(st.permutations(range(size)))
    ]


@given(forests())
def test_unneeded_layers_are_ours_not_held_and_back_no_needed_layer(nodes: list[Node]) -> None:
    def needed(node: Node) -> bool:
        return node.held or any(needed(child) for child in nodes if child.backing == node.id)

    assert unneeded(nodes) == {node.id for node in nodes if node.ours and not needed(node)}


def test_unneeded_ends_on_a_cycle() -> None:
    circle = [
        Node(id=1, backing=2, ours=True, held=False),
        Node(id=2, backing=1, ours=True, held=False),
    ]
    assert unneeded(circle) == {1, 2}
    assert unneeded([*circle, Node(id=3, backing=1, ours=True, held=True)]) == set()


@st.composite
def held_forests(draw: st.DrawFn) -> list[Held]:
    """Layers on layers, held by three checkpoints and a head; discarded is only what nothing needs."""
    size = draw(st.integers(0, 12))
    holders = st.lists(st.sampled_from(["a", "b", "c", HEAD]), max_size=1).map(tuple)
    layers = [
        Held(
            id=number,
            backing=draw(st.none() | st.integers(0, number - 1) | st.just(99)) if number else None,
            discarded=False,
            holders=draw(holders),
        )
        for number in range(size)
    ]
    free = {layer.id for layer in layers if not any(above.holders for above in _at_or_above(layer, layers))}
    hidden = st.lists(st.just("d"), max_size=1).map(tuple)
    left = {number: draw(hidden) for number in sorted(free)}
    layers = [
        Held(
            id=layer.id,
            backing=layer.backing,
            discarded=layer.id in free and (bool(left[layer.id]) or draw(st.booleans())),
            holders=layer.holders,
            leaving=left.get(layer.id, ()),
        )
        for layer in layers
    ]
    return draw(st.permutations(layers))


def _at_or_above(layer: Held, layers: list[Held]) -> list[Held]:
    found = [layer]
    for each in found:
        found += [other for other in layers if other.backing == each.id]
    return found


def _unneeded_without(checkpoint: str, layers: list[Held]) -> set[int]:
    """As `layers.freed_by` asks of one checkpoint: the layers at or below its own, held as seen from there."""
    graph = {layer.id: layer for layer in layers}
    below: set[int] = set()
    for layer in layers:
        at: Held | None = layer if checkpoint in (*layer.holders, *layer.leaving) else None
        while at is not None:
            below.add(at.id)
            at = graph.get(at.backing) if at.backing is not None else None
    stood_on = {each.backing for each in layers if each.id not in below and not each.discarded}
    return unneeded(
        Node(
            id=each.id,
            backing=each.backing,
            ours=True,
            held=each.id in stood_on or any(holder != checkpoint for holder in each.holders),
        )
        for each in layers
        if each.id in below
    )


@given(held_forests())
def test_kept_alone_is_what_nothing_needs_without_the_checkpoint(layers: list[Held]) -> None:
    found: dict[str, set[int]] = {}
    for checkpoint, layer_id in kept_alone(layers):
        found.setdefault(checkpoint, set()).add(layer_id)
    assert {who: found.get(who, set()) for who in "abc"} == {who: _unneeded_without(who, layers) for who in "abc"}
    assert set(found) <= {"a", "b", "c", "d"}


def test_kept_alone_cycle_belongs_to_no_checkpoint() -> None:
    circle = [
        Held(id=1, backing=2, discarded=False, holders=("a",)),
        Held(id=2, backing=1, discarded=False),
        Held(id=3, backing=1, discarded=False, holders=("b",)),
    ]
    assert list(kept_alone(circle)) == [("b", 3)]
    assert list(kept_alone([Held(id=1, backing=1, discarded=True, leaving=("d",))])) == []


def test_kept_alone_chain_of_fifty_thousand_layers() -> None:
    chain = [
        Held(id=number, backing=number - 1 if number else None, discarded=False, holders=(f"c{number}",))
        for number in range(50_000)
    ]
    assert list(kept_alone(chain)) == [("c49999", 49_999)]


class Histories(RuleBasedStateMachine):
    """Checkpoints, rollbacks and deletes at random, on a domain with two disks.

    The model: a layer of ours is catalogued as long as a checkpoint or the head has it in its chain.
    """

    @initialize()
    def begin(self) -> None:
        self.directory = tempfile.TemporaryDirectory()
        self.catalog = open_catalog(f"sqlite:///{Path(self.directory.name)}/catalog.db", HOST)
        self.world = SampleDomain(self.catalog, disks=("vda", "vdb"))
        self.checkpoints: list[Checkpoint] = []
        self.backing: dict[str, str | None] = {}

    def teardown(self) -> None:
        if hasattr(self, "catalog"):
            self.catalog.close_connection()
            self.directory.cleanup()

    @rule()
    def checkpoint(self) -> None:
        made = self.world.checkpoint(f"c{len(self.backing)}")
        self.checkpoints.append(made)
        self.saw(made)

    @precondition(lambda self: self.checkpoints)
    @rule(data=st.data())
    def rollback(self, data: st.DataObject) -> None:
        self.world.rollback(data.draw(st.sampled_from(self.checkpoints)))
        self.saw()

    @precondition(lambda self: self.checkpoints)
    @rule(data=st.data())
    def begin_to_delete(self, data: st.DataObject) -> None:
        """As a client does that is killed then: the checkpoint is hidden and its layers are discarded."""
        gone = data.draw(st.sampled_from(self.checkpoints))
        lease = self.world.open(OperationKind.DELETE)
        lease.hide_checkpoint(gone.id)
        self.a_list_tells_what_each_deletion_would_free()
        self.checkpoints.remove(gone)
        self.world.finish_delete(lease, gone)

    @precondition(lambda self: self.checkpoints)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        gone = data.draw(st.sampled_from(self.checkpoints))
        promised = paths(self.catalog.layers_freed_by(gone.id))
        self.checkpoints.remove(gone)
        assert self.world.delete(gone) == promised

    @invariant()
    def exactly_the_needed_layers_of_ours_are_catalogued(self) -> None:
        if not hasattr(self, "catalog"):
            return
        needed: set[str] = set()
        for path in [
            *(layer.path for layer in self.world.tops.values()),
            *(layer.path for made in self.checkpoints for layer in made.layers.values()),
        ]:
            below: str | None = path
            while below is not None and below not in needed:
                needed.add(below)
                below = self.backing.get(below)
        there = {path for path in self.backing if self.catalog.layer(path) is not None}
        assert there == {path for path in self.backing if path in needed}

    @invariant()
    def a_list_tells_what_each_deletion_would_free(self) -> None:
        if not hasattr(self, "catalog"):
            return
        for domain in (None, self.world.uuid):
            for each in self.catalog.summaries(domain):
                freed = self.catalog.layers_freed_by(each.id)
                assert each.exclusive_bytes == each.memory_bytes + sum(layer.allocation or 0 for layer in freed)

    def saw(self, made: Checkpoint | None = None) -> None:
        """Note the new layers that are ours."""
        for layer in [*self.world.tops.values(), *(made.layers.values() if made else ())]:
            if layer.operation_id is not None:
                self.backing[layer.path] = layer.backing


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=10, stateful_step_count=15, deadline=None)
