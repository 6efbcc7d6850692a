"""PLONK circuits of the native prover: an SRS from snarkjs, keys, proofs, and the contract that takes them."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from eth_abi.abi import encode
from eth_utils.abi import function_signature_to_4byte_selector
from typer.testing import CliRunner

from provery.cli.main import app
from provery.core.errors import ArtifactCorrupt, InvalidInput, InvalidKey, ProofRejected
from provery.core.ports import Statement
from provery.core.types import Unit
from provery.provers.statement_native import PROOF, PUBLIC, NativeStatements
from provery.provers.tools import ROOT, Tools

TOOLS = Tools.find(os.environ, ROOT / ".provery")
PROGRAM = str(TOOLS.native)
CIRCUIT = "self-test-plonk"
EVM = ROOT / "tools" / "evm" / "node_modules"
PRODUCTION = {"PROVERY_ENV": "production"}
Run = Callable[..., Any]


@pytest.fixture(scope="session")
def ptau(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Powers of tau for the self-test's 2^7 rows, made and prepared with snarkjs."""
    folder = tmp_path_factory.mktemp("tau")
    program = [str(TOOLS.node), str(TOOLS.modules / "snarkjs" / "build" / "cli.cjs"), "powersoftau"]
    for argv in (
        ["new", "bn128", "7", "0.ptau"],
        ["contribute", "0.ptau", "1.ptau", "--name=anna", "-e=text"],
        ["prepare", "phase2", "1.ptau", "tau.ptau"],
    ):
        subprocess.run([*program, *argv], cwd=folder, check=True, capture_output=True)
    return folder / "tau.ptau"


@asynccontextmanager
async def prover(home: Path, **more: str) -> AsyncIterator[NativeStatements]:
    made = NativeStatements({"PROVERY_PROVER_BIN": PROGRAM, **more}, home, 1)
    try:
        yield made
    finally:
        await made.close()


def statement(home: Path, x: str = "3", **params: str) -> Statement:
    update = home / f"update-{x}.json"
    update.write_text(json.dumps({"x": x}))
    return Statement(Unit("beacon", "devnet", "1", {}), CIRCUIT, {"update.json": update}, params, "request")


def out(home: Path) -> Path:
    made = home / "out"
    made.mkdir(exist_ok=True)
    return made


def silent(step: str, done: float, total: float) -> None:
    """Nobody watches."""


async def import_srs(native: NativeStatements, ptau: Path, digest: str = "") -> str:
    made = await native.order("srs_import", "", silent, file=str(ptau), digest=digest)
    return str(made["srs_id"])


async def test_a_missing_key_is_made_once_and_proves(tmp_path: Path) -> None:
    async with prover(tmp_path) as native:
        key = await native.verifying_key(CIRCUIT)
        assert await native.verifying_key(CIRCUIT) == key
        given = statement(tmp_path, verifying_key=key)
        proof = await native.prove(given, out(tmp_path), silent)
        assert proof.facts == {"verifying_key": key, "setup": "development", "insecure": "true"}
        assert proof.files[PROOF].stat().st_size == 864
        public = json.loads(proof.files[PUBLIC].read_text())
        assert (public["scheme"], public["verifying_key"]) == ("plonk", key)
        assert public["public"] == {"y": "0x23"}
        assert await native.verify(given, proof.files) == {"y": "0x23", "verifying_key": key}
        (circuit,) = [c for c in await native.circuits() if c.name == CIRCUIT]
        assert (circuit.scheme, circuit.current, circuit.insecure) == ("plonk", key, True)
        with pytest.raises(ProofRejected, match="public value y"):
            await native.verify(statement(tmp_path, "4"), proof.files)
        good = proof.files[PROOF].read_bytes()
        for at in range(0, len(good), 31):
            proof.files[PROOF].write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
            with pytest.raises(ProofRejected):
                await native.verify(given, proof.files)
        proof.files[PROOF].write_bytes(good[:-1])
        with pytest.raises(ProofRejected, match="863 bytes"):
            await native.verify(given, proof.files)


