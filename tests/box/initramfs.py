"""The witness's initramfs: busybox, the modules, and the scripts in ``guest/``.

Written here rather than by cpio(1), so that the same ingredients give the same bytes.
"""

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from tests.box import cache
from tests.box.errors import BoxError
from tests.box.kernel import Kernel

GUEST_FILES = {
    "init": "init",
    "etc/inittab": "inittab",
    "etc/rc": "rc",
    "etc/acpi/PWRF/00000080": "powerbtn",
    "bin/serve": "serve",
    "bin/witness": "witness",
}

DIRECTORY = 0o040755
PROGRAM = 0o100755


def initramfs(kernel: Kernel) -> Path:
    """The cached initramfs for that kernel; a change of any ingredient makes another."""
    archive = b"".join(_archive(dict(_files(kernel))))
    digest = hashlib.sha256(archive).hexdigest()[:16]
    return cache.get(f"initramfs-{digest}", lambda path: _write(path, archive))


def _write(path: Path, archive: bytes) -> None:
    path.write_bytes(archive)


def _files(kernel: Kernel) -> Iterator[tuple[str, bytes]]:
    busybox = shutil.which("busybox")
    if busybox is None:
        raise BoxError("no busybox: run 'make setup' (Debian package busybox-static)")
    yield "bin/busybox", Path(busybox).read_bytes()
    for target, source in GUEST_FILES.items():
        yield target, Path(__file__).with_name("guest").joinpath(source).read_bytes()
    for module in kernel.modules:
        yield f"lib/modules/{module.name}", module.read_bytes()
    yield "lib/modules/order", "".join(f"{module.name}\n" for module in kernel.modules).encode()


def _archive(files: dict[str, bytes]) -> Iterator[bytes]:
    """The files and the directories they need, in cpio's "newc" format."""
    directories = {str(parent) for name in files for parent in Path(name).parents} - {"."}
    entries = [(name, DIRECTORY, b"") for name in directories]
    entries += [(name, PROGRAM, content) for name, content in files.items()]
    for inode, (name, mode, content) in enumerate(sorted(entries), start=1):
        yield _entry(name, mode, content, inode)
    yield _entry("TRAILER!!!", 0, b"", 0)


def _entry(name: str, mode: int, content: bytes, inode: int) -> bytes:
    """One entry: a header of 13 hexadecimal numbers, the name, the content, each padded to 4 bytes."""
    path = name.encode() + b"\0"
    links = 2 if mode == DIRECTORY else 1
    owner = modified = device = checksum = 0
    numbers = (
        inode, mode, owner, owner, links, modified, len(content),
        device, device, device, device, len(path), checksum,
    )  # fmt: skip
    header = b"070701" + b"".join(b"%08X" % number for number in numbers)
    return _padded(header + path) + _padded(content)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
