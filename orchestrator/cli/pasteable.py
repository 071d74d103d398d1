"""Commands in messages as they can be pasted into a shell: for the hypervisor that this run of snapctl works with."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from ..errors import SnapctlError

_VIRSH = re.compile(r"\bvirsh (?=[a-z])")
_DEFAULTS = ("VIRSH_DEFAULT_CONNECT_URI", "LIBVIRT_DEFAULT_URI")
"""Where virsh, without -c, looks for the URI first: virsh(1)."""


def pasteable(text: str, uri: str, environ: Mapping[str, str] = os.environ, *, root: bool | None = None) -> str:
    """`text` with `-c URI` in each virsh command, unless virsh would connect there anyway."""
    if uri == _default(environ, os.geteuid() == 0 if root is None else root):
        return text
    import shlex

    return _VIRSH.sub(lambda _: f"virsh -c {shlex.quote(uri)} ", text)


def make_pasteable(error: SnapctlError, uri: str) -> None:
    """The same for the commands that an error names."""
    error.problem, error.effect, error.hint = (
        pasteable(part, uri) for part in (error.problem, error.effect, error.hint)
    )


def _default(environ: Mapping[str, str], root: bool) -> str:
    named = next((value for name in _DEFAULTS if (value := environ.get(name))), None)
    return named or ("qemu:///system" if root else "qemu:///session")