async def test_a_pinned_key_is_used_even_when_another_is_current(tmp_path: Path, ptau: Path) -> None:
    async with prover(tmp_path) as native:
        first = await native.verifying_key(CIRCUIT)
        srs = await import_srs(native, ptau)
        manifest, made = await native.setup(CIRCUIT, silent, srs)
        second = str(manifest["setup_id"])
        assert made
        assert second != first
        assert await native.verifying_key(CIRCUIT) == second
        pinned = statement(tmp_path, verifying_key=first)
        proof = await native.prove(pinned, out(tmp_path), silent)
        assert proof.facts["verifying_key"] == first
        with pytest.raises(ProofRejected):
            await native.verify(statement(tmp_path), proof.files)
        await native.verify(pinned, proof.files)
        with pytest.raises(InvalidKey, match="PROVERY_STATEMENT_KEYS"):
            await native.prove(statement(tmp_path, verifying_key="0" * 64), out(tmp_path), silent)


async def test_production_takes_the_powers_of_a_ceremony_and_no_others(tmp_path: Path, ptau: Path) -> None:
    async with prover(tmp_path, **PRODUCTION) as native:
        with pytest.raises(InvalidKey) as missing:
            await native.verifying_key(CIRCUIT)
        assert "circuits srs import" in missing.value.action
        with pytest.raises(InvalidKey):
            await native.setup(CIRCUIT, silent)
        await import_srs(native, ptau)
        with pytest.raises(InvalidKey, match="insecure"):
            await native.setup(CIRCUIT, silent)
        with pytest.raises(ArtifactCorrupt, match="another file"):
            await import_srs(native, ptau, "0" * 64)
        srs = await import_srs(native, ptau, hashlib.blake2b(ptau.read_bytes()).hexdigest())
        await native.setup(CIRCUIT, silent)
        given = statement(tmp_path)
        proof = await native.prove(given, out(tmp_path), silent)
        assert (proof.facts["setup"], proof.facts["insecure"]) == ("ceremony", "false")
        await native.verify(given, proof.files)
    (path,) = (tmp_path / "circuits").glob(f"*/{proof.facts['verifying_key']}/manifest.json")
    setup = json.loads(path.read_text())["setup"]
    assert (setup["srs"], setup["source_sha256"]) == (srs, hashlib.sha256(ptau.read_bytes()).hexdigest())


async def test_files_that_are_no_powers_of_tau_say_so(tmp_path: Path, ptau: Path) -> None:
    async with prover(tmp_path) as native:
        whole = ptau.read_bytes()
        for text, match in (
            (whole[:-1], "truncated"),
            (b"zkey" + whole[4:], "zkey"),
            (whole + b"?", "follow"),
        ):
            other = tmp_path / "other.ptau"
            other.write_bytes(text)
            with pytest.raises(ArtifactCorrupt, match=match):
                await import_srs(native, other)
        with pytest.raises(InvalidInput, match="SHA-256 or a BLAKE2b-512"):
            await import_srs(native, ptau, "abc")
        with pytest.raises(InvalidKey, match="64 hexadecimal digits"):
            await native.order("srs_use", "", silent, srs="nothing")


@pytest.fixture
def cli(tmp_path: Path) -> Run:
    def invoke(*args: str, code: int = 0, text: bool = False, **env: str) -> Any:
        settings = {"PROVERY_HOME": str(tmp_path), "PROVERY_PROVER_BIN": PROGRAM, **env}
        options = [] if text else ["--json"]
        result = CliRunner().invoke(app, ["circuits", *args, *options], env=settings)
        assert result.exit_code == code, result.output
        return result.output if text else json.loads(result.stdout)

    return invoke


