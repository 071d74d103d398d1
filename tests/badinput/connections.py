"""39 – 48: URIs, and who answers there. Sockets are named relative to the home directory."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from threading import Thread

from tests.workstation import Workstation

from .case import ENVIRONMENT, USAGE, Case, Elsewhere, Provocation, Row

SOCKET = "daemon.sock"
THERE = f"qemu+unix:///system?socket={SOCKET}"
PATIENCE = 1
"""Seconds that the configuration allows a daemon."""

REFUSED: tuple[tuple[int, str, str, str], ...] = (
    (40, "a file", "file:///etc/passwd", "file:// is not a QEMU connection"),
    (40, "no URI", "web01", "the URI has no scheme"),
    (40, "an ordinary URL", "https://example.org/system", "https:// is not a QEMU connection"),
    (41, "command=", "qemu+ssh://h/system?command=/x", "has the parameter command"),
    (41, "command= in disguise", "qemu+ssh://h/system?no_tty=1&c%6fmmand=/x", "has the parameter command"),
    (41, "netcat=", "qemu+ssh://h/system?netcat=/x", "has the parameter netcat"),
    (41, "proxy=", "qemu+ssh://h/system?proxy=native", "has the parameter proxy"),
    (41, "known_hosts=", "qemu+libssh://h/system?known_hosts=/x", "has the parameter known_hosts"),
    (41, "known_hosts_verify=", "qemu+libssh://h/system?known_hosts_verify=ignore", "parameter known_hosts_verify"),
    (41, "no_verify=", "qemu+tls://h/system?no_verify=1", "has the parameter no_verify"),
    (41, "ext transport", "qemu+ext://h/system?command=/x", "qemu+ext:// is not a QEMU connection"),
    (41, "host that is an option", "qemu+ssh://-oProxyCommand=x/system", "begins with a dash"),
    (42, "password", "qemu+ssh://root:hunter2@h/system", "contains a password"),
    (43, "test driver", "test:///default", "test:// is not a QEMU connection"),
    (43, "lxc driver", "lxc:///", "lxc:// is not a QEMU connection"),
    (43, "embedded driver", "qemu:///embed?root=/x", "has the path /embed, not /system or /session"),
    (43, "blanks", "qemu:///system ", "contains blanks or control characters"),
    (43, "port that is none", "qemu+tcp://h:x/system", "the URI is malformed"),
)
"""Never connected to."""


def a_directory(station: Workstation) -> None:
    (station.home / SOCKET).mkdir()


def a_plain_file(station: Workstation) -> None:
    (station.home / SOCKET).write_bytes(b"")


def nobody_listens(station: Workstation) -> None:
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(SOCKET)


def somebody_who(answers: Callable[[socket.socket], None]) -> Provocation:
    """Somebody takes every call, does that, and hangs up."""

    def provoke(station: Workstation) -> None:
        listening = station.ending.enter_context(socket.socket(socket.AF_UNIX))
        listening.bind(SOCKET)
        listening.listen()
        station.ending.callback(listening.shutdown, socket.SHUT_RDWR)
        Thread(target=_answer_all, args=(listening, answers), daemon=True).start()
        station.configure(f"[connection]\ntimeout_s = {PATIENCE}\n")

    return provoke


def _answer_all(listening: socket.socket, answers: Callable[[socket.socket], None]) -> None:
    with suppress(OSError):  # the end of the test
        while True:
            caller, _ = listening.accept()
            with caller:
                answers(caller)


def hangs_up(caller: socket.socket) -> None:
    """Says nothing."""


def never_answers(caller: socket.socket) -> None:
    while caller.recv(4096):
        pass


def talks_http(caller: socket.socket) -> None:
    caller.recv(4096)
    caller.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def claims_a_long_answer(caller: socket.socket) -> None:
    caller.recv(4096)
    caller.sendall(b"\xff\xff\xff\xff" * 8)


def answers_by_halves(caller: socket.socket) -> None:
    """The beginning of libvirt's own answer: its length, and no more."""
    caller.recv(4096)
    caller.sendall(b"\x00\x00\x00\x1c")
    never_answers(caller)


def _refused(number: int, what: str, uri: str, says: str) -> Case:
    return Case(number=number, what=what, argv=("-c", uri, "list"), code=USAGE, says=says, over_libvirt=True)


def _unreachable(
    number: int, what: str, says: str, provoke: Provocation, argv: tuple[str, ...] = ("list",), uri: str = THERE
) -> Case:
    return Case(
        number=number,
        what=what,
        argv=("-c", uri, *argv),
        code=ENVIRONMENT,
        says=says,
        provoke=provoke,
        over_libvirt=True,
    )


def _nothing(station: Workstation) -> None:
    assert not os.path.exists(SOCKET)


CASES: tuple[Row, ...] = (
    *(_refused(*row) for row in REFUSED),
    _unreachable(
        39,
        "host that is none",
        "cannot connect to qemu+tcp://no.invalid/system",
        _nothing,
        uri="qemu+tcp://no.invalid/system",
    ),
    _unreachable(44, "no socket", "No such file or directory", _nothing),
    _unreachable(44, "no socket, for a changing verb", "No such file or directory", _nothing, ("checkpoint", "web01")),
    _unreachable(44, "nobody at the socket", "Connection refused", nobody_listens),
    _unreachable(44, "socket is a directory", "Connection refused", a_directory),
    _unreachable(44, "socket is a file", "Connection refused", a_plain_file),
    Elsewhere(
        number=45,
        what="forbidden socket",
        test="tests/badinput/test_forbidden.py::test_forbidden_socket_is_refused_with_the_rights_needed",
    ),
    Elsewhere(
        number=46,
        what="read-only connection",
        test="tests/contract/test_libvirt_only.py::test_a_read_only_connection_changes_nothing",
    ),
    Elsewhere(number=47, what="old libvirt: doctor warns", test="tests/unit/test_doctor.py::test_versions"),
    _unreachable(48, "daemon that never answers", f"no answer within {PATIENCE} s", somebody_who(never_answers)),
    _unreachable(
        48, "daemon that stops in its answer", f"no answer within {PATIENCE} s", somebody_who(answers_by_halves)
    ),
    _unreachable(48, "daemon that hangs up", "cannot connect to qemu+unix:///system", somebody_who(hangs_up)),
    _unreachable(48, "web server", "cannot connect to qemu+unix:///system", somebody_who(talks_http)),
    _unreachable(48, "answer of 4 GiB", "cannot connect to qemu+unix:///system", somebody_who(claims_a_long_answer)),
)
