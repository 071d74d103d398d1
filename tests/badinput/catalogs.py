"""87 and 88: the catalog, and what the system lacks."""

from __future__ import annotations

import os
import resource
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing

import msgspec

from orchestrator.errors import HypervisorError
from orchestrator.model import Host
from orchestrator.operations.delete.plan import DeletePlan
from tests.workstation import Workstation

from .case import ENVIRONMENT, FAILED, INTEGRITY, REFUSED, USAGE, Case, Elsewhere, Provocation, Row, Unconcerned

CHECKPOINT = ("checkpoint", "web01", "new")
ROLLBACK = ("rollback", "web01", "work", "-y")
DELETE = ("delete", "web01", "work", "-y")
LIST = ("list",)

# --------------------------------------------------------------------------- another file in its place


def file_of(content: bytes) -> Provocation:
    return lambda station: station.catalog.write_bytes(content)


def edited(edit: Callable[[bytes], bytes]) -> Provocation:
    return lambda station: station.catalog.write_bytes(edit(station.catalog.read_bytes()))


def of_something_else(station: Workstation) -> None:
    station.catalog.unlink()
    station.sql("CREATE TABLE bookmarks (url TEXT)")


def of_version(revision: str) -> Provocation:
    return lambda station: station.sql("UPDATE alembic_version SET version_num = ?", revision)


