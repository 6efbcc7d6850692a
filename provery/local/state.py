"""What runs on this machine: `.provery/run/state.json`, written by the supervisor, read by every other command."""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO

from provery.core.errors import ConfigurationError


@dataclass(frozen=True)
class ProcessState:
    """One process under the supervisor."""

    name: str
    pid: int | None
    """None while it is down."""
    port: int | None
    restarts: int
    log: str


@dataclass(frozen=True)
class State:
    """A running ``provery up``."""

    supervisor: int
    started_at: float
    """Seconds since the epoch."""
    ui_url: str
    env: dict[str, str]
    """Variables by which clients reach this installation; no secrets beyond the local ones."""
    processes: tuple[ProcessState, ...] = field(default_factory=tuple)


def write_state(home: Path, state: State) -> None:
    """Replace the state file in one step."""
    path = _path(home)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(asdict(state), indent=2) + "\n")
    partial.replace(path)


def read_state(home: Path) -> State | None:
    """The running installation of a home, None where no supervisor runs."""
    try:
        content = json.loads(_path(home).read_text())
        processes = tuple(ProcessState(**item) for item in content.pop("processes"))
        state = State(**content, processes=processes)
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return state if _held(home) else None


def local_environment(home: Path) -> dict[str, str]:
    """Settings that lead a command to the installation that runs here; empty where none does."""
    state = read_state(home)
    return dict(state.env) if state is not None else {}


class Lock:
    """Held by the one supervisor of a home; the kernel releases it however the supervisor ends."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._file: IO[str] | None = None

    def __enter__(self) -> Lock:
        """Take it.

        Raises:
            ConfigurationError: another supervisor has it.
        """
        path = _lock_path(self._home)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.seek(0)
            holder = self._file.read().strip()
            self._file.close()
            raise ConfigurationError(
                f"Provery already runs in {self._home}, as process {holder}",
                action=f"use it, or stop it with `kill {holder}`",
            ) from None
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()
        return self

    def __exit__(self, *_: object) -> None:
        """Release it."""
        if self._file is not None:
            self._file.close()


def _held(home: Path) -> bool:
    try:
        with _lock_path(home).open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _path(home: Path) -> Path:
    return home / "run" / "state.json"


def _lock_path(home: Path) -> Path:
    return home / "run" / "lock"
