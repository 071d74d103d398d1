"""The witness's kernel: Debian's cloud kernel package, downloaded once and never installed."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.box import cache
from tests.box.errors import BoxError

META_PACKAGE = "linux-image-cloud-amd64"
TIMEOUT = 600.0
"""Seconds for the download."""

# In the order to load them.  ext4, the serial port and PCI hot-plug are built in.
MODULES = (
    "virtio_ring",
    "virtio",
    "virtio_pci_modern_dev",
    "virtio_pci_legacy_dev",
    "virtio_pci",
    "virtio_blk",
    "evdev",
    "button",
)


@dataclass(frozen=True)
class Kernel:
    """A kernel image and, in the order to load them, the modules that the witness needs."""

    image: Path
    modules: tuple[Path, ...]


def kernel() -> Kernel:
    """The cached kernel; the first call downloads it."""
    # Another choice of modules is another cache entry.
    choice = hashlib.sha256(" ".join(MODULES).encode()).hexdigest()[:8]
    root = cache.get(f"kernel-{choice}", _make)
    return Kernel(root / "vmlinuz", tuple(root / f"{name}.ko" for name in MODULES))


def _make(target: Path) -> None:
    """Download and unpack the package, and keep of its 100 MB what the witness uses."""
    package = _current_package()
    print(f"downloading Debian's {package} for the witness guest (once)", file=sys.stderr)
    with tempfile.TemporaryDirectory() as workshop:
        _run("apt-get", "-q", "download", package, cwd=workshop)
        (archive,) = Path(workshop).glob("*.deb")
        unpacked = Path(workshop, "unpacked")
        _run("dpkg-deb", "-x", str(archive), str(unpacked), cwd=workshop)
        target.mkdir()
        (image,) = unpacked.glob("boot/vmlinuz-*")
        shutil.copyfile(image, target / "vmlinuz")
        for name in MODULES:
            (module,) = unpacked.glob(f"lib/modules/*/kernel/**/{name}.ko")
            shutil.copyfile(module, target / module.name)


def _current_package() -> str:
    """The package with the kernel itself, on which the meta package depends."""
    depends = _run("apt-cache", "depends", "--important", META_PACKAGE)
    found = re.search(r"Depends: (linux-image-\S+-cloud-amd64)\s", depends)
    if found is None:
        raise BoxError(f"apt knows no {META_PACKAGE}: run 'apt-get update' (or 'make setup') first")
    return found[1]


def _run(*argv: str, cwd: str | None = None) -> str:
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(
            argv, cwd=cwd, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT
        )
    except subprocess.TimeoutExpired as error:
        raise BoxError(f"{' '.join(argv)} did not end within {TIMEOUT:.0f} s") from error
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise BoxError(f"{' '.join(argv)}: {reason} ('make setup' or 'apt-get update' may help)")
    return done.stdout
