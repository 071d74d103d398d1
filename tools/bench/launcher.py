"""Run one command and print what it took: ``seconds peak-bytes exit-status``. Imports no package.

Linux counts the memory that a process had before it became another program as that program's, so
whoever measures peaks must be small. Hence this program between the bench, which is big, and the
command. Usage: ``python -I -S launcher.py PROGRAM [ARGUMENT]…``; the command's stdout is dropped.
"""

import os
import sys
import time


def main(argv: list[str]) -> int:
    began = time.perf_counter()
    silence = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    pid = os.posix_spawnp(argv[0], argv, os.environ, file_actions=silence)
    _, status, usage = os.wait4(pid, 0)
    seconds = time.perf_counter() - began
    print(seconds, usage.ru_maxrss * 1024, os.waitstatus_to_exitcode(status))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
