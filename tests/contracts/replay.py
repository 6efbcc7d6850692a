"""Replays sequences with forge, against the contracts or a copy of them with a fault."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from provery.local import ROOT
from tests.contracts import registry, sequences

HERE = Path(__file__).parent
SOLC = ROOT / "provery/chain/node/solc.cjs"
FORGE = ROOT / "tools/evm/node_modules/.bin/forge"
CACHE = ROOT / ".provery/cache/forge"


@dataclass(frozen=True)
class Fault:
    """A change that makes the contract wrong."""

    name: str
    file: str
    old: str
    new: str


_TABLE = "voting.blsKeyComm,\n            voting.schnorrKeyComm,\n            voting.amountComm"
_IN_LIGHT_CLIENT = (
    ("height may stay", "newState.blockHeight <= last", "newState.blockHeight < last"),
    ("view may stay", "newState.viewNum <= last", "newState.viewNum < last"),
    ("epochs may be skipped", "epoch > last + 1 || !isEpochRoot(from)", "false"),
    ("two epochs at once", "epoch > last + 1 || ", ""),
    ("roots may be left out", " || !isEpochRoot(from)", ""),
    ("first epoch may be skipped", "if (epoch > first) revert", "if (false) revert"),
    ("heights past the root", "if (isGtEpochRoot(to)) revert", "if (false) revert"),
    ("tables change early", "return to >= epochStartBlock && isEpochRoot", "return isEpochRoot"),
    ("tables change anywhere", "!switches && !_same", "false && !_same"),
    ("tables never change", "votingStakeTableState = next", "voting = next"),
    ("proofs are not checked", "if (!_verifies(proof, inputs))", "if (false)"),
    ("anybody may prove", "msg.sender != permissionedProver)", "false)"),
    ("anybody may appoint", "(address prover) external onlyOwner", "(address prover) external"),
    ("root is lost", "finalizedState = newState", "finalizedState.blockHeight = newState.blockHeight"),
    (
        "thresholds first",
        f"{_TABLE},\n            voting.threshold",
        f"voting.threshold,\n            {_TABLE}",
    ),
    ("next table not proved", "            nextStakeTable.threshold\n", "            voting.threshold\n"),
    ("a quorum of nobody comes next", "if (switches) _checkQuorum(nextStakeTable);", ""),
    ("stuck from the start", "isGtEpochRoot(setup.genesis.blockHeight)) revert", "false) revert"),
)
FAULTS = tuple(Fault(name, "LightClient.sol", old, new) for name, old, new in _IN_LIGHT_CLIENT)


_STATIC = """private view returns (bool accepted) {
        assembly ("memory-safe") {
            let start := mload(0x40)
            calldatacopy(start, call.offset, call.length)
            let ok := staticcall(gas(), verifier, """
_IN_REGISTRY = (
    ("no code passes", "if (verifier.code.length == 0) revert NoVerifier(verifier);", ""),
    ("false passes", "and(ok, eq(mload(0), 1))", "ok"),
    ("a revert that says true passes", "and(ok, eq(mload(0), 1))", "eq(mload(0), 1)"),
    ("any word passes", "eq(mload(0), 1)", "gt(mload(0), 0)"),
    ("a silent revert passes", "case 0 { accepted := ok }", "case 0 { accepted := 1 }"),
    ("longer answers pass", "case 32 {", "default {"),
    ("the rest is not checked", "if (!_accepts(verifier, call))", "if (false)"),
    (
        "verifiers may write",
        _STATIC,
        _STATIC.replace("view ", "").replace("static", "", 1).replace("r, ", "r, 0, "),
    ),
    ("the call is lost", "verifier, start, call.length, 0, 32)", "verifier, start, 0, 0, 32)"),
    ("the last proof counts", "if (timestamp != 0) return timestamp;", ""),
    ("the last inference counts", "if (held.timestamp != 0) return callHash;", ""),
    ("verifiers are not told apart", "held = _inferences[verifier]", "held = _inferences[address(0)]"),
    ("who sent it is lost", "held.attester = msg.sender", "held.attester = tx.origin"),
    ("the time is lost", "held.timestamp = uint64(block.timestamp)", "held.timestamp = 1"),
    ("the salt is lost", "mload(creation), salt)", "mload(creation), 0)"),
    ("deploying again fails", "if (verifier.code.length != 0) return verifier;", ""),
    ("creation that fails passes", "if (made.code.length == 0) revert DeploymentFailed();", ""),
)
D = TypeVar("D", sequences.Drawn, registry.Drawn)


@dataclass(frozen=True)
class Subject(Generic[D]):
    """A contract with the model that draws sequences for it."""

    system: str
    """The slice that it is of; also the folder beside this file with what replays them."""
    contract: str
    """Its file."""
    write: Callable[[Path, int, int], tuple[int, D]]
    """Draws so many sequences of a seed into a folder: how many files, and what was drawn."""
    faults: tuple[Fault, ...]

    @property
    def sources(self) -> Path:
        """Folder of its sources."""
        return ROOT / f"provery/systems/{self.system}/contract"


LIGHT_CLIENT = Subject("hotshot", "LightClient.sol", sequences.write, FAULTS)
REGISTRY = Subject(
    "zkml",
    "InferenceRegistry.sol",
    registry.write,
    tuple(Fault(name, "InferenceRegistry.sol", old, new) for name, old, new in _IN_REGISTRY),
)


@dataclass(frozen=True)
class Replayed(Generic[D]):
    """How a replay went."""

    agreed: bool
    said: str
    """What forge printed."""
    seconds: float
    """Wall time, compilation included."""
    drawn: D


def replay(
    subject: Subject[D], count: int, seed: int, *, fault: Fault | None = None, timeout_s: float = 3600
) -> Replayed[D]:
    """Draw sequences and replay them.

    Args:
        subject: The contract.
        count: How many sequences.
        seed: What they depend on.
        fault: A fault to put into the contract first.
        timeout_s: For forge.
    """
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="provery-replay-") as temporary:
        project = Path(temporary)
        _lay_out(subject, project, fault)
        drawn_to = project / "drawn"
        drawn_to.mkdir()
        files, drawn = subject.write(drawn_to, count, seed)
        environment = {
            **os.environ,
            "FOUNDRY_SOLC": str(SOLC),
            "NO_COLOR": "1",
            "PROVERY_REPLAY": str(drawn_to),
            "PROVERY_REPLAY_FILES": str(files),
        }
        done = subprocess.run(
            [FORGE, "test", "--threads", "1", "--root", project, "-vv"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    said = done.stdout + done.stderr
    passed = re.search(r"\[PASS\] testReplay\(\)", said) is not None
    failed = re.search(r"\[FAIL[^\]]*\] testReplay\(\)", said) is not None
    if passed == failed:
        raise AssertionError(f"forge replayed nothing:\n{said[-4000:]}")
    return Replayed(passed and done.returncode == 0, said, time.monotonic() - began, drawn)


def _lay_out(subject: Subject[D], project: Path, fault: Fault | None) -> None:
    shutil.copytree(
        subject.sources, project / "src", ignore=lambda _, names: [n for n in names if n[-4:] != ".sol"]
    )
    shutil.copytree(HERE / subject.system, project / "test")
    shutil.copy(HERE / "foundry.toml", project)
    if fault is not None:
        path = project / "src" / fault.file
        text = path.read_text()
        if text.count(fault.old) != 1:
            raise AssertionError(f"{fault.name}: the contract has {text.count(fault.old)} such places")
        path.write_text(text.replace(fault.old, fault.new))
