"""The command prover with real programs: what it is given, what it may leave behind, and how it ends."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

import pytest

from provery.core.errors import (
    ConfigurationError,
    InvalidInput,
    InvalidKey,
    ProofRejected,
    ProverCrashed,
    ProverTimeout,
    ResourceExhausted,
)
from provery.core.ports import Proof
from provery.provers.command import Command
from provery.provers.process import Limits, limits
from tests.support import sp1

LIKE_THE_ORIGINAL = f"""#!{sys.executable}
# Does what run_zk_proof.sh does, from recorded proofs.
import json, os, pathlib, shutil, sys
period = sys.argv[sys.argv.index("--period") + 1]
store = pathlib.Path(sys.argv[sys.argv.index("--output") + 1])
(store / "seen.json").write_text(json.dumps([sys.argv[1:], dict(os.environ), os.getcwd()]))
folder, vectors = store / period, pathlib.Path({str(sp1.VECTORS)!r})
assert (folder / "sync.ssz").stat().st_size == 49711
if "--prev-period" in sys.argv:
    before = store / sys.argv[sys.argv.index("--prev-period") + 1]
    assert (before / "zk_proof.bin").exists() and (before / "zk_vk_raw.bin").exists()
shutil.copy(vectors / f"sp1/proof_{{period}}.bin", folder / "zk_proof_g16.bin")
shutil.copy(vectors / f"mainnet/public_values_{{period}}.bin", folder / "zk_pub.bin")
shutil.copy(vectors / f"sp1/groth16_{{period}}.bin", folder / "zk_groth16.bin")
for name in ("zk_vk.bin", "zk_vk_raw.bin"):
    shutil.copy(vectors / "sp1/vk.bin", folder / name)
"""


def quiet(step: str, done: float, total: float) -> None:
    """Progress that nobody looks at."""


def alive(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


def program(folder: Path, body: str = "", *, first: str = LIKE_THE_ORIGINAL) -> dict[str, str]:
    """An environment whose command is the original's stand-in with ``body`` after it."""
    file = folder / "run_zk_proof.sh"
    file.write_text(first + body)
    file.chmod(0o755)
    return {"PROVERY_COMMAND_PROVER": str(file), "PROVERY_SP1_PROGRAM": sp1.PROGRAM}


async def prove(env: dict[str, str], folder: Path, period: int = 1600) -> Proof:
    into = folder / "into"
    into.mkdir(exist_ok=True)
    return await Command(env).prove(sp1.statement(folder, period), into, quiet)


@pytest.mark.parametrize("period", [1600, 1601])
async def test_todays_users_keep_their_program(tmp_path: Path, period: int) -> None:
    env = program(tmp_path) | {
        "SP1_PRIVATE_KEY": sp1.KEY,
        "ELF": "guest.elf",
        "DATABASE_URL": "postgres://secret",
    }
    env |= {"PROVERY_COMMAND_ENV": "MINE, OTHER", "MINE": "1", "PROVERY_COMMAND_DIR": str(tmp_path)}
    made = await prove(env, tmp_path, period)
    assert set(made.files) == {
        "zk_proof_g16.bin",
        "zk_pub.bin",
        "zk_groth16.bin",
        "zk_vk.bin",
        "zk_vk_raw.bin",
    }
    assert made.files["zk_proof_g16.bin"].read_bytes() == sp1.onchain(period)
    assert made.files["zk_pub.bin"].parent == tmp_path / "into"
    assert made.facts["program"] == sp1.PROGRAM
    argv, environment, folder = json.loads((tmp_path / "into/period_store/seen.json").read_text())
    before = ["--prev-period", "1600"] if period == 1601 else []
    store = str(tmp_path / "into/period_store")
    assert argv == ["--period", str(period), *before, "--prove", "--groth16", "--network", "--output", store]
    assert environment["SP1_PRIVATE_KEY"] == sp1.KEY  # there and nowhere else
    assert (environment["ELF"], environment["MINE"], folder) == ("guest.elf", "1", str(tmp_path))
    assert "DATABASE_URL" not in environment
    assert await Command(env).verify(sp1.statement(tmp_path, period), made.files) == made.facts


async def test_the_program_is_told_the_chain_of_its_period(tmp_path: Path) -> None:
    """One worker serves streams of several chains, and its own CHAIN is of one of them at most."""
    for own in ({}, {"CHAIN": "gnosis"}):
        await prove(program(tmp_path) | own, tmp_path)
        _, environment, _ = json.loads((tmp_path / "into/period_store/seen.json").read_text())
        assert environment["CHAIN"] == "mainnet"


async def test_the_program_may_have_arguments_of_its_own(tmp_path: Path) -> None:
    env = program(tmp_path)
    env["PROVERY_COMMAND_PROVER"] += " --chain 'main net'"
    await prove(env, tmp_path)
    argv, *_ = json.loads((tmp_path / "into/period_store/seen.json").read_text())
    assert argv[:2] == ["--chain", "main net"]


async def test_files_of_a_killed_attempt_are_not_taken_for_new_ones(tmp_path: Path) -> None:
    await prove(program(tmp_path, "shutil.copytree(folder, store / 'again')"), tmp_path)
    with pytest.raises(ProverCrashed, match=r"did not write zk_proof_g16\.bin"):
        await prove(program(tmp_path, first=f"#!{sys.executable}\n"), tmp_path)


