"""What nothing needs: the rule against its definition, and the catalog against the rule, on random trees."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from orchestrator.catalog import open_catalog
from orchestrator.catalog.reachability import Node, unneeded
from orchestrator.model import Checkpoint

from .catalog_samples import HOST, World, paths


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
def test_a_layer_is_unneeded_when_it_is_ours_not_held_and_no_needed_layer_stands_on_it(nodes: list[Node]) -> None:
    def needed(node: Node) -> bool:
        return node.held or any(needed(child) for child in nodes if child.backing == node.id)

    assert unneeded(nodes) == {node.id for node in nodes if node.ours and not needed(node)}


def test_a_circle_ends() -> None:
    circle = [
        Node(id=1, backing=2, ours=True, held=False),
        Node(id=2, backing=1, ours=True, held=False),
    ]
    assert unneeded(circle) == {1, 2}
    assert unneeded([*circle, Node(id=3, backing=1, ours=True, held=True)]) == set()


class Histories(RuleBasedStateMachine):
    """Checkpoints, rollbacks and deletes at random, on a domain with two disks.

    The model: a layer of ours is catalogued as long as a checkpoint or the head has it in its chain.
    """

    @initialize()
    def begin(self) -> None:
        self.directory = tempfile.TemporaryDirectory()
        self.catalog = open_catalog(f"sqlite:///{Path(self.directory.name)}/catalog.db")
        self.world = World(self.catalog, disks=("vda", "vdb"))
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
        there = {path for path in self.backing if self.catalog.layer(HOST.uuid, path) is not None}
        assert there == {path for path in self.backing if path in needed}

    def saw(self, made: Checkpoint | None = None) -> None:
        """Note the new layers that are ours."""
        for layer in [*self.world.tops.values(), *(made.layers.values() if made else ())]:
            if layer.operation_id is not None:
                self.backing[layer.path] = layer.backing


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=10, stateful_step_count=15, deadline=None)
