"""Everything that can be configured, as one frozen value.

Configuration is TOML, read from `/etc/snapctl/snapctl.toml`, then the user's own file, then the one
named on the command line; a later file overrides single keys of an earlier one. `load` does the
reading; `resolve` is pure. `config/snapctl.toml` documents every key.
"""

from __future__ import annotations

import difflib
import os
import re
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec

from .errors import UsageError
from .model import After
from .timespan import parse

DEFAULT_URI = "qemu:///system"
SYSTEM_CONFIG = Path("/etc/snapctl/snapctl.toml")
SYSTEM_CATALOG = Path("/var/lib/snapctl/catalog.sqlite")
SYSTEM_STORE = "/var/lib/libvirt/images/snapctl"
LONGEST_FILE = 1024 * 1024
"""Bytes. A configuration is a page; whatever is longer is another file, or a device that never ends."""

Table = dict[str, Any]
"""A TOML table as decoded: keys to values or tables."""

PASSWORD = re.compile(r"://[^@/]*:[^@]+@|[?&][^=&]*passw[^=&]*=", re.IGNORECASE)
"""A password in a database URL: before the host, or in the query."""


class Store(msgspec.Struct, frozen=True, kw_only=True):
    """Where the hypervisor keeps what snapctl creates."""

    path: str  # in the hypervisor's file system
    reserve_mib: Annotated[int, msgspec.Meta(ge=0, lt=2**31)]  # free space to leave


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    timeout_s: Annotated[int, msgspec.Meta(gt=0, lt=2**31)]  # how long to wait for an answer when connecting


class Job(msgspec.Struct, frozen=True, kw_only=True):
    timeout_s: Annotated[int, msgspec.Meta(gt=0, lt=2**31)]  # how long to wait for a job that another client left


class Chain(msgspec.Struct, frozen=True, kw_only=True):
    soft_limit: Annotated[int, msgspec.Meta(gt=0, lt=2**31)]  # layers of a disk from which on a checkpoint warns


class Journal(msgspec.Struct, frozen=True, kw_only=True):
    keep_days: Annotated[int, msgspec.Meta(ge=0, lt=36500)]  # how long settled operations stay in the catalog


class CheckpointDefaults(msgspec.Struct, frozen=True, kw_only=True):
    after: After  # state of the guest when the verb has no --after


Count = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]


