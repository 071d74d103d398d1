"""The playground's command line: ``python -m tests.box up|guest|console|list|down``."""

import argparse
import sys
from collections.abc import Callable, Sequence

from tests.box.box import Box
from tests.box.console import Console
from tests.box.errors import BoxError
from tests.box.witness import Media, Witness


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; a failure is one line on stderr and exit code 1."""
    try:
        options = _parser().parse_args(argv)
        run: Callable[[argparse.Namespace], int] = options.run
        return run(options)
    except BoxError as error:
        print(f"box: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.box", description="Private hypervisors to play in.")
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    up = _verb(verbs, "up", _up, "start a box, unless it is up; the last line printed is its libvirt URI")
    up.add_argument("--slow-save", action="store_true", help="saves wait while the box's file hold-saves exists")

    guest = _verb(verbs, "guest", _guest, "define and boot a witness guest; return when its shell answers")
    guest.add_argument("domain", metavar="DOMAIN")
    guest.add_argument("--disks", type=_positive, default=1, metavar="N", help="writable disks (default 1)")
    guest.add_argument("--memory", type=_positive, default=128, metavar="MiB", help="memory (default 128)")

    console = _verb(verbs, "console", _console, "run a shell command in a guest; exits with its status")
    console.add_argument("domain", metavar="DOMAIN")
    console.add_argument("command", metavar="COMMAND")
    console.add_argument("--timeout", type=float, default=30.0, metavar="SECONDS", help="(default 30)")

    _verb(verbs, "down", _down, "end a box and everything in it, and leave nothing behind")
    verbs.add_parser("list", help="show the boxes of this user").set_defaults(run=_list)
    return parser


def _verb(
    verbs: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    run: Callable[[argparse.Namespace], int],
    summary: str,
) -> argparse.ArgumentParser:
    """A verb whose first argument is the name of a box."""
    parser = verbs.add_parser(name, help=summary, description=summary)
    parser.add_argument("box", type=Box, metavar="NAME")
    parser.set_defaults(run=run)
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _up(options: argparse.Namespace) -> int:
    print(options.box.up(slow_save=options.slow_save).uri)
    return 0


def _guest(options: argparse.Namespace) -> int:
    box: Box = options.box
    box.require_up()
    media = Media(disks=options.disks)
    witness = Witness.define(box.uri, options.domain, media=media, memory_mib=options.memory)
    witness.boot()
    print(f"{options.domain} is up; try: python -m tests.box console {box.name} {options.domain} 'witness report'")
    return 0


def _console(options: argparse.Namespace) -> int:
    options.box.require_up()
    answer = Console(options.box.uri, options.domain).run(options.command, timeout=options.timeout)
    sys.stdout.buffer.write(answer.output)
    sys.stdout.buffer.flush()
    return answer.status


def _down(options: argparse.Namespace) -> int:
    options.box.down()
    return 0


def _state(pid: int | None, *, runs: bool) -> str:
    if pid is None:
        return "dead"
    return f"up, pid {pid}" if runs else f"up, pid {pid}, but its libvirtd is dead (`up` starts it again)"


def _list(_options: argparse.Namespace) -> int:
    for box in Box.all():
        pid = box.pid()
        runs = pid is not None and box.libvirtd_runs()
        print(f"{box.name}  {_state(pid, runs=runs)}  {box.uri}")
        for domain, active in box.domains() if runs else []:
            print(f"    {domain}  {'active' if active else 'off'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
