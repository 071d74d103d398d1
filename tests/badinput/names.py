"""1 – 20: names and arguments."""

from __future__ import annotations

from .case import REFUSED, USAGE, Case, Row

NAMES: tuple[tuple[int, str, str], ...] = (
    (1, "empty name", ""),
    (2, "name of blanks", "   "),
    (3, "name ..", ".."),
    (4, "name that climbs", "../../etc/cron.d/x"),
    (5, "absolute name", "/abs/name"),
    (6, "NUL in a name", "a\0b"),
    (7, "newline in a name", "a\nb"),
    (7, "carriage return in a name", "clean\rDELETED"),
    (8, "colour codes in a name", "\x1b[31mred\x1b[0m"),
    (9, "name of 300 characters", "n" * 300),
    (9, "name of 64 characters", "n" * 64),
    (10, "name with a leading dash", "-rf"),
    (11, "name that is a shell command", "a;rm -rf ~"),
    (12, "name that is a substitution", "$(id)"),
    (13, "name that runs backwards", "abc\u202etxt.exe"),
    (14, "é, composed", "caf\u00e9"),
    (14, "é, decomposed", "cafe\u0301"),
)

CASES: tuple[Row, ...] = (
    *(
        Case(
            number=number,
            what=what,
            argv=("checkpoint", "web01", "--", name),
            code=USAGE,
            says="is not a valid checkpoint name",
        )
        for number, what, name in NAMES
    ),
    Case(
        number=1,
        what="empty domain",
        argv=("checkpoint", "", "new"),
        code=REFUSED,
        says="there is no domain",
    ),
    Case(
        number=1,
        what="empty name to go back to",
        argv=("rollback", "web01", "", "-y"),
        code=REFUSED,
        says="web01 has no checkpoint",
    ),
    Case(
        number=1,
        what="empty name to delete",
        argv=("delete", "web01", "", "-y"),
        code=REFUSED,
        says="web01 has no checkpoint",
    ),
    Case(
        number=4,
        what="name to keep the present state by that climbs",
        argv=("rollback", "web01", "clean", "--keep-current=../x"),
        code=USAGE,
        says="'../x' is not a valid checkpoint name",
    ),
    Case(
        number=7,
        what="newline in a tag",
        argv=("checkpoint", "web01", "new", "-t", "a\nb"),
        code=USAGE,
        says="is not a valid tag name",
    ),
    Case(
        number=8,
        what="colour codes in a domain",
        argv=("checkpoint", "\x1b[2Jweb01", "new"),
        code=REFUSED,
        says=r"there is no domain \x1b[2Jweb01",
    ),
    Case(
        number=9,
        what="domain of 100,000 characters",
        argv=("checkpoint", "w" * 100_000, "new"),
        code=REFUSED,
        says="there is no domain www",
    ),
    Case(
        number=10,
        what="leading dash taken for options",
        argv=("checkpoint", "web01", "-rf"),
        code=USAGE,
        says="no such option",
    ),
    *(
        Case(
            number=15,
            what=what,
            argv=argv,
            code=USAGE,
            says="is not valid UTF-8",
        )
        for what, argv in {
            "invalid UTF-8 in a name": ("checkpoint", "web01", "a\udcff"),
            "invalid UTF-8 in a domain": ("checkpoint", "web\udcff", "new"),
            "invalid UTF-8 in a description": ("checkpoint", "web01", "new", "-d", "\udc80"),
            "lone surrogate": ("checkpoint", "web01", "new\ud800"),
        }.items()
    ),
    Case(
        number=16,
        what="duplicate name",
        argv=("checkpoint", "web01", "clean"),
        code=REFUSED,
        says="web01 already has a checkpoint clean",
    ),
    Case(
        number=16,
        what="duplicate name for the present state",
        argv=("rollback", "web01", "work", "--keep-current=clean"),
        code=REFUSED,
        says="web01 already has one of that name",
    ),
    Case(
        number=17,
        what="unknown checkpoint",
        argv=("rollback", "web01", "nosuch", "-y"),
        code=REFUSED,
        says="web01 has no checkpoint nosuch",
    ),
    Case(
        number=17,
        what="unknown checkpoint beside a known one",
        argv=("delete", "web01", "work", "nosuch", "-y"),
        code=REFUSED,
        says="web01 has no checkpoint nosuch",
    ),
    Case(
        number=17,
        what="unknown checkpoint to verify",
        argv=("verify", "web01", "nosuch"),
        code=REFUSED,
        says="web01 has no checkpoint nosuch",
    ),
    Case(
        number=18,
        what="beginning of two names",
        argv=("rollback", "web01", "o", "-y"),
        code=REFUSED,
        says="web01 has no checkpoint o",
    ),
    Case(
        number=19,
        what="another domain's checkpoint",
        argv=("rollback", "web01", "its", "-y"),
        code=REFUSED,
        says="web01 has no checkpoint its",
    ),
    Case(
        number=20,
        what="description of 10 MB",
        argv=("checkpoint", "web01", "new", "-d", "d" * 10_000_000),
        code=USAGE,
        says="the description is longer than",
    ),
)
