"""One run of the command: what its global options said, and what the verbs ask of it."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import SnapctlError, UsageError
from . import streams
from .pasteable import pasteable

if TYPE_CHECKING:
    from ..coordinator import Coordinator
    from ..model import Recovered
    from ..ports import Progress
    from ..settings import Settings


class Connect(Protocol):
    """Opens the library below; `Coordinator.open` is one."""

    def __call__(self, settings: Settings, *, progress: Progress) -> Coordinator: ...


@dataclass
class Session:
    """The fields from `uri` to `verbose` are the global options; `orchestrator.cli.options` sets them."""

    connect: Connect | None = None
    uri: str | None = None
    config: str | None = None
    catalog: str | None = None
    output: str = "table"
    quiet: bool = False
    verbose: int = 0
    connected: bool = False

    @property
    def json(self) -> bool:
        return self.output == "json"

    @cached_property
    def settings(self) -> Settings:
        from .. import settings

        return settings.load(connect=self.uri, config=self.config, catalog=self.catalog)

    @cached_property
    def now(self) -> datetime:
        return datetime.now(UTC)

    @contextmanager
    def coordinator(self) -> Iterator[Coordinator]:
        """The library, connected; with a progress bar on a terminal, unless --quiet or JSON."""
        from .progress import bar

        settings = self.settings
        if self.verbose > 1:
            _show_log()
        watched = not self.quiet and not self.json
        self.connected = True
        with bar(watched) as progress, self._connect()(settings, progress=progress) as coordinator:
            try:
                yield coordinator
            except SnapctlError:
                self._tell(coordinator.untold())
                raise

    def _tell(self, recovered: Sequence[Recovered]) -> None:
        """What was settled before the verb failed."""
        from .render.outcome import settled

        for line in settled(recovered):
            self.note(line)

    def _connect(self) -> Connect:
        return _open if self.connect is None else self.connect

    # ------------------------------------------------------------------ output

    def data(self, document: Any, lines: Callable[[], Iterable[str]]) -> None:
        """Print a result: the value itself as JSON, or `lines()` for people."""
        if self.json:
            import msgspec

            encoded = msgspec.json.encode(document, enc_hook=os.fspath)
            streams.put(msgspec.json.format(encoded, indent=2).decode() + "\n")
        else:
            streams.put("".join(f"{line}\n" for line in lines()))

    def summary(self, document: Any, lines: Callable[[], Iterable[str]]) -> None:
        """Print what a changing verb did; --quiet leaves only the JSON."""
        if self.json or not self.quiet:
            self.data(document, lines)

    def note(self, text: str) -> None:
        """Print a note on stderr, unless --quiet or JSON."""
        if not self.quiet and not self.json:
            streams.tell(self.pasteable(text))

    def pasteable(self, text: str) -> str:
        """`text` with its commands as they must be typed."""
        return pasteable(text, self.settings.uri) if self.connected else text

    # ------------------------------------------------------------------ questions

    def require_terminal(self, verb: str, *, otherwise: str) -> None:
        """Raise `UsageError` if there is no terminal to ask on. To be called before anything is connected to."""
        if not streams.somebody_answers():
            raise UsageError(f"{verb} asks for confirmation, and there is no terminal to ask on", hint=otherwise)

    def agree(self, verb: str, question: str) -> None:
        """Raise `SnapctlError` unless the answer is yes."""
        if not streams.ask(question):
            raise SnapctlError(f"{verb} was not confirmed", hint="answer y to confirm, or add -y")


def _open(settings: Settings, *, progress: Progress) -> Coordinator:
    """`Coordinator.open` without Python's cyclic garbage collector in its way.

    A short command spends most of its time importing. What was imported stays until the end, so
    nothing is gained by walking over it during the run, and again at exit, which takes a quarter as long
    as the whole of `snapctl list`.
    """
    gc.disable()
    try:
        from ..coordinator import Coordinator

        return Coordinator.open(settings, progress=progress)
    finally:
        gc.freeze()
        gc.enable()


def _show_log() -> None:
    """Our own log on stderr. Not SQLAlchemy's: it would print every value that is stored."""
    import logging

    logging.basicConfig(format="%(asctime)s %(name)s %(message)s")
    logging.getLogger("orchestrator").setLevel(logging.DEBUG)
