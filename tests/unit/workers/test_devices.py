"""GPU leases, with a program that answers as nvidia-smi does; the locks are real."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from provery.core.errors import ConfigurationError
from workers.devices import Gpu, Leases, found

A, B = (Gpu(i, f"GPU-{c * 8}-0000", "NVIDIA H100 80GB HBM3", 81_559 << 20) for i, c in enumerate("ab"))
CSV = (
    "0, GPU-aaaaaaaa-0000, NVIDIA H100 80GB HBM3, 81559\n1, GPU-bbbbbbbb-0000, NVIDIA H100 80GB HBM3, 81559\n"
)


def smi(folder: Path, says: str, status: int = 0) -> dict[str, str]:
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\nprintf '%s' '{says}'\nexit {status}\n")
    program.chmod(0o755)
    return {"PATH": f"{folder}:/usr/bin:/bin"}


def test_finds_what_nvidia_smi_lists(tmp_path: Path) -> None:
    assert found(smi(tmp_path, CSV)) == [A, B]


@pytest.mark.parametrize(
    ("visible", "expected"), [("1", [B]), ("GPU-aaaa", [A]), ("", []), ("-1", []), ("0,1", [A, B])]
)
def test_keeps_to_the_visible_devices(tmp_path: Path, visible: str, expected: list[Gpu]) -> None:
    assert found(smi(tmp_path, CSV) | {"CUDA_VISIBLE_DEVICES": visible}) == expected


@pytest.mark.parametrize(
    ("says", "status"), [("No devices were found", 0), ("", 9), ("0, GPU-x, lost, [N/A]", 0), ("a,b", 0)]
)
def test_no_usable_answer_means_no_gpu(tmp_path: Path, says: str, status: int) -> None:
    assert found(smi(tmp_path, says, status)) == []


def test_no_nvidia_smi_means_no_gpu(tmp_path: Path) -> None:
    assert found({"PATH": str(tmp_path)}) == []


async def test_each_slot_has_a_device_of_its_own(tmp_path: Path) -> None:
    leases = Leases([A, B], tmp_path)
    async with leases.per_slot(2) as held:
        assert {gpu.uuid for gpu in held} == {A.uuid, B.uuid}
        assert held[0].device.env == {"CUDA_VISIBLE_DEVICES": held[0].uuid}
        assert "81559 MiB" in held[0].device.label
        assert leases.holders() == {A.uuid: os.getpid(), B.uuid: os.getpid()}
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(leases.lease().__aenter__(), 0.4)
    assert leases.holders() == {}


async def test_waits_until_a_device_is_free(tmp_path: Path) -> None:
    leases = Leases([A], tmp_path)
    order: list[str] = []

    async def use(name: str) -> None:
        async with leases.lease():
            order.append(f"{name} on")
            await asyncio.sleep(0.05)
            order.append(f"{name} off")

    await asyncio.gather(use("first"), use("second"))
    assert order == ["first on", "first off", "second on", "second off"]


async def test_more_slots_than_devices_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="at most 1"):
        async with Leases([A], tmp_path).per_slot(2):
            pass
    with pytest.raises(ConfigurationError, match="no GPU"):
        async with Leases([], tmp_path).lease():
            pass


HOLDER = """
import asyncio, sys
from pathlib import Path
from workers.devices import Gpu, Leases
async def main():
    async with Leases([Gpu(0, sys.argv[1], "x", 1)], Path(sys.argv[2])).lease():
        print("held", flush=True)
        await asyncio.sleep(60)
asyncio.run(main())
"""


async def test_another_process_does_not_get_it_and_a_killed_holder_frees_it(tmp_path: Path) -> None:
    holder = subprocess.Popen(  # noqa: ASYNC220 - starting is quick, and the test has nothing else to do
        (sys.executable, "-c", HOLDER, A.uuid, str(tmp_path)), stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        leases = Leases([A], tmp_path)
        assert leases.holders() == {A.uuid: holder.pid}
        holder.send_signal(signal.SIGKILL)
        began = time.monotonic()
        async with leases.lease() as gpu:
            assert gpu == A
        assert time.monotonic() - began < 2
    finally:
        holder.kill()
        holder.wait()
        if holder.stdout is not None:
            holder.stdout.close()
