"""One-shot children, with real processes: how they end, what they may use, and that nothing of them stays."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from provery.core.errors import (
    ConfigurationError,
    InvalidWitness,
    ProverCrashed,
    ProverTimeout,
    ResourceExhausted,
)
from provery.provers.child import Child
from provery.provers.family import guardian
from provery.provers.process import Command, Limits, limits, run

PYTHON = (sys.executable, "-I", "-S", "-c")


def shell(script: str, **env: str) -> Command:
    return Command("the program", ("sh", "-c", script), env)


def python(code: str) -> Command:
    return Command("the program", (*PYTHON, code))


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


async def gone(pids: list[int], within: float = 2.0) -> float:
    began = time.monotonic()
    while any(map(alive, pids)):
        assert time.monotonic() - began < within, f"still there: {[pid for pid in pids if alive(pid)]}"
        await asyncio.sleep(0.02)
    return time.monotonic() - began


async def pids_in(path: Path, count: int) -> list[int]:
    for _ in range(250):
        found = _numbers(path)
        if len(found) >= count:
            return found
        await asyncio.sleep(0.02)
    raise AssertionError(f"{count} processes did not start")


async def test_returns_output_and_usage() -> None:
    done = await run(python("import sys; sys.stdout.write('out'); sys.stderr.write('err'); x = bytearray(80 << 20)\n"
                            "import time\nwhile time.process_time() < 0.4: pass"))  # fmt: skip
    assert (done.stdout, done.stderr) == ("out", "err")
    assert 0.3 < done.usage.cpu_s < 2
    assert 80 << 20 < done.usage.peak_rss < 200 << 20
    assert done.usage.exit_code == 0
    assert done.usage.signal is None


async def test_feeds_standard_input_and_reports_lines() -> None:
    lines: list[str] = []
    steps: list[tuple[str, float, float]] = []
    done = await run(shell("cat"), feed=b"a\nb\n", on_line=lines.append, progress=lambda *s: steps.append(s))
    assert done.stdout == "a\nb\n"
    assert lines == ["a", "b"]
    assert [step[1] for step in steps] == [0, 1]


@pytest.mark.parametrize(
    ("script", "error", "says"),
    [
        ("echo why >&2; exit 3", ProverCrashed, "exit status 3; it said: why"),
        ("kill -9 $$", ProverCrashed, "signal 9"),
        ("kill -11 $$", ProverCrashed, "signal 11"),
        ("echo 'fatal error: runtime: out of memory' >&2; exit 2", ResourceExhausted, "more memory"),
        ("echo 'CUDA_ERROR_OUT_OF_MEMORY' >&2; exit 1", ResourceExhausted, "CUDA"),
        (
            "echo 'Error: Assert Failed. Error in template X line: 3' >&2; exit 1",
            InvalidWitness,
            "do not satisfy",
        ),
        (
            'echo \'{"error":{"kind":"invalid_witness","message":"row 3"}}\' >&2; exit 3',
            InvalidWitness,
            "row 3",
        ),
        ("exit 127", ConfigurationError, "provery doctor"),
    ],
)
async def test_the_end_of_a_child_is_mapped_to_the_error_tree(
    script: str, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says) as caught:
        await run(shell(script))
    assert type(caught.value) is error


async def test_a_program_that_is_not_there_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        await run(Command("the prover", ("/nonexistent/prover",)))


async def test_keeps_the_tail_of_standard_error_without_secrets() -> None:
    with pytest.raises(ProverCrashed) as caught:
        await run(
            shell("yes noise | head -c 3000000 >&2; echo postgres://u:hunter22@db/x the end >&2; exit 1")
        )
    assert "the end" in str(caught.value)
    assert "hunter22" not in str(caught.value)
    assert len(str(caught.value)) < 4_200


async def test_endless_output_costs_no_memory() -> None:
    done = await run(shell("head -c 30000000 /dev/zero | tr '\\0' 'x'; printf '\\377\\000'"), keep=1_000)
    assert len(done.stdout.encode()) < 4_000


async def test_secrets_of_the_worker_do_not_reach_the_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://u:p@db/x")
    done = await run(shell("env", MINE="1"))
    assert "DATABASE_URL" not in done.stdout
    assert "MINE=1" in done.stdout


async def test_time_limit() -> None:
    began = time.monotonic()
    with pytest.raises(ProverTimeout, match=r"0\.3 s"):
        await run(shell("trap '' TERM; sleep 60; sleep 60"), allowed=Limits(timeout_s=0.3))
    assert time.monotonic() - began < 2


async def test_memory_cap_counts_grandchildren() -> None:
    hog = f"{sys.executable} -I -S -c 'x = bytearray(150 << 20); import time; time.sleep(30)'"
    began = time.monotonic()
    with pytest.raises(ResourceExhausted, match="at most 200 MiB"):
        await run(shell(f"{hog} & {hog} & wait"), allowed=Limits(memory=200 << 20))
    assert time.monotonic() - began < 10


async def test_limits_come_from_the_stage() -> None:
    token = limits.set(Limits(timeout_s=0.2))
    try:
        with pytest.raises(ProverTimeout):
            await run(shell("sleep 60"))
    finally:
        limits.reset(token)


async def test_cancelling_kills_the_whole_family_within_two_seconds(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    # A child and a grandchild that ignore SIGTERM, and a grandchild that has left the session.
    script = f"trap '' TERM; echo $$ >>{pids}; sh -c 'echo $$ >>{pids}; sleep 60; sleep 60' & "
    script += f"setsid sh -c 'echo $$ >>{pids}; sleep 60; sleep 60' & sleep 60; sleep 60"
    task = asyncio.create_task(run(shell(script)))
    family = await pids_in(pids, 3)
    began = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - began < 2
    await gone(family, 0.1)


async def test_nothing_outlives_a_child_that_ended_by_itself(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = f"setsid sh -c 'echo $$ >>{pids}; sleep 60' & sleep 60 & echo $! >>{pids}; sleep 0.2; echo done"
    done = await run(shell(script))
    assert done.stdout == "done\n"
    await gone(await pids_in(pids, 2), 0.1)


PARENT = """
import asyncio, sys
from provery.provers.process import Command, run
async def main():
    await run(Command("x", ("sh", "-c", sys.argv[1])))