@pytest.mark.parametrize(
    ("body", "error", "says"),
    [
        ("(folder / 'zk_pub.bin').unlink()", ProverCrashed, "did not write zk_pub.bin"),
        ("os.truncate(folder / 'zk_proof_g16.bin', 259)", ProofRejected, "259 bytes"),
        ("os.truncate(folder / 'zk_pub.bin', 0)", ProofRejected, "different public values"),
        ("os.truncate(folder / 'zk_groth16.bin', 900)", ProofRejected, "cut off"),
        ("os.truncate(folder / 'zk_proof_g16.bin', 10**10)", ProofRejected, "at most 4096 bytes"),
        ("(folder / 'zk_proof.bin').write_bytes(b'1')", ProofRejected, "kind"),
        (
            "p = folder / 'zk_pub.bin'; p.unlink(); p.symlink_to('/etc/passwd')",
            ProofRejected,
            "zk_pub.bin is not usable",
        ),
        ("p = folder / 'zk_proof.bin'; os.mkfifo(p)", ProofRejected, "zk_proof.bin is not usable"),
        (
            "d = bytearray((folder / 'zk_proof_g16.bin').read_bytes()); d[99] ^= 1;"
            "(folder / 'zk_proof_g16.bin').write_bytes(d)",
            ProofRejected,
            "does not verify",
        ),
        (
            "[shutil.copy(vectors / a, folder / b) for a, b in (('sp1/proof_1601.bin', 'zk_proof_g16.bin'),"
            "('mainnet/public_values_1601.bin', 'zk_pub.bin'), ('sp1/groth16_1601.bin', 'zk_groth16.bin'))]",
            ProofRejected,
            "root of the next keys differs",
        ),
    ],
)
async def test_outputs_are_checked(tmp_path: Path, body: str, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        await prove(program(tmp_path, body), tmp_path)


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ("exit 1", ProverCrashed),
        ("exit 137", ProverCrashed),
        ("kill -9 $$", ProverCrashed),
        ("echo 'terminate called: std::bad_alloc' >&2; exit 1", ResourceExhausted),
        ("exit 127", ConfigurationError),
    ],
)
async def test_exit_codes_become_errors_and_the_key_stays_hidden(
    tmp_path: Path, script: str, error: type[Exception]
) -> None:
    (tmp_path / "key").write_text(f"0x{sp1.KEY}\n")
    env = program(tmp_path, first=f'#!/bin/sh\necho "using $(cat $SP1_PRIVATE_KEY_FILE)" >&2\n{script}\n')
    env["SP1_PRIVATE_KEY_FILE"] = str(tmp_path / "key")
    with pytest.raises(error) as caught:
        await prove(env, tmp_path)
    assert "using 0x***" in str(caught.value) or "using ***" in str(caught.value)
    assert sp1.KEY not in str(caught.value)


async def test_a_hanging_program_ends_at_the_stages_time_and_memory(tmp_path: Path) -> None:
    env = program(tmp_path, first="#!/bin/sh\nsleep 60 & wait\n")
    token = limits.set(Limits(timeout_s=0.3))
    try:
        with pytest.raises(ProverTimeout):
            await prove(env, tmp_path)
        limits.set(Limits(memory=60 * 2**20))
        with pytest.raises(ResourceExhausted):
            await prove(program(tmp_path, "x = b'1' * (200 << 20); import time; time.sleep(30)"), tmp_path)
    finally:
        limits.reset(token)


async def test_cancelling_kills_all_of_it_within_two_seconds(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = f"#!/bin/sh\ntrap '' TERM\nsetsid sleep 300 & echo $$ $! > {pids}.new; mv {pids}.new {pids}\nsleep 300\n"
    task = asyncio.create_task(prove(program(tmp_path, first=script), tmp_path))
    while not pids.exists():
        await asyncio.sleep(0.02)
    began = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - began < 2
    await asyncio.sleep(0.2)
    assert [pid for pid in pids.read_text().split() if alive(pid)] == []


async def test_what_is_missing_is_said_before_anything_runs(tmp_path: Path) -> None:
    for env in ({}, {"PROVERY_COMMAND_PROVER": "'open"}):
        with pytest.raises(ConfigurationError, match="PROVERY_COMMAND_PROVER"):
            await prove(env, tmp_path)
    with pytest.raises(ConfigurationError, match="cannot be started"):
        await prove(program(tmp_path) | {"PROVERY_COMMAND_PROVER": str(tmp_path / "none")}, tmp_path)
    with pytest.raises(InvalidKey, match="PROVERY_SP1_PROGRAM"):
        await Command({}).verifying_key("beacon-step-mainnet-6")
    with pytest.raises(ConfigurationError, match="PROVERY_SP1_PROGRAM"):
        await Command({"PROVERY_SP1_PROGRAM": "0x12"}).verifying_key("")
    bare = sp1.statement(tmp_path)
    with pytest.raises(InvalidInput, match="mainnet preset"):
        await Command(program(tmp_path)).prove(
            type(bare)(bare.unit, bare.circuit, {}, bare.params, bare.request_key), tmp_path, quiet
        )
