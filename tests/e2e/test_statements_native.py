"""The native prover of statements, over the real program, with the smallest of its circuits."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from provery.core.errors import (
    ConfigurationError,
    InvalidInput,
    InvalidKey,
    InvalidWitness,
    ProofRejected,
    ResourceExhausted,
    Retry,
    UnknownCircuit,
)
from provery.core.ports import Proof, Statement
from provery.core.types import Unit
from provery.provers.process import Limits, limits
from provery.provers.statement_native import PROOF, PUBLIC, NativeStatements
from provery.provers.statements import build_statement_provers
from provery.provers.tools import ROOT, Tools
from provery.stores.ledger import open_ledger

PROGRAM = str(Tools.find({}, ROOT / ".provery").native)
LARGE = "beacon-step-minimal-5"
"""Takes seconds to compile: long enough to be interrupted."""


def env(**more: str) -> dict[str, str]:
    return {"PROVERY_PROVER_BIN": PROGRAM, **more}


@asynccontextmanager
async def prover(home: Path, **more: str) -> AsyncIterator[NativeStatements]:
    made = NativeStatements(env(**more), home, 1)
    try:
        yield made
    finally:
        await made.close()


def statement(home: Path, x: str = "3", circuit: str = "self-test", **params: str) -> Statement:
    update = home / f"update-{len(list(home.iterdir()))}.json"
    update.write_text(json.dumps({"x": x}))
    unit = Unit("beacon", "devnet", "1", {})
    return Statement(unit, circuit, {"update.json": update}, params, "request")


def silent(step: str, done: float, total: float) -> None:
    """Nobody watches."""


def out(home: Path) -> Path:
    made = home / "out"
    made.mkdir(exist_ok=True)
    return made


async def test_a_missing_key_is_made_once_and_proves(tmp_path: Path) -> None:
    async with prover(tmp_path) as native:
        key = await native.verifying_key("self-test")
        assert len(key) == 64
        assert await native.verifying_key("self-test") == key
        given = statement(tmp_path, verifying_key=key)
        proof = await native.prove(given, out(tmp_path), silent)
        assert proof.facts == {"verifying_key": key, "setup": "development", "insecure": "true"}
        assert proof.usage.cpu_s > 0
        assert proof.usage.peak_rss > 0
        assert set(proof.files) == {PROOF, PUBLIC}
        assert proof.files[PROOF].stat().st_size == 384
        public = json.loads(proof.files[PUBLIC].read_text())
        assert public["public"] == {"y": "0x23"}
        assert public["verifying_key"] == key
        assert await native.verify(given, proof.files) == {"y": "0x23", "verifying_key": key}
        (circuit,) = [c for c in await native.circuits() if c.name == "self-test"]
        assert (circuit.current, circuit.kind, circuit.insecure) == (key, "development", True)
    manifest = tmp_path / "circuits" / circuit.id / key / "manifest.json"
    assert json.loads(manifest.read_text())["setup"]["insecure"] is True


async def test_two_installations_at_once_make_one_key(tmp_path: Path) -> None:
    async with prover(tmp_path) as one, prover(tmp_path) as two:
        keys = await asyncio.gather(one.verifying_key("self-test"), two.verifying_key("self-test"))
    assert keys[0] == keys[1]


async def test_a_proof_that_is_changed_or_of_something_else_is_rejected(tmp_path: Path) -> None:
    async with prover(tmp_path) as native:
        given = statement(tmp_path)
        proof = await native.prove(given, out(tmp_path), silent)
        with pytest.raises(ProofRejected, match="public value y"):
            await native.verify(statement(tmp_path, "4"), proof.files)
        with pytest.raises(ProofRejected, match="incomplete"):
            await native.verify(given, {PROOF: proof.files[PROOF]})
        good = proof.files[PROOF].read_bytes()
        for at in range(0, len(good), 7):
            proof.files[PROOF].write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
            with pytest.raises(ProofRejected):
                await native.verify(given, proof.files)
        proof.files[PROOF].write_bytes(good[:-1])
        with pytest.raises(ProofRejected, match="383 bytes"):
            await native.verify(given, proof.files)
        proof.files[PROOF].write_bytes(good)
        await native.verify(given, proof.files)


async def test_what_can_never_be_proved_is_not_tried_again(tmp_path: Path) -> None:
    async with prover(tmp_path) as native:
        with pytest.raises(InvalidWitness) as witness:
            await native.prove(statement(tmp_path, "4294967296"), out(tmp_path), silent)
        with pytest.raises(InvalidInput) as malformed:
            await native.prove(statement(tmp_path, "three"), out(tmp_path), silent)
        given = statement(tmp_path)
        with pytest.raises(InvalidInput, match=r"update\.json or sync\.ssz") as missing:
            await native.prove(Statement(given.unit, "self-test", {}, {}, "r"), out(tmp_path), silent)
        with pytest.raises(UnknownCircuit, match="beacon-step-mainnet-6") as unknown:
            await native.prove(statement(tmp_path, circuit="nothing"), out(tmp_path), silent)
        with pytest.raises(ConfigurationError, match="final"):
            await native.compress(given, {}, out(tmp_path), silent)
    for error in (witness, malformed, missing, unknown):
        assert error.value.retry is Retry.NEVER
    assert list(out(tmp_path).iterdir()) == []


async def test_production_refuses_insecure_keys_and_makes_none(tmp_path: Path) -> None:
    async with prover(tmp_path, PROVERY_ENV="production") as native:
        with pytest.raises(InvalidKey, match=r"docs/statement-circuits\.md"):
            await native.verifying_key("self-test")
        with pytest.raises(InvalidKey):
            await native.prove(statement(tmp_path), out(tmp_path), silent)
    assert not list((tmp_path / "circuits").glob("*/*/pk"))
    async with prover(tmp_path) as native:
        key = await native.verifying_key("self-test")
        proof = await native.prove(statement(tmp_path), out(tmp_path), silent)
    async with prover(tmp_path, PROVERY_ENV="production") as native:
        for refused in (
            native.verifying_key("self-test"),
            native.prove(statement(tmp_path, verifying_key=key), out(tmp_path), silent),
            native.verify(statement(tmp_path), proof.files),
        ):
            with pytest.raises(InvalidKey, match="insecure key, which production refuses"):
                await refused
    async with prover(tmp_path, PROVERY_ENV="production", PROVERY_ALLOW_INSECURE_KEYS="1") as native:
        assert await native.verifying_key("self-test") == key
        with pytest.raises(InvalidKey, match=f"provery circuits setup {LARGE}"):
            await native.verifying_key(LARGE)


async def test_keys_of_a_ceremony_are_good_enough_for_production(tmp_path: Path) -> None:
    async with prover(tmp_path, PROVERY_ENV="production") as native:
        folder = str(tmp_path / "ceremony")
        await native.order("ceremony_init", "self-test", silent, dir=folder)
        for phase in (1, 2):
            await native.order("ceremony_contribute", "", silent, dir=folder, name=f"anna {phase}")
            await native.order("ceremony_seal", "", silent, dir=folder, beacon="5a" * 32)
        given = statement(tmp_path)
        proof = await native.prove(given, out(tmp_path), silent)
        assert proof.facts["setup"] == "ceremony"
        assert proof.facts["insecure"] == "false"
        await native.verify(given, proof.files)


async def test_a_pinned_key_is_used_even_when_another_is_current(tmp_path: Path) -> None:
    async with prover(tmp_path) as native:
        first = await native.verifying_key("self-test")
        folder = str(tmp_path / "ceremony")
        await native.order("ceremony_init", "self-test", silent, dir=folder)
        for _ in range(2):
            await native.order("ceremony_contribute", "", silent, dir=folder, name="anna")
            await native.order("ceremony_seal", "", silent, dir=folder, beacon="5a" * 32)
        second = await native.verifying_key("self-test")
        assert second != first
        pinned = statement(tmp_path, verifying_key=first)
        proof = await native.prove(pinned, out(tmp_path), silent)
        assert proof.facts["verifying_key"] == first
        with pytest.raises(ProofRejected):
            await native.verify(statement(tmp_path), proof.files)
        await native.verify(pinned, proof.files)
        with pytest.raises(InvalidKey, match="PROVERY_STATEMENT_KEYS"):
            await native.prove(statement(tmp_path, verifying_key="0" * 64), out(tmp_path), silent)


@pytest.mark.parametrize("name", ["cs", "vk", "pk", "manifest.json"])
async def test_damaged_keys_are_refused_by_name(tmp_path: Path, name: str) -> None:
    async with prover(tmp_path) as native:
        await native.verifying_key("self-test")
        (path,) = (tmp_path / "circuits").glob(f"*/*/{name}")
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(InvalidKey) as error:
            await native.prove(statement(tmp_path), out(tmp_path), silent)
        assert str(path.parent) in str(error.value)
        path.write_bytes(b"\0" + whole[1:])
        with pytest.raises(InvalidKey):
            await native.prove(statement(tmp_path), out(tmp_path), silent)
        path.unlink()
        with pytest.raises(InvalidKey):
            await native.prove(statement(tmp_path), out(tmp_path), silent)
        assert list(out(tmp_path).iterdir()) == []


def children_of(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except (OSError, ValueError):
            continue
        if int(fields[1]) == pid and fields[0] not in ("Z", "X") and "serve" in cmdline(entry):
            found.append(int(entry.name))
    return found


def cmdline(entry: Path) -> str:
    try:
        return (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        return ""


async def started(pid: int) -> list[int]:
    for _ in range(500):
        if len(found := children_of(pid)) >= 2:  # the one that lists circuits, and the one that works
            return found
        await asyncio.sleep(0.01)
    raise AssertionError("no child was started")


async def gone(pids: list[int]) -> float:
    began = time.monotonic()
    while any(
        (Path("/proc") / str(pid)).exists() and "serve" in cmdline(Path("/proc") / str(pid)) for pid in pids
    ):
        assert time.monotonic() - began < 10
        await asyncio.sleep(0.02)
    return time.monotonic() - began


async def test_a_cancelled_set_up_stops_within_two_seconds_and_can_be_made_again(tmp_path: Path) -> None:
    async with prover(tmp_path) as native:
        phases: list[str] = []
        work = asyncio.create_task(native.prepare(LARGE, lambda step, done, total: phases.append(step)))
        while "compile" not in phases:
            await asyncio.sleep(0.05)
            assert not work.done()
        began = time.monotonic()
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        assert time.monotonic() - began < 2
        (circuit,) = [c for c in await native.circuits() if c.name == LARGE]
        assert circuit.current == ""
        assert circuit.problem == ""


async def test_a_child_above_its_memory_is_a_matter_of_another_queue(tmp_path: Path) -> None:
    async with prover(tmp_path) as native:
        limits.set(Limits(memory=150 << 20))
        with pytest.raises(ResourceExhausted, match="at most 150 MiB") as error:
            await native.prepare(LARGE, silent)
        assert error.value.retry is Retry.ELSEWHERE


WORKER = """
import asyncio, os, sys
from pathlib import Path
from provery.provers.statement_native import NativeStatements
quiet = lambda *step: None
asyncio.run(NativeStatements(os.environ, Path(sys.argv[1]), 1).prepare(sys.argv[2], quiet))
"""


async def test_a_killed_worker_takes_its_child_along(tmp_path: Path) -> None:
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WORKER, str(tmp_path), LARGE, env={**os.environ, **env()}, cwd=ROOT
    )
    children = await started(worker.pid)
    worker.send_signal(signal.SIGKILL)
    await worker.wait()
    assert await gone(children) < 2
    async with prover(tmp_path) as native:  # what it held is free again
        assert await native.verifying_key("self-test")
    assert not list((tmp_path / "circuits").glob("*/*/pk.*"))


async def test_it_is_among_the_provers_of_statements(tmp_path: Path) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    try:
        provers = build_statement_provers(env(), tmp_path, ledger, 1)
        assert provers["native"].name == "native"
        assert provers["native"].compresses is False
        made: Proof = await provers["native"].prove(statement(tmp_path), out(tmp_path), silent)
        assert made.facts["verifying_key"]
        for one in provers.values():
            await one.close()
    finally:
        await ledger.close()
