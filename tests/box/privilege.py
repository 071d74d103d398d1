"""Making namespaces and killing what runs in them takes root: be it, or ask sudo."""

import os
import shutil
import subprocess
import sys

from tests.box.errors import BoxError

PATIENCE = 60.0
"""Seconds for a person to type a password."""


def as_root(*argv: str) -> list[str]:
    """The command line that runs `argv` as root."""
    if os.geteuid() == 0:
        return list(argv)
    if shutil.which("sudo") is None:
        raise BoxError("a box needs root for its namespaces: run this as root, or install sudo")
    return ["sudo", "--", *argv]


def announce() -> None:
    """Say that sudo will be used, and let it ask for its password now rather than midway."""
    prefix = as_root()
    if prefix:
        print("using sudo to make the box's namespaces", file=sys.stderr)
        if subprocess.run([*prefix, "true"], timeout=PATIENCE).returncode != 0:
            raise BoxError("a box needs root for its namespaces, and sudo refused")
