"""GPU leases: each slot of a gpu worker has a device of its own, and no two processes of a host share one.

A lease is an exclusive ``flock`` on a file per device. The kernel drops it with its holder, however the holder ends, so
a killed worker leaves nothing to clean up.
"""

from __future__ import annotations

import asyncio
import contextlib
import csv
import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from provery.core.errors import ConfigurationError
from provery.provers import Device

_QUERY = ("--query-gpu=index,uuid,name,memory.total", "--format=csv,noheader,nounits")
_ANSWER_S = 10.0
"""Seconds that nvidia-smi may take; it hangs where a driver does."""
_AGAIN_S = 0.25
"""Seconds between looks at devices that are all taken."""


@dataclass(frozen=True)
class Gpu:
    """One device of this host."""

    index: int
    uuid: str
    name: str
    memory: int
    """Bytes."""

    @property
    def label(self) -> str:
        """Name, memory and UUID, for the record of an attempt."""
        return f"{self.name} {self.memory >> 20} MiB {self.uuid}"

    @property
    def device(self) -> Device:
        """What a prover child is given; the UUID, because indices change with the order of enumeration."""
        return Device({"CUDA_VISIBLE_DEVICES": self.uuid}, self.label)


def found(env: Mapping[str, str] | None = None) -> list[Gpu]:
    """The GPUs that this process may use: those of nvidia-smi, narrowed by ``CUDA_VISIBLE_DEVICES`` where it is set.

    Args:
        env: The environment, by default the process's own. ``PROVERY_NVIDIA_SMI`` names another program.

    Returns:
        Their list; empty where there is no nvidia-smi, or it finds nothing, or does not answer.
    """
    env = os.environ if env is None else env
    program = env.get("PROVERY_NVIDIA_SMI") or shutil.which("nvidia-smi", path=env.get("PATH"))
    if not program:
        return []
    try:
        done = subprocess.run(
            (program, *_QUERY), capture_output=True, text=True, timeout=_ANSWER_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return []
    gpus = [gpu for gpu in map(_gpu, csv.reader(done.stdout.splitlines(), skipinitialspace=True)) if gpu]
    visible = env.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return gpus
    named = [name.strip() for name in visible.split(",")]
    return [gpu for gpu in gpus if any(name == str(gpu.index) or _names(name, gpu.uuid) for name in named)]


def _names(name: str, uuid: str) -> bool:
    """CUDA accepts any unambiguous beginning of a UUID."""
    return name.startswith("GPU-") and uuid.startswith(name)


def _gpu(row: list[str]) -> Gpu | None:
    try:
        index, uuid, name, memory = row
        return Gpu(int(index), uuid.strip(), name.strip(), int(memory) << 20)
    except ValueError:  # "No devices were found", or a device that is lost
        return None


class Leases:
    """The host's table of leased devices.

    Args:
        gpus: The devices, from :func:`found`.
        folder: Where the lock files are: the same for every process of the host, whatever its ``PROVERY_HOME``.
    """

    def __init__(self, gpus: Sequence[Gpu], folder: Path | None = None) -> None:
        self.gpus = tuple(gpus)
        self._folder = folder or Path(tempfile.gettempdir()) / "provery-gpus"

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[Gpu]:
        """A device for the length of the block; waits while all are taken.

        Raises:
            ConfigurationError: this host has none.
        """
        if not self.gpus:
            raise ConfigurationError("no GPU to lease", action="run this worker where nvidia-smi lists one")
        while True:
            for gpu in self.gpus:
                lock = self._take(gpu)
                if lock is not None:
                    try:
                        yield gpu
                    finally:
                        os.close(lock)
                    return
            await asyncio.sleep(_AGAIN_S)

    @asynccontextmanager
    async def per_slot(self, slots: int) -> AsyncIterator[list[Gpu]]:
        """One device per slot for the length of the block, for ``build_provers(devices=…)``.

        Raises:
            ConfigurationError: there are fewer devices than slots.
        """
        if slots > len(self.gpus):
            raise ConfigurationError(
                "more GPU slots than GPUs", value=slots, expected=f"at most {len(self.gpus)}"
            )
        async with AsyncExitStack() as stack:
            yield [await stack.enter_async_context(self.lease()) for _ in range(slots)]

    def holders(self) -> dict[str, int]:
        """Process id of each leased device's holder, by UUID."""
        held: dict[str, int] = {}
        for gpu in self.gpus:
            lock = self._take(gpu, note=False)
            if lock is not None:
                os.close(lock)
                continue
            with contextlib.suppress(OSError, ValueError):
                held[gpu.uuid] = int(self._path(gpu).read_text())
        return held

    def _path(self, gpu: Gpu) -> Path:
        return self._folder / f"{gpu.uuid.replace('/', '_')}.lock"

    def _take(self, gpu: Gpu, *, note: bool = True) -> int | None:
        """Lock a device's file, or None where somebody has it. Not inherited by children: the lease is ours."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._path(gpu), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        if note:
            os.truncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        return descriptor