asyncio.run(main())
"""


@pytest.mark.parametrize("also", ["", "the guard"])
async def test_a_killed_parent_takes_its_children_along(tmp_path: Path, also: str) -> None:
    pids = tmp_path / "pids"
    script = f"trap '' TERM; echo $$ >>{pids}; sleep 60 & echo $! >>{pids}; "
    script += f"setsid sh -c 'echo $$ >>{pids}; sleep 60; sleep 60' & wait; sleep 60"
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", PARENT, script)
    try:
        family = await pids_in(pids, 3)
        if also:  # then the kernel's signal still gets the child itself, if not the grandchildren
            guards = [pid for pid in _children(parent.pid) if b"watch" in _command(pid)]
            assert len(guards) == 1
            os.kill(guards[0], signal.SIGKILL)
            family = family[:1]
        parent.send_signal(signal.SIGKILL)
        assert await gone(family) < 2
    finally:
        if parent.returncode is None:
            parent.kill()
        await parent.wait()
        for pid in await pids_in(pids, 3):
            if alive(pid):
                os.kill(pid, signal.SIGKILL)


def _numbers(path: Path) -> list[int]:
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def _children(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(entry.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(entry.parent.name))
    return found


def _command(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


async def test_a_guard_that_starts_after_its_parent_died_still_does_its_work() -> None:
    from provery.provers.family import GUARD

    left = await asyncio.create_subprocess_exec("sleep", "60", start_new_session=True)
    guard = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-S", str(GUARD), "watch", "2147483646", stdin=asyncio.subprocess.PIPE
    )
    assert guard.stdin is not None
    guard.stdin.write(f"+{left.pid} mark\n".encode())
    assert await asyncio.wait_for(left.wait(), 5) == -signal.SIGKILL
    assert await asyncio.wait_for(guard.wait(), 5) == 0
    guard.stdin.close()


async def test_a_killed_guard_is_replaced() -> None:
    await run(shell("true"))
    first = guardian._pid
    os.kill(first, signal.SIGKILL)
    await gone([first])
    child = await Child.start(shell("sleep 60"))
    assert guardian._pid != first
    assert alive(guardian._pid)
    await child.stop()


async def test_a_child_whose_parent_died_before_it_was_tied_ends_at_once() -> None:
    from provery.provers.family import GUARD

    stranger = "1" if os.getpid() != 1 else "2"
    done = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-S", str(GUARD), "launch", stranger, "99", "mark", "sleep", "60"
    )
    assert await asyncio.wait_for(done.wait(), 5) == 128 + signal.SIGKILL
