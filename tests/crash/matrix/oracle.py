"""What must hold, whoever was killed where, whoever did what, and whichever verb came next. Each can fail by itself.

paired      no memory ever met a disk with which it was not saved, and no disks are of different instants
kept        no byte that came to be after the user's word is lost, nor any before it if that was not to discard it
way out     afterwards `recover` ends settled, or says why not, and what it says leads out
catalog     each checkpoint there was is there, but for those that somebody deleted
frozen      no layer that a checkpoint relies on is a disk to write to
clone       who stands on a layer goes on to see what he saw
restores    each checkpoint restores to what it was, or is damaged by the owner's own doing
as it is    … without that its owner has to take back what he did
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from orchestrator.errors import HypervisorError, IntegrityError, Refused, SnapctlError, Unfinished
from orchestrator.formats import domainxml
from orchestrator.model import Checkpoint, CheckpointState, Source
from tests.checkpoints import memory_of
from tests.crash.matrix.acts import Made
from tests.crash.matrix.verbs import Next, Verb
from tests.crash.matrix.watched import MatrixHost, Shown
from tests.twin import saveimage

UNFINISHED, REFUSED = Unfinished.exit_code, Refused.exit_code


class Violation(AssertionError):
    def __init__(self, oracle: str, says: str) -> None:
        super().__init__(f"{oracle}: {says}")
        self.oracle, self.says = oracle, says


def require(holds: bool, oracle: str, says: str) -> None:
    if not holds:
        raise Violation(oracle, says)


# --------------------------------------------------------------------------- what there is


@dataclass(frozen=True)
class Present:
    """The present state of the guest: what it holds in memory (None: nothing), and what its disks show."""

    memory: int | None
    paths: dict[str, str]
    disks: Shown

    @property
    def newest(self) -> int:
        """The number that it has counted up to."""
        return max((self.memory or 0, *(shown.get("counter", 0) for shown in self.disks.values())))


def present(host: MatrixHost, files: dict[str, str] | None = None) -> Present:
    """`files` are its disks when it is undefined."""
    machine = host.machine
    paths = files if machine is None and files is not None else host.sources()
    memory = None
    if machine is not None and machine.active:
        memory = machine.ram["counter"]
    elif machine is not None and machine.managed_save:
        memory = host.world.managed_memory(machine)
    return Present(memory, dict(paths), {target: _view(host, path) or {} for target, path in paths.items()})


def _view(host: MatrixHost, path: str) -> dict[str, int] | None:
    """None if that layer, or one below it, is gone."""
    try:
        return host.world.view(path)
    except HypervisorError:
        return None


def _instant(host: MatrixHost, checkpoint: Checkpoint) -> int | None:
    """The number that both its memory and its layers have; None if they differ."""
    shown: set[int | None] = {
        saveimage.read(host.world.files[memory_of(checkpoint).path].bytes()).ram["counter"],
        *(host.world.files.read(layer.path, "counter") for layer in checkpoint.layers.values()),
    }
    return shown.pop() if len(shown) == 1 else None


def _layers(checkpoints: Sequence[Checkpoint]) -> set[str]:
    return {layer.path for each in checkpoints for layer in each.layers.values()}


# --------------------------------------------------------------------------- the oracle


class Oracle:
    """Of one combination: made before its verb, told of what happens, and asked in between and at the end."""

    def __init__(self, host: MatrixHost, verb: Verb, checkpoints: Sequence[Checkpoint]) -> None:
        """`checkpoints` are those that there are."""
        self.host = host
        self.verb = verb
        self.before = host.world.files.read(host.sources()["vda"], "counter") or 0
        self.off = not host.guest.machine.active
        host.counters["new"] = self.before
        self.names = {each.name for each in checkpoints}
        self.deletes = list(verb.deletes)
        self.made = Made()
        self._refused_as_it_is = ""
        self._frozen = host.world.shown({path: path for path in _layers(checkpoints)})

    def acted(self, made: Made, quiet: bool, files: dict[str, str]) -> None:
        """`files` are the disks that the guest had before the act."""
        self.made, self.quiet, self.files = made, quiet, files
        self.stopped = bool(self.host.stopped_unrecorded())  # by nobody knows whom: so nothing is given up
        self.word = present(self.host, files)
        gone = {target: path for target, path in files.items() if path not in self.word.paths.values()}
        self.detached = {target: path for target, path in gone.items() if self.host.world.files.image(path).data}
        self.detached_shown = self.host.world.shown(self.detached)
        self.clone = self.host.world.view(made.clone) if made.clone else {}

    # ------------------------------------------------------------------ the next verb, and settling

    def settle(self, following: Next) -> None:
        """Let it come next, and recover what it left; what a message says leads out."""
        host, done = self.host, False
        try:
            following.act(host.session())
            done = True
            if following.makes and host.machine is not None:
                host.counters[following.makes] = host.machine.ram["counter"]
        except SnapctlError as error:
            require(error.exit_code in (1, 5, UNFINISHED, REFUSED), "way out", f"{following}: {error}")
        self.require_kept(discards=following.discards and (done or not host.session().unfinished()))
        self.deletes += following.deletes
        self._lead_out()
        self.require_kept(discards=following.discards)
        if self.quiet and not following.discards:
            self._require_memory()
        checkpoints = host.checkpoints()
        self._require_catalog(checkpoints)
        self._require_frozen(checkpoints)

    def _lead_out(self) -> None:
        """Do what the messages say, until nothing is left unsettled."""
        said = []
        for _ in range(4):
            try:
                self.host.session().recover()
            except SnapctlError as error:
                require(error.exit_code in (UNFINISHED, REFUSED), "way out", f"recover: {error}")
                said.append(f"{error.problem} ({error.hint})")
                require(not self.quiet, "way out", f"there is none: {said[-1]}")
                take_way_out(self.host, self.made, error)
            else:
                break
        unsettled = [each.kind for each in self.host.session().unfinished()]
        require(not unsettled, "way out", f"there is none: {said}")

    # ------------------------------------------------------------------ what must hold

    def require_paired(self) -> None:
        host, now = self.host, present(self.host)
        require(not host.world.strange, "paired", "; ".join(host.world.strange))
        seen = {shown.get("counter") for shown in now.disks.values()}
        seen |= {now.memory} if host.machine is not None and host.machine.active else set()
        require(len(seen) <= 1, "paired", f"memory {now.memory} and disks {now.disks} are not of one instant")

    def require_kept(self, *, discards: bool) -> None:
        """`discards` says that the user gave it up after the act."""
        self.require_paired()
        self._require_clone()
        word, now = self.word, present(self.host, self.files)
        if discards:
            return
        discarded = self.verb.discards and word.newest <= self.before and not self.stopped
        if not discarded:
            held = {shown.get("counter") for shown in now.disks.values()}
            on_disks = held == {word.newest}
            in_memory = word.memory is None or now.memory == word.memory
            detached = {target: _view(self.host, path) for target, path in self.detached.items()}
            whole = on_disks and in_memory and detached == self.detached_shown
            says = f"{word} came to be {now}, and {self.detached_shown} {detached}"
            require(whole or self._is_in_checkpoint(word.newest), "kept", says)

    def _require_memory(self) -> None:
        """Nobody else has ended the guest's run: its memory is there still, or is again."""
        now = present(self.host)
        if (self.off or self.stopped) and now.memory is None:
            return
        if self.verb.discards:
            restored = {each for name, each in self.host.counters.items() if name in self.names}
            require(now.memory in {self.before, *restored}, "kept", f"the guest is off, or at {now.memory}")
        else:
            kept = now.memory == self.before or self._is_in_checkpoint(self.before)
            require(kept, "kept", f"memory {self.before} is lost: it is {now.memory}")

    def _is_in_checkpoint(self, counter: int) -> bool:
        ready = [each for each in self.host.checkpoints() if each.state is CheckpointState.READY]
        return any(_instant(self.host, each) == counter for each in ready)

    def _require_clone(self) -> None:
        if self.made.clone:
            shown = _view(self.host, self.made.clone)
            require(shown == self.clone, "clone", f"it showed {self.clone} and shows {shown}")

    def _require_catalog(self, checkpoints: Sequence[Checkpoint]) -> None:
        now = {each.name for each in checkpoints}
        lost = {name for name in self.names - now if not name.startswith(tuple(self.deletes) or ("-",))}
        require(not lost, "catalog", f"{sorted(lost)} are gone")

    def _require_frozen(self, checkpoints: Sequence[Checkpoint]) -> None:
        frozen = _layers([each for each in checkpoints if each.state is CheckpointState.READY])
        machine = self.host.machine
        disks = () if machine is None else (*machine.domain().disks, *machine.domain().persistent_disks)
        for disk in disks:
            require(not (disk.writable and disk.path in frozen), "frozen", f"{disk.path} is written to")
        if not self.made.damages:
            for path, shown in self._frozen.items():
                if path in frozen:
                    require(
                        _view(self.host, path) == shown,
                        "frozen",
                        f"{path} showed {shown} and shows {_view(self.host, path)}",
                    )

    # ------------------------------------------------------------------ at the end

    def require_restorable(self, draw: Random) -> None:
        """By their files; and one that is drawn by the guest's own word, which takes much longer."""
        checkpoints = self.host.checkpoints()
        for checkpoint in checkpoints:
            instant, expected = _instant(self.host, checkpoint), self._expected(checkpoint)
            require(instant == expected, "restores", f"{checkpoint.name} is of {instant}, which was {expected}")
        if checkpoints:
            self._require_restores(draw.choice(checkpoints))
        self.require_paired()
        self._require_clone()
        require(self.made.takes_name or not self._refused_as_it_is, "as it is", self._refused_as_it_is)

    def _expected(self, checkpoint: Checkpoint) -> int:
        """What it counted up to; one that was being pushed when its client was killed has a name of its own."""
        return self.host.counters.get(checkpoint.name, self.before)

    def _require_restores(self, checkpoint: Checkpoint) -> None:
        name, expected = checkpoint.name, self._expected(checkpoint)
        try:
            self._roll_back(name)
        except IntegrityError as error:
            require(self.made.damages, "restores", f"{name}: {error}")
            return
        except SnapctlError as error:
            raise Violation("restores", f"{name}: {error}") from error
        now = present(self.host)
        seen = {now.memory, *(shown.get("counter") for shown in now.disks.values())}
        require(seen == {expected}, "restores", f"{name}: {seen} is not its instant, which was {expected}")

    def _roll_back(self, name: str) -> None:
        """As it is; if that is refused, when its owner has taken back what he did."""
        for _ in range(3):
            try:
                self.host.session().rollback(self.host.uuid, name)
            except Refused as error:
                self._refused_as_it_is = self._refused_as_it_is or f"{error.problem} ({error.hint})"
                take_way_out(self.host, self.made, error)
            else:
                return
        raise Violation("way out", self._refused_as_it_is)


def take_way_out(host: MatrixHost, made: Made, error: SnapctlError) -> None:
    """Do what a message says. All ways out that there are, are here."""
    machine = host.machine
    if "change it back: virsh edit" in error.hint:
        change_back(host)
    elif made.put_back is not None and any(word in error.hint for word in ("define", "rename", "attach")):
        made.put_back()
    elif machine is not None and machine.active and "virsh destroy" in error.hint:
        host.guest.destroy()
    elif machine is not None and not machine.active and "virsh start" in error.hint:
        host.world.start(machine)
    elif "--abandon" in error.hint:
        host.session().abandon(host.session().plan_abandon(host.uuid))
    else:
        raise Violation("way out", f"the hint leads nowhere: {error.problem} ({error.hint})")


def change_back(host: MatrixHost) -> None:
    """virsh edit: to the disks that the catalog names; a guest that runs on others has to go first."""
    machine, head = host.machine, host.head()
    assert machine is not None and head is not None
    if machine.active:
        host.guest.destroy()
    sources = {target: Source(path=path, format="qcow2") for target, path in head.overlays.items()}
    host.world.define(domainxml.on_disks(machine.persistent_xml or "", sources))
