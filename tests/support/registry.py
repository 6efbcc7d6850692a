"""A registry of inferences on anvil, and real proofs of the native prover's self-test circuits to hand to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provery.chain.solidity import Solidity
from provery.core import factory
from provery.core.abi import Function
from provery.core.lanes import Call, Chain, Policy, Receipt
from provery.core.ports import Statement
from provery.core.sending import send
from provery.core.types import Unit
from provery.local import ROOT
from provery.local.toolchain import evm_modules, find
from provery.provers.statement_native import PROOF, NativeStatements
from provery.provers.tools import Tools
from provery.systems.zkml import contracts
from tests.support.anvil import Anvil

POLICY = Policy(stuck_after_s=20.0)
PROGRAM = str(Tools.find({}, ROOT / ".provery").native)
CIRCUITS = {"plonk": "self-test-plonk", "groth16": "self-test"}
"""Small circuits of the native prover by scheme: y = x³ + x + 5."""
VERIFY = {
    "plonk": Function("Verify", ("bytes", "uint256[]"), ("bool",)),
    "groth16": Function("verifyProof", ("bytes", "uint256[1]"), ()),
}
"""The generated verifiers' function, by scheme."""


def solidity() -> Solidity:
    """The compiler."""
    return Solidity(find("node"), evm_modules())


@dataclass(frozen=True)
class Proved:
    """A proof of one scheme, and its verifier."""

    scheme: str
    proof: bytes
    public: tuple[int, ...]
    verifier: bytes
    """Creation code, compiled from what the prover exports."""

    @property
    def call(self) -> bytes:
        """The verifier's call data."""
        return self.data(self.proof, self.public)

    def data(self, proof: bytes, public: tuple[int, ...]) -> bytes:
        """Call data with another proof or other public values."""
        return bytes.fromhex(VERIFY[self.scheme].call(proof, list(public))[2:])


async def prove(scheme: str, home: Path) -> Proved:
    """Prove y = 3³ + 3 + 5, and export and compile the verifier.

    Args:
        scheme: plonk or groth16.
        home: To work in; keys of development are made here.
    """
    circuit, folder = CIRCUITS[scheme], home / scheme
    folder.mkdir()
    native = NativeStatements({"PROVERY_PROVER_BIN": PROGRAM}, home, 1)
    try:
        given = folder / "update.json"
        given.write_text(json.dumps({"x": "3"}))
        statement = Statement(Unit("beacon", "test", "1", {}), circuit, {"update.json": given}, {}, "request")
        (folder / "out").mkdir()
        made = await native.prove(statement, folder / "out", lambda *_: None)
        await native.order("circuit_export", circuit, lambda *_: None, out=str(folder))
    finally:
        await native.close()
    code = await contracts.compile_verifier(solidity().contracts, folder / "verifier.sol")
    return Proved(scheme, made.files[PROOF].read_bytes(), (0x23,), code)


async def deploy_registry(chain: Chain, salt: int = 0) -> str:
    """Put a registry on a chain, as ``provery zkml deploy`` does; its address."""
    code = contracts.creation_code(contracts.REGISTRY)
    return (await factory.create(chain, "registry", code, POLICY, salt=salt.to_bytes(32))).address


async def land(chain: Chain, call: Call) -> Receipt:
    """Send a call and wait for it; raises Reverted where it is refused."""
    return await send(chain, call, POLICY, lambda _: None)


async def logs(anvil: Anvil, receipt: Receipt) -> list[tuple[list[bytes], bytes]]:
    """Topics and data of what a transaction logged."""
    found: Mapping[str, Any] = await anvil.call("eth_getTransactionReceipt", receipt.hash)
    return [
        ([bytes.fromhex(t[2:]) for t in log["topics"]], bytes.fromhex(log["data"][2:]))
        for log in found["logs"]
    ]


def signatures(entries: Any, kind: str) -> set[str]:
    """Signatures of an ABI's entries of one type, as ``name(types)``."""
    return {f"{e['name']}({','.join(p['type'] for p in e['inputs'])})" for e in entries if e["type"] == kind}