FILES: tuple[tuple[str, Provocation, str], ...] = (
    ("text", file_of(b"not a database\n" * 1000), "file is not a database"),
    ("database of something else", of_something_else, "the database is not a snapctl catalog"),
    ("damaged pages", edited(lambda old: old[:4096] + os.urandom(len(old) - 4096)), "malformed"),
    ("cut in half", edited(lambda old: old[: len(old) // 2]), "malformed"),
    ("newer schema", of_version("9999"), "has schema 9999, and this snapctl supports"),
    ("older schema", of_version("0001"), "run: snapctl catalog upgrade"),
    ("schema that is none", of_version("x"), "the database is not a snapctl catalog"),
)

# --------------------------------------------------------------------------- rows that somebody wrote


def row(statement: str, *values: object) -> Provocation:
    """A change of rows by somebody who may write to the file. No foreign key is checked."""
    return lambda station: station.sql(statement, *values)


MISPLACED = "is not a path that snapctl gives a file"

ROWS: tuple[tuple[str, tuple[str, ...], int, str, str], ...] = (
    (
        *("layer /etc/shadow", ROLLBACK, ENVIRONMENT, MISPLACED),
        "UPDATE layer SET path = '/etc/' || id WHERE operation_id IS NOT NULL",
    ),
    (
        *("layer /etc/shadow", DELETE, ENVIRONMENT, MISPLACED),
        "UPDATE layer SET path = '/etc/' || id WHERE operation_id IS NOT NULL",
    ),
    (
        *("guest's own disk as one of snapctl's", ROLLBACK, ENVIRONMENT, MISPLACED),
        "UPDATE layer SET operation_id = 'x' WHERE operation_id IS NULL",
    ),
    (
        "layer that stands on itself",
        ROLLBACK,
        ENVIRONMENT,
        "it is in its own backing chain",
        "UPDATE layer SET backing_id = id",
    ),
    (
        *("layer without what it stands on", ROLLBACK, INTEGRITY, "was changed: its backing file is"),
        "UPDATE layer SET backing_id = NULL",
    ),
    ("unknown state", LIST, ENVIRONMENT, "'frozen' is not a state", "UPDATE checkpoint SET state = 'frozen'"),
    (
        *("unknown device", ROLLBACK, ENVIRONMENT, "is damaged: Invalid enum value 'tape'"),
        "UPDATE artifact SET device = 'tape' WHERE kind = 'disk'",
    ),
    (
        *("time that is none", LIST, ENVIRONMENT, "is damaged: Invalid RFC3339"),
        "UPDATE checkpoint SET created = 'yesterday'",
    ),
    (
        *("time without a zone", LIST, ENVIRONMENT, "is damaged"),
        "UPDATE checkpoint SET created = '2026-01-01T00:00:00'",
    ),
    (
        *("text for a size", ROLLBACK, ENVIRONMENT, "is damaged: Expected `int`"),
        "UPDATE artifact SET size = 'big' WHERE kind = 'memory'",
    ),
    ("bytes for a name", LIST, ENVIRONMENT, "is damaged", "UPDATE domain SET name = x'ff00'"),
    (
        "bytes for a path",
        ROLLBACK,
        ENVIRONMENT,
        "is damaged",
        "UPDATE artifact SET path = x'2f65' WHERE kind = 'memory'",
    ),
    (
        *("other length of an image", ROLLBACK, INTEGRITY, "bytes, not "),
        "UPDATE artifact SET size = size + 1 WHERE kind = 'memory'",
    ),
    (
        *("other emulator", ROLLBACK, INTEGRITY, "was changed: its emulator"),
        "UPDATE checkpoint_document SET domain_xml = replace(domain_xml, 'qemu-sys', 'evil-sys')",
    ),
    (
        *("head elsewhere", CHECKPOINT, REFUSED, "the catalog says"),
        "UPDATE head_disk SET layer_id = (SELECT min(id) FROM layer)",
    ),
    (
        *("layers of another checkpoint", ROLLBACK, INTEGRITY, "was saved with"),
        "UPDATE artifact SET layer_id = (SELECT layer_id FROM artifact JOIN checkpoint"
        " ON checkpoint.id = checkpoint_id WHERE name = 'other' AND layer_id > 0) WHERE layer_id > 0",
    ),
    (
        *("disk that the guest has now for a frozen one", ROLLBACK, INTEGRITY, "was saved with"),
        "UPDATE artifact SET layer_id = (SELECT layer_id FROM head_disk LIMIT 1) WHERE layer_id IS NOT NULL",
    ),
    (
        *("frozen layer without its facts", ROLLBACK, INTEGRITY, "was changed: its length is 196616, not None"),
        "UPDATE layer SET physical = NULL WHERE operation_id IS NOT NULL",
    ),
    (
        *("trigger", ROLLBACK, ENVIRONMENT, "the catalog contains triggers or views"),
        "CREATE TRIGGER t AFTER UPDATE ON head BEGIN DELETE FROM checkpoint; END",
    ),
    ("no head", ("rollback", "web01", "-y"), REFUSED, "web01 has no current checkpoint", "DELETE FROM head"),
)
"""What was written, what is asked then, how that ends, and how it was written."""


FOREIGN_PLAN = msgspec.json.encode(
    DeletePlan(
        operation_id="left",
        host=Host(uuid="x", name="x", uri="x", libvirt_version="x", qemu_version="x"),
        domain_uuid="DOMAIN",
        domain_name="web01",
        checkpoint_id="CHECKPOINT",
        checkpoint_name="work",
        maker_id="CHECKPOINT",
        directory="/etc",
        memory_path="/etc/shadow",
        sidecars=(),
        layers=(),
        freed_bytes=0,
    )
).decode()


def unfinished(plan: str) -> Provocation:
    """A deletion that a crash left, with that plan; CHECKPOINT in it stands for the id of one of web01's."""

    def provoke(station: Workstation) -> None:
        ((checkpoint,),) = station.sql("SELECT id FROM checkpoint WHERE name = 'work'")
        station.sql(
            "INSERT INTO operation (id, kind, host_uuid, state, version, token, owner_user, owner_host,"
            " owner_machine_id, owner_boot_id, owner_pid, owner_pid_start, opened, lease_until)"
            " SELECT 'left', 'delete', host_uuid, 'open', version, 1,"
            " owner_user, owner_host, owner_machine_id, owner_boot_id, owner_pid, 'of one that ended', opened, opened"
            " FROM operation ORDER BY opened LIMIT 1"
        )
        station.sql(
            "INSERT INTO operation_member (operation_id, domain_uuid, host_uuid, position, open, step, completed, plan,"
            " results) SELECT 'left', domain_uuid, host_uuid, 0, 1, '', '[]', ?, '{}'"
            " FROM operation_member ORDER BY rowid LIMIT 1",
            plan.replace("CHECKPOINT", checkpoint).replace("DOMAIN", station.machine().uuid),
        )

    return provoke


# --------------------------------------------------------------------------- an old one


def older_copy(change: Callable[[Workstation], object]) -> Provocation:
    """The catalog as it was before a change that the hypervisor has seen."""

    def provoke(station: Workstation) -> None:
        old = station.catalog.read_bytes()
        change(station)
        station.changes.clear()
        station.catalog.write_bytes(old)

    return provoke


def one_more(station: Workstation) -> None:
    """work is rolled back to and `more` is made on it, so that the guest's disks stand on work's layers."""
    with station.session() as session:
        session.rollback("web01", "work")
        session.checkpoint("web01", "more")


def one_more_and_off(station: Workstation) -> None:
    one_more(station)
    station.guest().shut_down()


def copied_alive(station: Workstation) -> None:
    """What `cp` makes of a catalog in use: the file without its log, where the last transactions are."""
    copy = station.home / "copy.sqlite"
    with closing(sqlite3.connect(station.catalog)) as reader:
        reader.execute("PRAGMA wal_autocheckpoint = 0")
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM checkpoint")
        one_more(station)
        shutil.copyfile(station.catalog, copy)
    station.changes.clear()
    copy.replace(station.catalog)


# --------------------------------------------------------------------------- what the system lacks


def no_space(station: Workstation) -> None:
    station.world.files.free = 1 << 20


def daemon_says(problem: str) -> Provocation:
    """The daemon's mkdir fails."""

    def provoke(station: Workstation) -> None:
        def fail(path: str) -> None:
            raise HypervisorError(f"cannot create path '{path}': {problem}")

        station.world.files.make_directory = fail  # type: ignore[method-assign]

    return provoke


def no_room_for_the_journal(station: Workstation) -> None:
    """No file of this process may grow beyond 16 KiB: there is no room for what SQLite writes beside the catalog."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    station.ending.callback(resource.setrlimit, resource.RLIMIT_FSIZE, limits)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16384, limits[1]))


CASES: tuple[Row, ...] = (
    *(
        Case(number=87, what=f"{what}, {argv[0]}", argv=argv, code=ENVIRONMENT, says=says, provoke=provoke)
        for what, provoke, says in FILES
        for argv in (LIST, CHECKPOINT)
    ),
    *(
        Case(number=87, what=f"{what}, {argv[0]}", argv=argv, code=code, says=says, provoke=row(statement))
        for what, argv, code, says, statement in ROWS
    ),
    *(
        Case(
            number=87,
            what=f"memory image at '{path}', {argv[0]}",
            argv=argv,
            code=ENVIRONMENT,
            says=MISPLACED,
            provoke=row("UPDATE artifact SET path = ? WHERE kind = 'memory'", path),
        )
        for path in ("/etc/shadow", "../../../etc/shadow", "/store/../etc/shadow", "")
        for argv in (ROLLBACK, DELETE)
    ),
    *(
        Case(
            number=87,
            what=f"older copy, {what}",
            argv=argv,
            code=REFUSED,
            says=says,
            provoke=older_copy(change),
        )
        for what, argv, change, says in (
            ("checkpoint", CHECKPOINT, one_more, "not in the catalog"),
            ("rollback", ROLLBACK, one_more, "not in the catalog"),
            ("rollback of a guest that is off", ROLLBACK, one_more_and_off, "not in the catalog"),
        )
    ),
    *(
        Case(
            number=87,
            what=f"unfinished operation {what}, {argv[0]}",
            argv=argv,
            code=ENVIRONMENT,
            says=says,
            provoke=unfinished(plan),
        )
        for what, plan, says in (
            ("without a plan", "{}", "the plan of operation left is damaged"),
            ("whose plan is no JSON", "{", "row of operation left is damaged"),
            (
                "that would delete what is not ours",
                FOREIGN_PLAN,
                "'/etc/shadow' is not a path that snapctl gives a file",
            ),
        )
        for argv in (("recover",), CHECKPOINT)
    ),
    Case(
        number=87,
        what="backup without a name",
        argv=("catalog", "backup", ""),
        code=USAGE,
        says="the backup needs a file name",
    ),
    Case(
        number=87,
        what="backup onto the catalog itself",
        argv=("catalog", "backup", "catalog.sqlite"),
        code=REFUSED,
        says="catalog.sqlite already exists",
    ),
    Case(
        number=87,
        what="rebuild of a catalog that is well",
        argv=("catalog", "rebuild"),
        code=REFUSED,
        says="the catalog already has checkpoints of twin",
    ),
    Elsewhere(
        number=87,
        what="circle of parents: nothing is left out",
        test="tests/unit/test_render_tree.py::test_a_circle_of_parents_hides_nothing",
    ),
    Unconcerned(number=87, what="two heads", why="a domain's head is one row, whose primary key is the domain"),
    Case(number=88, what="no space for an image", argv=CHECKPOINT, code=REFUSED, says="MiB free", provoke=no_space),
    Case(number=88, what="no space for overlays", argv=ROLLBACK, code=REFUSED, says="MiB free", provoke=no_space),
    *(
        Case(
            number=88,
            what=f"{problem.lower()}, {argv[0]}",
            argv=argv,
            code=FAILED,
            says=f"{problem}; undone",
            provoke=daemon_says(problem),
        )
        for problem in ("No space left on device", "Read-only file system", "Permission denied")
        for argv in (CHECKPOINT, ROLLBACK)
    ),
    Case(
        number=88,
        what="no room for the journal",
        argv=CHECKPOINT,
        code=ENVIRONMENT,
        says="the catalog",
        provoke=no_room_for_the_journal,
    ),
    *(
        Case(
            number=88,
            what=f"catalog at {path}",
            argv=("--catalog", f"sqlite:///{path}", "list"),
            code=ENVIRONMENT,
            says="the catalog sqlite:///",
        )
        for path in ("/dev/full", "/dev/null", "/")
    ),
    *(
        Case(
            number=88,
            what=f"new catalog at {path} beside an owned store",
            argv=("--catalog", f"sqlite:///{path}", *CHECKPOINT),
            code=REFUSED,
            says="belongs to the catalog sqlite:///",
        )
        for path in ("/proc/x.sqlite", "/dev/null/x.sqlite", f"/{'x' * 300}")
    ),
    Case(
        number=88,
        what="catalog with a relative path",
        argv=("--catalog", "sqlite:///config", "list"),
        code=USAGE,
        says="the catalog URL has a relative path",
    ),
    Unconcerned(
        number=88, what="qemu-img missing, or a strange one", why="snapctl runs no program: tests/test_boundaries.py"
    ),
)
