"""A child and its descendants as the kernel sees them: memory, processor time, and the list the guard keeps."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path

GUARD = Path(__file__).with_name("guard.py")
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass
class Family:
    """The processes of one session. Sizes are bytes, times seconds."""

    leader: int
    """Process id, session id and group id of the child itself."""
    members: list[int] = field(default_factory=list)
    peak_rss: int = 0
    cpu_s: float = 0.0

    def find(self) -> None:
        """List the session's processes anew; grandchildren come and go."""
        with contextlib.suppress(OSError):  # no /proc, no figures
            found = [int(name) for name in os.listdir("/proc") if name.isdigit()]
            self.members = [pid for pid in found if _stat(pid, self.leader)]

    def rss(self) -> int:
        """Resident bytes of all members now; shared pages count once per process, which errs on the safe side."""
        total = 0
        cpu = 0.0
        for pid in self.members or [self.leader]:
            found = _stat(pid, self.leader)
            if found:
                total += found[0]
                cpu += found[1]
        peak = total
        if len(self.members) < 2:
            peak = max(peak, _high_water(self.leader))
        self.peak_rss = max(self.peak_rss, peak)
        self.cpu_s = max(self.cpu_s, cpu)
        return total


def forget_peak(pid: int) -> None:
    """Start the kernel's high-water mark anew, so that a resident child's peak is that of a call, not of its life."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/clear_refs", "w") as file:
        file.write("5")


def oom_kills() -> int:
    """Processes this host's kernel has killed for want of memory since boot; -1 where it does not say."""
    try:
        with open("/proc/vmstat") as file:
            return next((int(line.split()[1]) for line in file if line.startswith("oom_kill ")), -1)
    except OSError:
        return -1


def _stat(pid: int, session: int) -> tuple[int, float] | None:
    """Resident bytes and CPU seconds (its reaped children's included) of a process, if it belongs to the session."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        if int(fields[3]) != session:
            return None
        return int(fields[21]) * _PAGE, sum(map(int, fields[11:15])) / _TICKS
    except (OSError, IndexError, ValueError):
        return None


def _high_water(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            for line in file:
                if line.startswith(b"VmHWM:"):
                    return int(line.split()[1]) * 1024
    except (OSError, IndexError, ValueError):
        pass
    return 0


class Guardian:
    """This process's end of ``guard.py watch``: the sessions that die with us. Started at first use and when killed."""

    def __init__(self) -> None:
        self._owner = 0
        self._pid = 0
        self._pipe = -1
        self._sessions: dict[int, str] = {}

    def pipe(self) -> int:
        """The guard's input, for a child to announce itself; the guard runs when this returns."""
        self._tell("\n")
        return self._pipe

    def add(self, session: int, mark: str) -> None:
        """Remember a session that announces itself, to tell it to the guard's successor."""
        self._sessions[session] = mark

    def remove(self, session: int) -> None:
        """The session has ended; its id may come to mean something else."""
        if self._sessions.pop(session, None) is not None:
            self._tell(f"-{session}\n")

    def _tell(self, line: str) -> None:
        if self._owner == os.getpid():
            try:
                os.write(self._pipe, line.encode())
                return
            except OSError:  # somebody killed the guard: reap it and start another
                os.close(self._pipe)
                with contextlib.suppress(OSError):
                    os.waitpid(self._pid, os.WNOHANG)
        else:  # a fork does not own its parent's children
            self._sessions = {}
        self._start()
        for session, mark in self._sessions.items():
            os.write(self._pipe, f"+{session} {mark}\n".encode())

    def _start(self) -> None:
        theirs, self._pipe = os.pipe()
        try:
            # posix_spawn and not Popen: nobody waits for the guard, it ends after us.
            self._pid = os.posix_spawn(
                sys.executable,
                [sys.executable, "-I", "-S", str(GUARD), "watch", str(os.getpid())],
                {"PATH": os.defpath},
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, theirs, 0),
                    (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
                ],
                setsid=True,
                setsigdef=[signal.SIGPIPE],
            )
        finally:
            os.close(theirs)
        self._owner = os.getpid()


guardian = Guardian()
"""One per process, because it stands for the process itself."""
