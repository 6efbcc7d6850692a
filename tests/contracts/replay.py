"""Replays sequences with forge, against the contracts or a copy of them with a fault."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from provery.local import ROOT
from tests.contracts import sequences
from tests.contracts.sequences import Drawn

HERE = Path(__file__).parent
CONTRACTS = ROOT / "provery/systems/hotshot/contract"
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


@dataclass(frozen=True)
class Replayed:
    """How a replay went."""

    agreed: bool
    said: str
    """What forge printed."""
    seconds: float
    """Wall time, compilation included."""
    drawn: Drawn


def replay(count: int, seed: int, *, fault: Fault | None = None, timeout_s: float = 3600) -> Replayed:
    """Draw sequences and replay them.

    Args:
        count: How many sequences.
        seed: What they depend on.
        fault: A fault to put into the contract first.
        timeout_s: For forge.
    """
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="provery-replay-") as temporary:
        project = Path(temporary)
        _lay_out(project, fault)
        drawn_to = project / "drawn"
        drawn_to.mkdir()
        files, drawn = sequences.write(drawn_to, count, seed)
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


def _lay_out(project: Path, fault: Fault | None) -> None:
    shutil.copytree(
        CONTRACTS, project / "src", ignore=lambda _, names: [n for n in names if n[-4:] != ".sol"]
    )
    shutil.copytree(HERE / "hotshot", project / "test")
    shutil.copy(HERE / "foundry.toml", project)
    if fault is not None:
        path = project / "src" / fault.file
        text = path.read_text()
        if text.count(fault.old) != 1:
            raise AssertionError(f"{fault.name}: the contract has {text.count(fault.old)} such places")
        path.write_text(text.replace(fault.old, fault.new))
