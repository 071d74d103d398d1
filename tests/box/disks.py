"""The witness's disks: small ext4 file systems, formatted once and then only uploaded."""

import functools
import os
import subprocess
from pathlib import Path

from tests.box import cache
from tests.box.errors import BoxError

SIZE_MIB = 64
SIZE = SIZE_MIB << 20


def formatted_disk(image_format: str) -> Path:
    """The cached image, ``raw`` or ``qcow2``, of an empty file system."""
    return cache.get(f"ext4-{SIZE_MIB}m.{image_format}", functools.partial(_make, image_format))


def _make(image_format: str, target: Path) -> None:
    if image_format == "raw":
        _format(target)
    else:
        _run("qemu-img", "convert", "-f", "raw", "-O", image_format, str(formatted_disk("raw")), str(target))


def _format(target: Path) -> None:
    """Format without leaving work for the guest's kernel: an idle witness must not write to its disks."""
    with target.open("wb") as image:
        image.truncate(SIZE)
    _run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", str(target))


def _run(*argv: str) -> None:
    # mkfs.ext4 is in /usr/sbin, which an ordinary user's PATH may lack.
    environment = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"}
    done = subprocess.run(argv, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        raise BoxError(f"{argv[0]}: {done.stderr.strip()}")
