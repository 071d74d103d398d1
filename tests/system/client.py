"""snapctl as its users run it: the installed command, by somebody without any rights.

The client shares neither files nor an account with the hypervisor, whose socket is all that it sees.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import LONGEST_LINE
from tests.children import Child
from tests.waiting import PATIENCE

SNAPCTL = Path(sys.executable).with_name("snapctl")
BECOME_NOBODY = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups") if os.geteuid() == 0 else ()


@dataclass(frozen=True)
class Result:
    """What one run of the command came to."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)

    def error(self, code: int) -> str:
        """The one line that the command failed with; anything else is no proper failure."""
        assert (self.code, self.stdout) == (code, ""), self
        (line,) = self.stderr.splitlines()
        assert len(line) <= LONGEST_LINE, line
        return line


class Client:
    """One user of snapctl: a home directory with a configuration and a catalog."""

    def __init__(self, uri: str, home: Path) -> None:
        self.home = home
        self.environment = {"PATH": "/usr/bin:/bin", "HOME": str(home), "LANG": "C.UTF-8", "SNAPCTL_URI": uri}

    @property
    def virsh(self) -> str:
        """How a message begins a command for the hypervisor of this user."""
        return f"virsh -c {shlex.quote(self.environment['SNAPCTL_URI'])}"

    @property
    def store(self) -> str:
        """On the hypervisor, unless configured."""
        return f"/var/lib/libvirt/images/{self.home.name}"

    @property
    def catalog(self) -> Path:
        """Where a user's catalog is unless told otherwise."""
        return self.home / ".local/share/snapctl/catalog.sqlite"

    def configure(self, text: str) -> None:
        """Write this user's own configuration file; a store belongs to one catalog, so without one there it is a new
        one."""
        if "path =" not in text:
            text = text.replace("[store]\n", "") if text.startswith("[store]\n") else text
            text = f'[store]\npath = "{self.store}"\n{text}'
        path = self.home / ".config/snapctl/snapctl.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def start(self, *arguments: str) -> Child:
        """Start the command and return at once; signals to the process reach snapctl itself."""
        return Child([*BECOME_NOBODY, SNAPCTL, *arguments], cwd=self.home, env=self.environment)

    def run(self, *arguments: str) -> Result:
        """Run the command, however it ends."""
        with self.start(*arguments) as process:
            return finish(process)

    def do(self, *arguments: str) -> Any:
        """Run the command, which must succeed; the value of the JSON that it prints."""
        result = self.run("-o", "json", *arguments)
        assert (result.code, result.stderr) == (0, ""), result
        return result.json

    def refusal(self, code: int, *arguments: str) -> str:
        """Run the command, which must fail with `code`; its one line of error."""
        return self.run(*arguments).error(code)


def finish(process: Child, timeout: float = PATIENCE) -> Result:
    """Wait for the end of a command that `Client.start` began; one that takes too long is killed."""
    done = process.finish(timeout)
    return Result(done.returncode, done.stdout, done.stderr)


@contextlib.contextmanager
def new_client(uri: str) -> Iterator[Client]:
    """A user who was never here before."""
    with tempfile.TemporaryDirectory(prefix="snapctl-user-", dir="/tmp") as home:  # whose parents anybody may enter
        if BECOME_NOBODY:
            shutil.chown(home, "nobody", "nogroup")
        client = Client(uri, Path(home))
        client.configure("")
        if BECOME_NOBODY:
            for made in (client.home / ".config").rglob("*"):
                shutil.chown(made, "nobody", "nogroup")
            shutil.chown(client.home / ".config", "nobody", "nogroup")
        yield client
