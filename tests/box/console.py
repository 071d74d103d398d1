"""The witness's shell, over its serial console and the libvirt connection alone.

``guest/serve`` answers at the other end and describes the protocol.
"""

import base64
import contextlib
import re
import secrets
import threading
import time
from dataclasses import dataclass

import libvirt

from tests.box.connection import close, one_line_errors
from tests.box.errors import BoxError, ConsoleTimeout

# The guest's terminal holds 4095 bytes of a line that nobody has read yet, base64 takes 4/3.
LONGEST_COMMAND = 2900
LONGEST_MARK = 64  # "<end TOKEN STATUS>", generously
CHUNK = 1 << 16
POLL = 0.003
# For how long past a command's time limit we wait for the guest to say that it ended it.
GRACE = 5.0


@dataclass(frozen=True)
class Answer:
    """What a command printed (stdout and stderr as they came) and the status it ended with."""

    status: int
    output: bytes

    @property
    def text(self) -> str:
        """The output, without its last line end."""
        return self.output.decode(errors="replace").removesuffix("\n")


class Console:
    """Runs shell commands in a witness, one at a time.

    It keeps the console open between commands, because QEMU takes up to a second to notice that
    a console was opened.  No command relies on that: after a restore, a restart of libvirtd, or
    when another Console took over (the last to come has it), the next command opens it anew.
    """

    def __init__(self, uri: str, domain: str) -> None:
        self._uri = uri
        self._domain = domain
        self._session: _Session | None = None
        self._lock = threading.Lock()

    def run(self, command: str, *, timeout: float = 30.0, patience: float | None = None) -> Answer:
        """Run a command, with no input, and return its answer.

        The guest kills it (status 137) after `timeout` seconds of its own time.  Raises
        ConsoleTimeout if there is no answer for `patience` seconds (by default, somewhat longer).
        """
        payload = command.encode()
        if len(payload) > LONGEST_COMMAND:
            raise BoxError(f"command of {len(payload)} bytes; the console takes {LONGEST_COMMAND}")
        token = secrets.token_hex(8)
        encoded = base64.b64encode(payload).decode()
        # The first line feed ends a line that someone else may have left unfinished.
        request = f"\nrun {token} {len(encoded)} {timeout:.0f} {encoded}\n"
        deadline = time.monotonic() + (timeout + GRACE if patience is None else patience)
        with self._lock, one_line_errors():
            session = self._open_session()
            session.send(request.encode(), deadline)
            return session.receive(token, deadline)

    def close(self) -> None:
        """Leave the console to others; the next command opens it again."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def _open_session(self) -> "_Session":
        if self._session is None or not self._session.is_usable():
            self.close()
            self._session = _Session(self._uri, self._domain)
        return self._session


class _Session:
    """One opening of the console of one run of a domain."""

    def __init__(self, uri: str, name: str) -> None:
        self._name = name
        self._connection = libvirt.open(uri)
        try:
            self._domain = self._connection.lookupByName(name)
            self._require_running()
            self._run_id = self._domain.ID()
            self._stream = self._connection.newStream(libvirt.VIR_STREAM_NONBLOCK)
            self._domain.openConsole(None, self._stream, libvirt.VIR_DOMAIN_CONSOLE_FORCE)
        except BaseException:
            close(self._connection)
            raise

    def close(self) -> None:
        """Close the console and the connection under it, whatever state they are in."""
        with contextlib.suppress(libvirt.libvirtError):
            self._stream.abort()
        close(self._connection)

    def is_usable(self) -> bool:
        """Whether this is still the console of the domain's present run; drops what lies in it unread."""
        try:
            self._require_running()
            # Not the name's old domain object: its ID is that of the run it was looked up in.
            if self._connection.lookupByName(self._name).ID() != self._run_id:
                return False
            while isinstance(chunk := self._stream.recv(CHUNK), bytes):
                if not chunk:
                    return False
        except libvirt.libvirtError:
            return False
        return True

    def send(self, data: bytes, deadline: float) -> None:
        """Type `data`."""
        while data:
            sent = self._stream.send(data)
            if sent < 0:  # the way to the guest is full
                self._wait(deadline)
            else:
                data = data[sent:]

    def receive(self, token: str, deadline: float) -> Answer:
        """Collect what the guest prints until the answer to `token` is among it."""
        begin = f"<begin {token}>\n".encode()
        end = re.compile(f"<end {token} (\\d+)>".encode())
        received, searched = bytearray(), 0
        while True:
            chunk = self._stream.recv(CHUNK)
            if not isinstance(chunk, bytes):
                self._wait(deadline)
                continue
            if not chunk:
                raise BoxError(f"the console of {self._name} was closed, or taken over, in mid-command")
            received += chunk
            if found := end.search(received, searched):
                _, begun, output = received[: found.start()].partition(begin)
                if not begun:
                    raise BoxError(f"the console of {self._name} garbles what it carries: {bytes(received)!r}")
                return Answer(int(found[1]), bytes(output))
            searched = max(0, len(received) - LONGEST_MARK)

    def _wait(self, deadline: float) -> None:
        """Let time pass, and libvirt read from its socket.

        A stream that does not block gets data only when an event loop turns, which we leave to
        the process we are in, or when another call is made on its connection, as here.
        """
        self._require_running()
        if time.monotonic() > deadline:
            raise ConsoleTimeout(f"the shell of {self._name} does not answer")
        time.sleep(POLL)

    def _require_running(self) -> None:
        if self._domain.state()[0] != libvirt.VIR_DOMAIN_RUNNING:
            raise BoxError(f"domain {self._name} is not running, so its shell cannot answer")
