"""What /proc says of a rig's processes: who computes, who was left behind."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc")


def of(home: Path) -> list[int]:
    """Living processes that belong to a rig: its home is in their command line or environment."""
    mark = os.fsencode(home)
    return [pid for pid in _alive() if mark in _read(pid, "cmdline") or mark in _read(pid, "environ")]


def provers(home: Path) -> list[int]:
    """Living prover programs of a rig."""
    return [pid for pid in of(home) if _read(pid, "cmdline").split(b"\0")[0].endswith(b"provery-prover")]


def orphans(home: Path, parent: int = 0) -> list[int]:
    """Processes of a rig that no longer descend from the process that started it (by default this one)."""
    parent = parent or os.getpid()
    return [pid for pid in of(home) if pid != parent and parent not in ancestors(pid)]


def ancestors(pid: int) -> list[int]:
    """Parent, grandparent and so on, up to the process without one."""
    line: list[int] = []
    while (pid := _parent(pid)) > 0:
        line.append(pid)
    return line


def cpu_ticks(pids: list[int]) -> int:
    """CPU time of processes so far, in hundredths of a second."""
    return sum(int(a) + int(b) for a, b in (_stat(pid)[11:13] for pid in pids if _stat(pid)))


def _alive() -> Iterator[int]:
    for entry in PROC.iterdir():
        if entry.name.isdigit() and (stat := _stat(int(entry.name))) and stat[0] not in ("Z", "X"):
            yield int(entry.name)


def _parent(pid: int) -> int:
    stat = _stat(pid)
    return int(stat[1]) if stat else 0


def _stat(pid: int) -> list[str]:
    """Fields of ``/proc/<pid>/stat`` from the state on."""
    return _read(pid, "stat").decode("utf-8", "replace").rpartition(")")[2].split()


def _read(pid: int, name: str) -> bytes:
    try:
        return (PROC / str(pid) / name).read_bytes()
    except OSError:
        return b""