class PruneDefaults(msgspec.Struct, frozen=True, kw_only=True):
    """What `prune` keeps when its options do not say; each switched off by its empty value."""

    keep_last: Count
    keep_hourly: Count
    keep_daily: Count
    keep_weekly: Count
    keep_monthly: Count
    keep_tags: tuple[str, ...]
    keep_within: str  # a length of time such as 3d
    expired: bool


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """`uri` and `catalog` may hold a password: never print or log them."""

    uri: Annotated[str, msgspec.Meta(min_length=1)]  # libvirt's
    catalog: str  # SQLAlchemy's
    store: Store
    connection: Connection
    job: Job
    checkpoint: CheckpointDefaults
    chain: Chain
    journal: Journal
    prune: PruneDefaults


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where this user's files are looked for."""

    configs: tuple[Path, ...]  # the system's, then the user's own
    data: Path
    root: bool

    @classmethod
    def of_this_user(cls) -> Places:
        import platformdirs

        return cls(
            configs=(SYSTEM_CONFIG, platformdirs.user_config_path("snapctl") / "snapctl.toml"),
            data=platformdirs.user_data_path("snapctl"),
            root=os.geteuid() == 0,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A configuration file as it was read."""

    name: str
    table: Table
    readable_by_others: bool


def load(
    *,
    connect: str | None = None,
    config: str | os.PathLike[str] | None = None,
    catalog: str | None = None,
    environ: Mapping[str, str] = os.environ,
    places: Places | None = None,
) -> Settings:
    """The settings that hold for these options in this environment.

    The URI is `connect`, or SNAPCTL_URI, or LIBVIRT_DEFAULT_URI, or the configuration's. A file of
    the usual places may be missing, `config` may not. Raises `UsageError`.
    """
    places = places or Places.of_this_user()
    documents = [document for path in places.configs if (document := _read(path))]
    if config is not None:
        named = _read(Path(config))
        if named is None:
            raise UsageError(f"there is no configuration file {config}", hint="check --config")
        documents.append(named)
    uri = connect or environ.get("SNAPCTL_URI") or environ.get("LIBVIRT_DEFAULT_URI")
    return resolve(documents, {"uri": uri, "catalog": catalog}, places)


def resolve(documents: Iterable[Document], overrides: Mapping[str, str | None], places: Places) -> Settings:
    """Defaults, then each document, then the overrides that are set. Pure; raises `UsageError`."""
    given: Table = {}
    for document in documents:
        _refuse_unknown(document.table, Settings, document.name)
        _refuse_open_password(document)
        given = _merged(given, document.table)
        _checked(_merged(_defaults(DEFAULT_URI, places), given), document.name)  # so that the file at fault is named
    given = _merged(given, {key: value for key, value in overrides.items() if value})
    return _checked(_merged(_defaults(given.get("uri", DEFAULT_URI), places), given), "the command line")


def _defaults(uri: str, places: Places) -> Table:
    session = uri.partition("?")[0].endswith("/session")
    catalog = SYSTEM_CATALOG if places.root else places.data / "catalog.sqlite"
    return {
        "uri": uri,
        "catalog": f"sqlite:///{catalog}",
        "store": {"path": str(places.data / "store") if session else SYSTEM_STORE, "reserve_mib": 64},
        "connection": {"timeout_s": 30},
        "job": {"timeout_s": 600},
        "checkpoint": {"after": After.AS_SAVED},
        "chain": {"soft_limit": 50},
        "journal": {"keep_days": 90},
        "prune": {
            **dict.fromkeys(("keep_last", "keep_hourly", "keep_daily", "keep_weekly", "keep_monthly"), 0),
            "keep_tags": [],
            "keep_within": "",
            "expired": False,
        },
    }


def _merged(below: Table, above: Table) -> Table:
    """`above` over `below`, table by table."""
    merged = dict(below)
    for key, value in above.items():
        under = below.get(key)
        merged[key] = _merged(under, value) if isinstance(under, dict) and isinstance(value, dict) else value
    return merged


# --------------------------------------------------------------------------- refusals


def _refuse_unknown(table: Table, schema: type[msgspec.Struct], source: str, prefix: str = "") -> None:
    known = {field.name: field.type for field in msgspec.structs.fields(schema)}
    for key, value in table.items():
        if key not in known:
            nearest = difflib.get_close_matches(key, known, n=1, cutoff=0.0)[0]
            raise UsageError(f"{source}: unknown key {prefix}{key}", hint=f"the nearest known one is {prefix}{nearest}")
        if isinstance(value, dict) and _is_table(known[key]):
            _refuse_unknown(value, known[key], source, f"{prefix}{key}.")


def _is_table(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _refuse_open_password(document: Document) -> None:
    catalog = document.table.get("catalog")
    if document.readable_by_others and isinstance(catalog, str) and PASSWORD.search(catalog):
        raise UsageError(
            f"{document.name} contains the catalog password, and other users may read it",
            hint=f"run: chmod o-rwx {document.name}",
        )


def _checked(table: Table, source: str) -> Settings:
    try:
        settings = msgspec.convert(table, Settings)
    except msgspec.ValidationError as error:
        raise _wrong_value(str(error), source) from None
    store = settings.store.path
    if not store.startswith("/") or not store.isprintable() or ".." in store.split("/"):
        raise UsageError(
            f"{source}: store.path is {store!r}, which is not a plain absolute path",
            hint="name a directory of the hypervisor, such as /var/lib/libvirt/images/snapctl",
        )
    if within := settings.prune.keep_within:
        parse(within, f"{source}: prune.keep_within")
    return settings


def _wrong_value(message: str, source: str) -> UsageError:
    """msgspec's `Expected ..., got ... - at `$.key`` in our form."""
    expected, _, path = message.replace("`object`", "a table").replace("`", "").partition(" - at $.")
    hint = f"one of {', '.join(After)}" if path == "checkpoint.after" else "see config/snapctl.toml"
    return UsageError(f"{source}: {path}: {expected[:1].lower()}{expected[1:]}", hint=hint)


# --------------------------------------------------------------------------- reading


def _read(path: Path) -> Document | None:
    """The file, or None when there is none. Anything else that keeps it from being read is refused."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(LONGEST_FILE + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", hint="make it readable, or remove it") from None
    if len(text) > LONGEST_FILE:
        raise UsageError(f"{path} is longer than 1 MiB: this is not a configuration of snapctl", hint="check its name")
    try:
        table = msgspec.toml.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{path} is not TOML: {error}", hint="fix that line") from None
    return Document(name=str(path), table=table, readable_by_others=bool(mode & stat.S_IROTH))
