"""Become a server process that dies with its parent; a script run by path, with the standard library only.

``launcher.py PARENT UID -- PROGRAM …``: when PARENT ends, however it ends, the kernel kills PROGRAM. Where UID is not
``-``, the user is changed first, since Postgres refuses to run as root; file access stays, so that a data directory
under a private home can be reached (``setpriv`` keeps the one capability that this takes).

A separate program rather than ``preexec_fn``, which runs Python between fork and exec and may deadlock beside threads.
"""

import contextlib
import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(argv: list[str]) -> None:
    """Tie this process to its parent, then become the program."""
    parent, uid, program = int(argv[0]), argv[1], argv[argv.index("--") + 1 :]
    with contextlib.suppress(OSError):
        os.setsid()  # a Ctrl-C in the terminal is the supervisor's to handle
    if uid != "-":
        # setpriv sets the parent-death signal itself: a change of user clears one that was set before.
        access = ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
        keep = ["--pdeathsig=KILL"] if sys.platform == "linux" else []
        program = [
            "setpriv",
            f"--reuid={uid}",
            f"--regid={uid}",
            "--clear-groups",
            *access,
            *keep,
            "--",
            *program,
        ]
    elif sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the kernel was told
        os._exit(128 + signal.SIGKILL)
    try:
        os.execvp(program[0], program)
    except OSError as error:
        sys.stderr.write(f"cannot execute {program[0]}: {error.strerror}\n")
        os._exit(127)


if __name__ == "__main__":
    main(sys.argv[1:])
