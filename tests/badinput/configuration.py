"""49 – 60: configuration. `bad.toml` is read after the user's own file."""

from __future__ import annotations

from tests.workstation import Workstation

from .case import ENVIRONMENT, USAGE, Case, Elsewhere, Provocation, Row, Unconcerned

FILE = "bad.toml"
LIST = ("--config", FILE, "list")


def holding(content: str | bytes, mode: int = 0o600) -> Provocation:
    def provoke(station: Workstation) -> None:
        file = station.home / FILE
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        file.chmod(mode)

    return provoke


def a_directory(station: Workstation) -> None:
    (station.home / FILE).mkdir()


BAD: tuple[tuple[int, str, str, str | bytes], ...] = (
    (50, "no TOML", f"{FILE} is not TOML", "uri: qemu:///system"),
    (50, "JSON", f"{FILE} is not TOML", '{"uri": "qemu:///system"}'),
    (50, "no text", f"{FILE} is not TOML", b"\xff\xfe\0"),
    (50, "a key twice", f"{FILE} is not TOML", "uri = 'a'\nuri = 'b'"),
    (50, "100,000 brackets", f"{FILE} is not TOML", "uri = " + "[" * 100_000),
    (50, "2 MiB", "is longer than 1 MiB", b"#" * (2 << 20)),
    (
        51,
        "unknown key",
        "unknown key job.timout_s; nothing was changed; the nearest known one is job.timeout_s",
        "[job]\ntimout_s = 1",
    ),
    (
        51,
        "unknown table",
        "unknown key sotre; nothing was changed; the nearest known one is store",
        "[sotre]\npath = '/x'",
    ),
    (51, "table for a key", "uri: expected str, got a table", "[uri]\nx = 1"),
    (51, "key for a table", "store: expected a table, got str", "store = '/x'"),
    (52, "text for a number", "job.timeout_s: expected int, got str", "[job]\ntimeout_s = 'ten'"),
    (52, "fraction for a number", "store.reserve_mib: expected int, got float", "[store]\nreserve_mib = 1.5"),
    (52, "date for a text", "uri: expected str, got", "uri = 2026-01-01"),
    (52, "unknown choice", "checkpoint.after: invalid enum value 'sleep'", "[checkpoint]\nafter = 'sleep'"),
    (53, "no time to wait", "job.timeout_s: expected int >= 1", "[job]\ntimeout_s = 0"),
    (53, "negative time to connect", "connection.timeout_s: expected int >= 1", "[connection]\ntimeout_s = -1"),
    (53, "negative reserve", "store.reserve_mib: expected int >= 0", "[store]\nreserve_mib = -1"),
    (53, "endless time", "job.timeout_s: ", f"[job]\ntimeout_s = {10**30}"),
    (54, "relative store", "store.path is 'x/y', which is not a plain absolute path", "[store]\npath = 'x/y'"),
    (54, "store that climbs", "not a plain absolute path", "[store]\npath = '/store/../etc'"),
    (54, "store in many lines", "not a plain absolute path", "[store]\npath = '''/a\nb'''"),
    (54, "empty store", "store.path is '', which is not a plain absolute path", "[store]\npath = ''"),
    (60, "unknown database", "a catalog cannot be stored in mysql", "catalog = 'mysql://u:hunter2@h/x'"),
    (60, "catalog in memory", "names no file", "catalog = 'sqlite://'"),
    (60, "catalog that is no URL", "the catalog URL is malformed", "catalog = 'catalog.sqlite'"),
    (60, "catalog with options", "names no file, or has options", "catalog = 'sqlite:///x?mode=ro'"),
)

CASES: tuple[Row, ...] = (
    Case(number=49, what="file that is missing", argv=LIST, code=USAGE, says=f"there is no configuration file {FILE}"),
    Case(
        number=49,
        what="file that is a directory",
        argv=LIST,
        code=USAGE,
        says=f"cannot read {FILE}",
        provoke=a_directory,
    ),
    Case(
        number=49,
        what="file that never ends",
        argv=("--config", "/dev/zero", "list"),
        code=USAGE,
        says="is longer than 1 MiB",
    ),
    *(
        Case(number=number, what=what, argv=LIST, code=USAGE, says=says, provoke=holding(content))
        for number, what, says, content in BAD
    ),
    Case(
        number=42,
        what="password in the configured URI",
        argv=LIST,
        code=USAGE,
        says="contains a password",
        provoke=holding("uri = 'qemu+ssh://root:hunter2@h/system'"),
        over_libvirt=True,
    ),
    Case(
        number=55,
        what="store that is a file",
        argv=("--config", FILE, "checkpoint", "web01", "new"),
        code=ENVIRONMENT,
        says="Not a directory",
        provoke=holding("[store]\npath = '/iso/a.iso'"),
    ),
    Case(
        number=55,
        what="store below a file",
        argv=("--config", FILE, "checkpoint", "web01", "new"),
        code=ENVIRONMENT,
        says="Not a directory",
        provoke=holding("[store]\npath = '/iso/a.iso/store'"),
    ),
    Elsewhere(
        number=55,
        what="store where no image can be",
        test="tests/badinput/test_on_libvirt.py::test_checkpoint_store_in_proc_is_refused",
    ),
    Unconcerned(
        number=56,
        what="store that is a symlink into another user's directory",
        why="the store is made and opened by the hypervisor's daemon, with its own rights and by a path of its own",
    ),
    Elsewhere(
        number=57,
        what="store that others may change: doctor warns",
        test="tests/unit/test_doctor.py::test_judge_store_with_wide_permissions_is_a_warning",
    ),
    Elsewhere(
        number=58, what="catalog on NFS: doctor warns", test="tests/unit/test_doctor.py::test_judge_catalog_condition"
    ),
    Case(
        number=59,
        what="password that others may read",
        argv=LIST,
        code=USAGE,
        says="contains the catalog password, and other users may read it",
        provoke=holding("catalog = 'postgresql://u:hunter2@h/x'", mode=0o644),
    ),
)
