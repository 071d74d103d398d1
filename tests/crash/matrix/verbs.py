"""The verbs whose clients are killed, each on a tree of its own, and those that may come next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from orchestrator.coordinator import Coordinator
from orchestrator.model import After
from orchestrator.operations.edit.plan import Edits
from orchestrator.operations.prune.policy import Policy
from tests.crash.matrix.watched import MatrixHost

Act = Callable[[Coordinator], object]


@dataclass(frozen=True)
class Verb:
    """`discards` says that its user gave the present state up, `deletes` which checkpoints: how their names begin."""

    name: str
    act: Act
    discards: bool = False
    deletes: tuple[str, ...] = ()
    to_collapse: bool = False
    off: bool = False  # the guest, before

    def __str__(self) -> str:
        return self.name

    def prepare(self, catalog: Path) -> MatrixHost:
        host = MatrixHost(catalog)
        if self.to_collapse:
            self._leave_to_be_collapsed(host)
        else:
            host.checkpoint("base")
            host.counters["kept"] = host.counter
            host.session().rollback("web01", "base", keep_current=True, keep_name="kept")
            host.guest.tick()
            counter = host.counter
            pushed = host.session().push("web01").checkpoint
            host.counters[pushed or ""] = counter
        host.guest.tick()
        if self.off:
            host.guest.shut_down()
        host.keep()
        return host

    def _leave_to_be_collapsed(self, host: MatrixHost) -> None:
        """base - above, with two layers in between that only `above` stands on; the guest stands on `base`."""
        for name in ("base", "gone", "gone-too", "above"):
            host.checkpoint(name)
        host.rollback("base")
        host.session().delete("web01", ["gone", "gone-too"], collapse=False)
        del host.counters["gone"], host.counters["gone-too"]


# A push is a checkpoint under another name.
VERBS = (
    Verb("checkpoint", lambda session: session.checkpoint("web01", "new")),
    Verb("checkpoint stop", lambda session: session.checkpoint("web01", "new", after=After.STOP)),
    Verb("rollback", lambda session: session.rollback("web01", "base"), discards=True),
    Verb("keep current", lambda session: session.rollback("web01", "base", keep_current=True, keep_name="new")),
    Verb("undo", lambda session: session.undo("web01"), discards=True),
    Verb("pop", lambda session: session.pop("web01"), discards=True, deletes=("push-",)),
    Verb("delete", lambda session: session.delete("web01", ["kept"]), deletes=("kept",)),
    Verb("prune", lambda session: session.prune("web01", Policy(keep_last=1)), deletes=("base", "kept")),
    Verb("collapse", lambda session: session.collapse("web01"), to_collapse=True),
    Verb("flatten", lambda session: session.flatten("web01")),
    Verb("rollback, off", lambda session: session.rollback("web01", "base"), discards=True, off=True),
    Verb("collapse, off", lambda session: session.collapse("web01"), to_collapse=True, off=True),
)


@dataclass(frozen=True)
class Next:
    """The verb by which what was left open is met; the flags are as those of `Verb`. It `makes` that checkpoint."""

    name: str
    act: Act
    discards: bool = False
    deletes: tuple[str, ...] = ()
    makes: str = ""

    def __str__(self) -> str:
        return self.name


RECOVER = Next("recover", lambda session: session.recover())
NEXT = (
    RECOVER,
    Next("edit", lambda session: session.edit("web01", "base", Edits(description="edited"))),
    Next("checkpoint", lambda session: session.checkpoint("web01", "next"), makes="next"),
    Next("rollback", lambda session: session.rollback("web01", "base"), discards=True),
    Next("delete", lambda session: session.delete("web01", ["base"]), deletes=("base",)),
)
