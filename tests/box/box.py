"""A box as its users see it: up, down, and a way inside for tests that do damage."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from tests.box import cache, layout, privilege
from tests.box.connection import connect
from tests.box.errors import BoxError
from tests.waiting import wait_until

REPOSITORY = Path(__file__).resolve().parents[2]
UP_TIMEOUT = 60.0
DOWN_TIMEOUT = 60.0
INSIDE_TIMEOUT = 60.0
LOCK_TIMEOUT = 100.0  # for somebody else's `up` or `down`


class Box:
    """One private hypervisor, named within its user.

    An object is only a handle: any number of them, in any process, stand for the same box.
    """

    def __init__(self, name: str) -> None:
        if not layout.NAME.fullmatch(name):
            raise BoxError(f"box name {name!r}: use up to 40 letters, digits, '.', '_' and '-'")
        self.name = name
        self.state = layout.State.of(name)

    @classmethod
    def all(cls) -> "list[Box]":
        """This user's boxes, including any whose PID 1 has died."""
        prefix = layout.State.prefix()
        found = layout.STATE_PARENT.glob(f"{prefix}*")
        return [cls(path.name.removeprefix(prefix)) for path in sorted(found)]

    @property
    def uri(self) -> str:
        """What to hand to ``libvirt.open``, as any user of this machine.

        Any user, since tests have clients of several: whoever may log in to this machine may
        use the box, and a libvirtd without authentication is as good as root in its box.
        """
        return f"qemu+unix:///system?socket={self.state.socket}"

    def pid(self) -> int | None:
        """The box's PID 1 as this machine numbers it, or None if the box is not up.

        The start time guards against a number that another process has got since.
        """
        try:
            pid, start_time = self.state.pid_file.read_text().split()
            stat = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError, ValueError):
            return None
        state, *fields = stat.rpartition(")")[2].split()
        alive = state not in "ZX" and fields[18] == start_time
        return int(pid) if alive else None

    def up(self, *, slow_save: bool = False, static_ownership: bool = False) -> "Box":
        """Bring the box up, unless it is; return when libvirtd answers.

        With `static_ownership`, libvirt changes no owner of a file (dynamic_ownership = 0).
        With `slow_save`, saves go through a gzip that `hold_saves` can stop; that is decided when
        the box comes up, and a box that is up stays as it is.
        """
        if self.pid() is None:
            privilege.announce()
        with self._exclusively():
            if self.pid() is None:
                self._clear_state()
                self._start_init(slow_save=slow_save, static_ownership=static_ownership)
            if not self.libvirtd_runs():
                self.start_libvirtd()
        return self

    def down(self) -> None:
        """End everything in the box and remove what is left of it; harmless if there is none."""
        if not self.state.directory.exists():
            return
        with self._exclusively():
            pid = self.pid()
            if pid is not None:
                # The shell's own kill, as /bin/kill is not on every machine.
                subprocess.run(privilege.as_root("sh", "-c", f"kill -KILL {pid}"), timeout=DOWN_TIMEOUT)
                # The kernel lets PID 1 go only after it has ended everything else in there.
                _wait_until(lambda: not Path(f"/proc/{pid}").exists(), DOWN_TIMEOUT, "the box does not die")
            shutil.rmtree(self.state.directory)

    def domains(self) -> list[tuple[str, bool]]:
        """The domains in the box and whether each is active."""
        with connect(self.uri) as connection:
            return sorted((domain.name(), bool(domain.isActive())) for domain in connection.listAllDomains())

    def require_up(self) -> int:
        """The PID of a box that is up; else an error with the way out."""
        pid = self.pid()
        if pid is None:
            raise BoxError(f"box {self.name} is not up; run: python -m tests.box up {self.name}")
        return pid

    def run_inside(self, *argv: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """Run a command as root inside the box, to inspect or damage what a client cannot see."""
        pid = self.require_up()
        enter = ["nsenter", f"--target={pid}", "--mount", "--pid", "--ipc", "--uts", "--net", "--wd=/"]
        try:
            done = subprocess.run(
                privilege.as_root(*enter, "--", *argv),
                stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", cwd="/",
                timeout=INSIDE_TIMEOUT,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise BoxError(f"in box {self.name}, {argv[0]} did not end within {INSIDE_TIMEOUT:.0f} s") from error
        if check and done.returncode != 0:
            raise BoxError(f"in box {self.name}, {argv[0]} failed: {done.stderr.strip() or done.returncode}")
        return done

    def libvirtd_runs(self) -> bool:
        """Whether there is a libvirtd in the box (it may be stopped by a signal). Its number alone may be another's."""
        is_libvirtd = f'[ "$(cat /proc/"$(cat {layout.LIBVIRTD_PID})"/comm)" = libvirtd ]'
        return self._shell(is_libvirtd, check=False).returncode == 0

    def start_libvirtd(self) -> None:
        """Start libvirtd, and return when it answers."""
        # Straight to files: a daemon that held our pipe open would make us wait for its end.
        self._shell(f"exec {' '.join(layout.LIBVIRTD)} >>{self.state.init_log} 2>&1")
        _wait_until(self._answers, UP_TIMEOUT, f"libvirtd does not answer; see {self.state.libvirtd_log}")

    def kill_libvirtd(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send libvirtd a signal; if it is SIGKILL, return when the process is gone."""
        self._kill(layout.LIBVIRTD_PID, number)

    def kill_qemu(self, domain: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a domain's QEMU a signal; if it is SIGKILL, return when the process is gone."""
        self._kill(f"/run/libvirt/qemu/{domain}.pid", number)

    def mount_tmpfs(self, path: str, size: str) -> None:
        """Mount a file system of limited size (as "8m") in the box; it goes with the box."""
        self.run_inside("mkdir", "-p", path)
        self.run_inside("mount", "-t", "tmpfs", "-o", f"size={size},mode=0711", "tmpfs", path)

    @contextlib.contextmanager
    def hold_saves(self) -> Iterator[None]:
        """In a box with slow saves: as long as the context lasts, no save comes to its end."""
        self.state.hold_saves.touch()
        try:
            yield
        finally:
            self.state.hold_saves.unlink()

    def _shell(self, script: str, *, check: bool = True) -> "subprocess.CompletedProcess[str]":
        return self.run_inside("sh", "-c", script, check=check)

    def _kill(self, pid_file: str, number: signal.Signals) -> None:
        script = f'pid=$(cat "{pid_file}") && kill -{int(number)} "$pid"'
        if number == signal.SIGKILL:
            script += ' && while kill -0 "$pid" 2>/dev/null; do sleep 0.01; done'
        self._shell(script)

    def _start_init(self, *, slow_save: bool, static_ownership: bool) -> None:
        inside = [sys.executable, "-m", "tests.box.init", str(self.state.directory), self.name]
        if slow_save:
            inside.append("--slow-save")
        if static_ownership:
            inside.append("--static-ownership")
        unshare = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--ipc", "--uts", "--net"]
        # A session of its own: no Ctrl-C and no hang-up of the caller's terminal may reach the box.
        argv = privilege.as_root("setsid", "--fork", *unshare, "--", *inside)
        with self.state.init_log.open("a") as log:
            subprocess.run(argv, cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=UP_TIMEOUT)
        _wait_until(self._is_furnished, UP_TIMEOUT, f"the box does not start; see {self.state.init_log}")

    def _is_furnished(self) -> bool:
        if self.state.pid_file.exists() and self.pid() is None:
            raise BoxError(f"the box died at its start; see {self.state.init_log}")
        return self.state.ready.exists()

    def _answers(self) -> bool:
        try:
            with connect(self.uri):
                return True
        except BoxError:
            return False

    def _clear_state(self) -> None:
        """Remove what a box that died has left; the directory itself carries our lock."""
        for path in self.state.directory.iterdir():
            path.unlink()

    @contextlib.contextmanager
    def _exclusively(self) -> Iterator[None]:
        """Keep other callers from bringing this box up or down at the same time.

        The lock is on the state directory, so that no lock file outlives the box.
        """
        while True:
            directory = self._open_state()
            try:
                _wait_until(partial(cache.try_lock, directory), LOCK_TIMEOUT, "others hold the lock of the box")
                if not self._is_current(directory):
                    continue  # a `down` removed it while we waited
                yield
                return
            finally:
                os.close(directory)

    def _open_state(self) -> int:
        directory = self.state.directory
        with contextlib.suppress(FileExistsError):
            directory.mkdir(mode=0o755)
            directory.chmod(0o755)  # whatever the umask: clients of other users must reach the socket
        if directory.is_symlink() or directory.stat().st_uid != os.getuid():
            raise BoxError(f"{directory} belongs to someone else")
        return os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)

    def _is_current(self, directory: int) -> bool:
        try:
            return os.path.samestat(os.fstat(directory), self.state.directory.stat())
        except FileNotFoundError:
            return False


def _wait_until(condition: Callable[[], bool], timeout: float, complaint: str) -> None:
    try:
        wait_until(condition, timeout, poll=0.01)
    except TimeoutError:
        raise BoxError(f"{complaint} (waited {timeout:.0f} s)") from None
