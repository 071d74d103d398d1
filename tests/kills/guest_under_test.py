"""A guest that never stops writing, its user, and what must hold whenever nothing is in progress.

The oracle is the guest: before each write it compares what a disk holds with what memory wrote there
last, and there are words that it keeps in memory and on each disk. The rest is read without snapctl:
files inside the box, the catalog by sqlite3, domains by libvirt.
"""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from posixpath import dirname, join
from statistics import median
from typing import Any

import libvirt

from orchestrator.formats import domainxml
from orchestrator.store import layout
from tests.box.box import Box
from tests.box.connection import connect
from tests.box.witness import Media, Witness
from tests.system.client import Result, new_client
from tests.system.moments import moment, write_notes

from . import catalogued
from .catalogued import Catalogued
from .client import SignalledClient

NOWHERE = 0
MOST = 10
"""Checkpoints that there may be: chains are not to grow for ever."""
TWO_TICKS = """
for _ in 1 2; do seen=$(cat /mnt/counter); while [ "$(cat /mnt/counter)" = "$seen" ]; do usleep 20000; done; done
"""
DISK_NOTES = """for at in $(awk '$1 ~ "^/dev/vd" && $4 ~ "^rw" { print $2 }' /proc/mounts); do cat $at/note; done"""


@dataclass
class KillCount:
    """Of all guests: commands that were killed, what was lost by it, and how long each recovery took."""

    kills: int = 0
    midway: int = 0  # so many of them left an operation open
    acts: Counter[str] = field(default_factory=Counter)  # what the guest's owner did before the recovery
    losses: int = 0
    seconds: list[float] = field(default_factory=list)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """What fails in this block is a loss."""
        try:
            yield
        except BaseException:
            self.losses += 1
            raise

    def line(self) -> str:
        took = f"median {median(self.seconds):.2f} s, longest {max(self.seconds):.2f} s" if self.seconds else "none"
        kills = f"{self.kills} kills on real QEMU, {self.midway} of them in the midst of an operation"
        recovery = f"`snapctl recover`: {took}"
        acts = ", ".join(f"{act} {number}" for act, number in sorted(self.acts.items()))
        return (
            f"{kills}: {self.losses} losses; the owner acted before {self.acts.total()} recoveries ({acts}); {recovery}"
        )


@dataclass(frozen=True)
class Attempt:
    """Something that a user asks for, and that may come to nothing."""

    verb: str  # "checkpoint", "rollback" or "delete"
    name: str  # of a checkpoint
    kept: str = ""  # the checkpoint of the state before, of a rollback that keeps it


