"""snapctl as it was at f92f7f5, run beside today's: what it left behind must be carried over.

`fixtures/f92f7f5.tar.xz` is `git archive f92f7f5 orchestrator migrations pyproject.toml tests/__init__.py tests/twin`,
so that no git history is needed.
"""

from __future__ import annotations

import os
import sys
import tarfile
from pathlib import Path

from tests import children

FIXTURES = Path(__file__).with_name("fixtures")
ARCHIVE = FIXTURES / "f92f7f5.tar.xz"


def unpack(folder: Path) -> Path:
    """The old snapctl below a new directory of `folder`, as it is when it is installed; what PYTHONPATH must name.

    Anybody may read it.
    """
    root = folder / "f92f7f5"
    root.mkdir(mode=0o755)
    with tarfile.open(ARCHIVE) as archive:
        for member in archive:
            content = archive.extractfile(member)
            if content is not None:  # a directory has none
                path = root / member.name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content.read())
    (root / "migrations").rename(root / "orchestrator/migrations")
    return root


def command(*arguments: str) -> list[str]:
    """The old command line, to be run with `environment`."""
    return [sys.executable, "-P", "-c", "import sys; from orchestrator.cli import main; sys.exit(main())", *arguments]


def environment(root: Path, base: dict[str, str] | None = None) -> dict[str, str]:
    """What makes a command run the old code rather than today's, which is installed."""
    return {**(dict(os.environ) if base is None else base), "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}


def run(root: Path, *arguments: str | Path, base: dict[str, str] | None = None) -> str:
    """Run a script by the current interpreter on the old code; what it printed."""
    return children.run(sys.executable, *arguments, check=True, env=environment(root, base), cwd=root).stdout
