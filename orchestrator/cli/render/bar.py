"""The look of the progress bar. The only module that needs rich, which is slow to load."""

from __future__ import annotations

from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from .units import size


class _Bytes(ProgressColumn):
    def render(self, task: Task) -> Text:
        of = f" of {size(int(task.total))}" if task.total else ""
        return Text(f"{size(int(task.completed))}{of}", style="progress.download")


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{size(int(task.speed))}/s" if task.speed else "", style="progress.data.speed")


def display(stream: TextIO) -> Progress:
    """A bar that is drawn on demand (no thread of its own) and leaves nothing on the screen."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        _Bytes(),
        _Rate(),
        TimeRemainingColumn(),
        console=Console(file=stream),
        auto_refresh=False,
        redirect_stdout=False,
        redirect_stderr=False,
        transient=True,
    )