class GuestUnderTest:
    """`words` are what the guest holds now, `asked` what it held when something was attempted last, and `then` what it
    held at each checkpoint."""

    def __init__(self, box: Box, guest: Witness, client: SignalledClient, kill_count: KillCount) -> None:
        self.box = box
        self.guest = guest
        self.client = client
        self.kill_count = kill_count
        self.then: dict[str, str] = {}
        self.asked = ""
        self._number = 0
        self._boots: dict[str, str] = {}  # in which boot the guest held which words
        self._digests: dict[str, str] = {}  # SHA-256 of each frozen layer, by path
        self._points: dict[str, list[str]] = {}
        self.begin()

    def begin(self) -> None:
        """Have the guest at work; also after it was booted anew."""
        self.boot = self.guest.report()["boot"]
        self.work()
        self.guest.sh("witness start; until [ -s /mnt/counter ] && [ -s /mnt2/counter ]; do usleep 20000; done")

    def begin_anew(self) -> None:
        """The same, in a boot that its owner brought about after something was attempted."""
        asked = self.asked
        self.begin()
        self.asked = asked

    def work(self) -> None:
        """Let the guest get to an instant that it can be told by, and at which something may be attempted."""
        self.go_on_working()
        self.asked = self.words

    def go_on_working(self) -> None:
        """The same, after something was attempted."""
        self._number += 1
        self.words = f"words-{self._number}"
        self._boots[self.words] = self.boot
        write_notes(self.guest, self.words)

    def attempt(self, verb: str) -> Attempt:
        """A checkpoint of a new instant, or the rollback from there to the oldest one, which may keep that instant
        ("keep")."""
        if len(self.then) > MOST:
            self._thin_out()
        self.work()
        if verb == "checkpoint":
            return Attempt(verb, f"at-{self.words}")
        return Attempt("rollback", next(iter(self.then)), f"kept-{self.words}" if verb == "keep" else "")

    def _thin_out(self) -> None:
        oldest, *others = self.then
        self.client.do("rollback", self.guest.name, oldest, "-y")
        self.require_sound(Attempt("rollback", oldest), "done")
        self.client.do("delete", self.guest.name, *others, "-y")
        self.then = {oldest: self.words}

    # ------------------------------------------------------------------ what is done

    def points(self, verb: str) -> list[str]:
        """Those that it comes to, as was seen when it was done undisturbed."""
        if verb not in self._points:
            attempt = self.attempt(verb)
            result = self.client.run_to(NOWHERE, *self.arguments(attempt))
            self.require_sound(attempt, fate_of(result, []))
            self._points[verb] = result.stderr.splitlines()
        return self._points[verb]

    def arguments(self, attempt: Attempt) -> Sequence[str]:
        last = [f"--keep-current={attempt.kept}"] if attempt.kept else ["-y"] * (attempt.verb != "checkpoint")
        return (attempt.verb, self.guest.name, attempt.name, *last)

    def count(self, result: Result) -> Result:
        """Take note of a command that may have been killed."""
        if result.code == -signal.SIGKILL:
            self.kill_count.kills += 1
            self.kill_count.midway += bool(catalogued.read(self.client.catalog).unsettled)
        return result

    def settle(self, attempt: Attempt, result: Result) -> None:
        """Recover, as users do after a command came to an end like that; then everything must hold."""
        began = time.monotonic()
        with self.kill_count.watching():
            recovered = self.client.do("recover")
        self.kill_count.seconds.append(time.monotonic() - began)
        with self.kill_count.watching():
            self._start_if_left_off()
        self.require_sound(attempt, fate_of(result, recovered))

    def _start_if_left_off(self) -> None:
        """virsh start: killed between its stop and the record of it, a rollback leaves it off, on its disks."""
        with connect(self.box.uri) as connection:
            domain = connection.lookupByName(self.guest.name)
            if domain.isActive() or not catalogued.read(self.client.catalog).stopped_unrecorded:
                return
            domain.create()
        self.booted({self.words})
        self.begin_anew()

    def booted(self, possible: set[str]) -> None:
        """Wait until a boot is done: all its disks hold the same of what they may hold."""
        self.guest.wait_for_shell()
        held = set(self.guest.sh(DISK_NOTES).splitlines())
        assert len(held) == 1 and held <= possible, f"the disks hold {held}, not one of {possible}"

    # ------------------------------------------------------------------ what must hold

    def require_sound(self, attempt: Attempt, fate: str | None) -> None:
        """`fate` is what snapctl says became of the attempt: "done" or "undone", None if it says nothing."""
        with self.kill_count.watching():
            said = catalogued.read(self.client.catalog)
            assert said.unsettled == []
            self.require_checkpoints(said, attempt, fate)
            self.require_files(said)
            self.require_head(said)
            self.require_guest(self.possible_words(attempt, fate))

    def require_checkpoints(self, said: Catalogued, attempt: Attempt, fate: str | None) -> None:
        """They are those there were, but for what the attempt adds or removes."""
        name, kept = {attempt.name}, {attempt.kept} - {""}
        after = {"checkpoint": set(self.then) | name, "delete": set(self.then) - name}.get(
            attempt.verb, set(self.then) | kept
        )
        possible = {"done": [after], "undone": [set(self.then)], None: [set(self.then), after]}[fate]
        assert set(said.checkpoints) in possible
        self.then = {name: self.then.get(name, self.asked) for name in said.checkpoints}
        self._require_frozen(said, attempt)

    def _require_frozen(self, said: Catalogued, attempt: Attempt) -> None:
        """What checkpoints rely on is never written to; only what a deletion collapses into it is added."""
        frozen = sorted(said.frozen)
        digests = self.box.run_inside("sha256sum", *frozen).stdout.split()[::2] if frozen else []
        now = dict(zip(frozen, digests, strict=True))
        if attempt.verb != "delete":
            written = {path for path, digest in now.items() if self._digests.get(path, digest) != digest}
            assert not written, f"frozen layers were written to: {written}"
        self._digests = now

    def possible_words(self, attempt: Attempt, fate: str | None) -> set[str]:
        """The words it had, or those it was to be put back to: never others."""
        if attempt.verb != "rollback":
            return {self.words}
        target = self.then[attempt.name]
        return {"done": {target}, "undone": {self.words}, None: {self.words, target}}[fate]

    def require_files(self, said: Catalogued) -> None:
        """Each catalogued file is there; beside it only the manifest of its directory; nothing else is."""
        directories = {dirname(path) for path in said.files}
        expected = {*said.files, *directories, *(join(each, layout.MANIFEST) for each in directories)}
        store = dirname(min(directories))
        found = set(self.box.run_inside("find", store, "-mindepth", "1").stdout.splitlines())
        assert found == expected, f"orphans: {sorted(found - expected)}; missing: {sorted(expected - found)}"

    def require_head(self, said: Catalogued) -> None:
        """The guest writes to the catalogued overlays, and would so after its next start."""
        with connect(self.box.uri) as connection:
            domain = connection.lookupByName(self.guest.name)
            texts = [domain.XMLDesc(0), domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)]
        for xml in texts:
            assert {disk.target: disk.path for disk in domainxml.disks(xml)} == said.head

    def require_guest(self, possible: set[str]) -> None:
        """It still is the boot that had these words, at work, and its memory and disks are of one instant."""
        self.guest.sh(TWO_TICKS)
        seen = moment(self.guest)
        assert seen.mismatches == 0
        (self.words,) = set(seen.notes.values())
        assert self.words in possible
        self.boot = self._boots[self.words]
        assert seen.boot == self.boot


@contextmanager
def new_subject(box: Box, kill_count: KillCount) -> Iterator[GuestUnderTest]:
    """A guest with two disks, at work, and one checkpoint of it."""
    guest = Witness.define(box.uri, "doomed", media=Media(disks=2))
    try:
        guest.boot()
        with new_client(box.uri) as user:
            subject = GuestUnderTest(box, guest, SignalledClient(box.uri, user.home), kill_count)
            subject.points("checkpoint")
            yield subject
    finally:
        box.up()  # a test may have left it without libvirtd
        guest.remove()


def fate_of(result: Result, recovered: Sequence[dict[str, Any]]) -> str | None:
    if recovered:
        return str(recovered[-1]["state"])
    return {0: "done", 1: "undone"}.get(result.code)