def test_the_commands(cli: Run, tmp_path: Path, ptau: Path) -> None:
    assert cli("srs", "list") == {"current": "", "strings": []}
    assert "srs import" in cli("srs", "list", text=True)
    assert cli("srs", "make", "3", code=4, **PRODUCTION)["error"]["kind"] == "InvalidKey"
    small = cli("srs", "make", "3")["srs"]
    assert (small["power"], small["origin"]["insecure"]) == (3, True)
    assert "INSECURE" in cli("srs", "import", str(ptau), text=True)
    digest = hashlib.sha256(ptau.read_bytes()).hexdigest()
    imported = cli("srs", "import", str(ptau), "--digest", digest)
    assert (imported["made"], imported["srs"]["origin"]["kind"]) == (False, "ceremony")
    srs = imported["srs"]["srs_id"]
    listed = cli("srs", "list")
    assert listed["current"] == srs
    assert {one["srs_id"] for one in listed["strings"]} == {srs, small["srs_id"]}
    assert "development (INSECURE)" in cli("srs", "list", text=True)
    assert cli("srs", "audit")["srs"]["srs_id"] == srs
    # the small one does not do for this circuit
    failed = cli("setup", CIRCUIT, "--srs", small["srs_id"], code=4)["error"]
    assert "larger powers-of-tau file" in failed["message"]
    made = cli("setup", CIRCUIT, **PRODUCTION)
    assert made["made"] is True
    assert (made["keys"]["scheme"], made["keys"]["setup"]["srs"]) == ("plonk", srs)
    (shown,) = [c for c in cli("list")["statements"] if c["name"] == CIRCUIT]
    assert (shown["scheme"], shown["kind"], shown["insecure"]) == ("plonk", "ceremony", False)
    assert cli("srs", "use", small["srs_id"])["srs"]["srs_id"] == small["srs_id"]
    assert cli("srs", "use", "0" * 64, code=4)["error"]["kind"] == "InvalidKey"
    (path,) = (tmp_path / "circuits" / "srs").glob(f"{srs}/g1")
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert str(path) in cli("audit", CIRCUIT, code=4)["error"]["message"]


@pytest.fixture
def node() -> Iterator[str]:
    """A local Ethereum node's address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    child = subprocess.Popen(
        [str(TOOLS.node), str(EVM / ".bin" / "anvil"), "--port", str(port), "--silent"],
        stdout=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(200):
            try:
                rpc(url, "eth_chainId")
                break
            except httpx.TransportError:
                time.sleep(0.05)
        yield url
    finally:
        child.terminate()
        child.wait()


class Reverted(Exception):
    """The contract refused."""


def rpc(url: str, method: str, *params: Any) -> Any:
    reply = httpx.post(url, json={"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).json()
    if "error" in reply:
        assert "revert" in reply["error"]["message"], reply
        raise Reverted
    return reply["result"]


def compiled(source: str, folder: Path) -> str:
    """The contract's creation code."""
    order = {
        "language": "Solidity",
        "sources": {"verifier.sol": {"content": source}},
        "settings": {
            "optimizer": {"enabled": True},
            "outputSelection": {"*": {"*": ["evm.bytecode.object"]}},
        },
    }
    script = folder / "compile.js"
    script.write_text(
        f"process.stdout.write(require({str(EVM / 'solc')!r}).compile(require('fs').readFileSync(0, 'utf8')))"
    )
    done = subprocess.run(
        [str(TOOLS.node), str(script)], input=json.dumps(order).encode(), check=True, capture_output=True
    )
    return str(
        json.loads(done.stdout)["contracts"]["verifier.sol"]["PlonkVerifier"]["evm"]["bytecode"]["object"]
    )


async def test_the_contract_takes_the_proof_as_it_is_in_its_file(tmp_path: Path, node: str) -> None:
    async with prover(tmp_path) as native:
        proof = await native.prove(statement(tmp_path), out(tmp_path), silent)
        await native.order("circuit_export", CIRCUIT, silent, out=str(tmp_path / "exported"))
    code = compiled((tmp_path / "exported" / "verifier.sol").read_text(), tmp_path)
    sender = rpc(node, "eth_accounts")[0]
    sent = rpc(node, "eth_sendTransaction", {"from": sender, "data": "0x" + code, "gas": hex(8_000_000)})
    receipt = rpc(node, "eth_getTransactionReceipt", sent)
    assert receipt["status"] == "0x1"
    good = proof.files[PROOF].read_bytes()

    def call(text: bytes, value: int, method: str = "eth_call") -> int:
        data = function_signature_to_4byte_selector("Verify(bytes,uint256[])")
        data += encode(["bytes", "uint256[]"], [text, [value]])
        return int(rpc(node, method, {"to": receipt["contractAddress"], "data": "0x" + data.hex()}), 16)

    def accepted(text: bytes) -> bool:
        try:
            return call(text, 0x23) == 1
        except Reverted:  # where the proof is malformed
            return False

    assert accepted(good)
    assert call(good, 0x23, "eth_estimateGas") < 400_000
    assert call(good, 0x24) == 0
    for at in range(0, len(good), 97):
        assert not accepted(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
