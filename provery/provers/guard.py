"""Child-side half of process control; a script run by path, so it imports nothing but the standard library.

``guard.py launch PARENT PIPE MARK PROGRAM …`` becomes PROGRAM, tied to PARENT: the kernel kills it when PARENT dies.
It is a separate program because ``preexec_fn`` forks the whole worker and runs Python between fork and exec, which may
deadlock beside the threads of the Temporal SDK.

``guard.py watch PARENT`` outlives PARENT and then kills what the kernel does not: grandchildren. It reads
``+SESSION MARK`` and ``-SESSION`` lines; when its input ends or PARENT exits, it kills every session still listed.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time

MARK = "PROVERY_CHILD"
"""Environment variable by which a process is known as ours even after it has left its session."""
_PR_SET_PDEATHSIG = 1
_OOM_SCORE = "500"
"""Makes the kernel prefer the prover to its worker when memory runs out."""


def sweep(sessions: dict[int, str]) -> int:
    """SIGKILL every process of the sessions, and every process that carries one of their marks.

    Args:
        sessions: Session id to mark.

    Returns:
        How many living processes were found.
    """
    found = 0
    marks = {f"{MARK}={mark}".encode() for mark in sessions.values() if mark}
    for name in os.listdir("/proc") if os.path.isdir("/proc") else ():
        if not name.isdigit() or int(name) == os.getpid():
            continue
        if _session(name) in sessions or _marked(name, marks):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(int(name), signal.SIGKILL)
                found += 1
    return found


def _session(pid: str) -> int:
    """Session of a living process; -1 for one that is gone or only waits to be reaped."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return -1
    return -1 if len(fields) < 4 or fields[0] in (b"Z", b"X") else int(fields[3])


def _marked(pid: str, marks: set[bytes]) -> bool:
    if not marks:
        return False
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return not marks.isdisjoint(file.read().split(b"\0"))
    except OSError:
        return False


def launch(parent: int, pipe: int, mark: str, argv: list[str]) -> None:
    """Tie this process to its parent, tell the watcher, then become ``argv``."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the line above took effect
        os._exit(128 + signal.SIGKILL)
    # Told by the child itself, so that there is no moment in which it has descendants that nobody knows of.
    with contextlib.suppress(OSError):
        os.write(pipe, f"+{os.getpid()} {mark}\n".encode())
        os.close(pipe)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write(_OOM_SCORE)
    with contextlib.suppress(Exception):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would hold witnesses
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and exec would pass that on
    try:
        os.execvp(argv[0], argv)
    except OSError as error:
        sys.stderr.write(f"cannot execute {argv[0]}: {error.strerror}\n")
        os._exit(126 if isinstance(error, PermissionError) else 127)


def watch(parent: int) -> None:
    """Wait for the parent's end, then kill the sessions it left behind."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it must outlast the parent's own shutdown
    sessions: dict[int, str] = {}
    sources: list[int] = [0]
    with contextlib.suppress(OSError, AttributeError):
        sources.append(os.pidfd_open(parent))
    pending = b""
    while True:
        # The end of input is not enough: a process forked by the parent may hold the pipe open. Without a pidfd, look.
        ready, _, _ = select.select(sources, [], [], None if len(sources) > 1 else 0.25)
        if 0 in ready:  # before the parent is looked at: it may have died while this program was starting
            chunk = os.read(0, 65_536)
            if not chunk:
                break
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                _note(sessions, line.decode("ascii", "replace"))
        elif ready or os.getppid() != parent:
            break
    deadline = time.monotonic() + 5
    while sessions and sweep(sessions) and time.monotonic() < deadline:
        time.sleep(0.02)


def _note(sessions: dict[int, str], line: str) -> None:
    number, _, mark = line[1:].partition(" ")
    if number.isdigit():
        if line.startswith("+"):
            sessions[int(number)] = mark
        else:
            sessions.pop(int(number), None)


def main(argv: list[str]) -> None:
    """Run the sub-command named first."""
    if argv[0] == "launch":
        launch(int(argv[1]), int(argv[2]), argv[3], argv[4:])
    else:
        watch(int(argv[1]))


if __name__ == "__main__":
    main(sys.argv[1:])
