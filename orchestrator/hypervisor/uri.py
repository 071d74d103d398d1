"""Which libvirt URIs snapctl takes.

A URI may come from a configuration file or an environment variable that another user wrote, and
libvirt lets one name programs to run on this machine or switch off the check of the other side's
identity. So what a URI may hold is listed here, and all else is refused.
"""

from __future__ import annotations

import re
from urllib.parse import SplitResult, unquote, urlsplit

from ..errors import UsageError

TRANSPORTS = frozenset({"", "unix", "ssh", "libssh", "libssh2", "tls", "tcp"})
INSTANCES = frozenset({"/system", "/session"})
PARAMETERS = frozenset({"socket", "mode", "keyfile", "sshauth", "no_tty", "pkipath", "tls_priority"})
"""Not `command`, `netcat` and `proxy` (programs to run), nor `known_hosts…`, `no_verify` and `no_sanity`."""

_HINT = "as in qemu:///system or qemu+ssh://user@host/system"


def check(uri: str) -> None:
    """Raise `UsageError` for a URI that is not a plain way to a QEMU hypervisor. Never shows a password."""
    parts = _split(uri)
    if not parts.scheme:
        raise UsageError("the URI has no scheme", hint=_HINT)
    driver, _, transport = parts.scheme.partition("+")
    if driver != "qemu" or transport not in TRANSPORTS:
        raise UsageError(f"the URI's {parts.scheme}:// is not a QEMU connection", hint=_HINT)
    if parts.password is not None:
        raise UsageError("the URI contains a password", hint="libvirt reads passwords from its auth.conf")
    if parts.path not in INSTANCES:
        raise UsageError(f"the URI has the path {parts.path or 'none'}, not /system or /session", hint=_HINT)
    # Such a name would reach the ssh command as an option.
    if (parts.hostname or "").startswith("-") or (parts.username or "").startswith("-"):
        raise UsageError("the URI's host or user name begins with a dash", hint=_HINT)
    refused = sorted(_parameters(parts.query) - PARAMETERS)
    if refused:
        raise UsageError(f"the URI has the parameter {refused[0]}, which snapctl refuses", hint="leave it out")


def public(uri: str) -> str:
    """The URI without user, password and parameters: fit for catalog and messages."""
    parts = _split(uri)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def shown(uri: str) -> str:
    """The URI for an error of connecting, where its parameters say what was tried. Without password."""
    parts = _split(uri)
    user, at, place = parts.netloc.rpartition("@")
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{user.partition(':')[0]}{at}{place}{parts.path}{query}"


def _split(uri: str) -> SplitResult:
    if not uri.isprintable() or " " in uri:
        raise UsageError("the URI contains blanks or control characters", hint=_HINT)
    try:
        parts = urlsplit(uri)
        _ = parts.port  # raises for what is no number
    except ValueError:
        raise UsageError("the URI is malformed", hint=_HINT) from None
    return parts


def _parameters(query: str) -> set[str]:
    """The names of the parameters as libvirt reads them: `&` or `;` between them, escapes, any case."""
    return {unquote(pair.partition("=")[0]).lower() for pair in re.split("[&;]", query) if pair}
