"""A registry with the real stores, real circuits, and honest jobs for the membership circuit."""

from __future__ import annotations

import functools
import json
import os
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from provery.core.ports import CircuitFiles
from provery.core.types import Json
from provery.provers.circuits import CircuitRegistry
from provery.provers.tools import ROOT, Tools
from provery.stores.artifacts import open_store
from provery.stores.ledger import open_ledger

HOME = ROOT / ".provery"
CACHE = HOME / "cache" / "test-circuits"
MEMBERSHIP = ROOT / "provery" / "systems" / "queue" / "circuit" / "membership.circom"
FIELD = 21888242871839275222246405745257275088548364400416034343698204186575808495617

_JOBS = """
const { createRequire } = require("node:module");
const { buildPoseidon } = createRequire(process.argv[1] + "/circomlibjs/package.json")("circomlibjs");
buildPoseidon().then((poseidon) => {
  const hash = (a, b) => poseidon.F.toObject(poseidon([a, b]));
  const jobs = [];
  for (let i = 0; i < 16; i++) {
    const user = BigInt(1000 + i), nonce = BigInt(77 * i + 5), leaf = hash(user, nonce);
    const pathElements = [], pathIndices = [];
    let node = leaf;
    for (let level = 0; level < 4; level++) {
      const sibling = hash(BigInt(i), BigInt(level)), index = (i >> level) & 1;
      pathElements.push(sibling.toString());
      pathIndices.push(index);
      node = index ? hash(sibling, node) : hash(node, sibling);
    }
    jobs.push({ root: node, user, epoch: 7n, leaf, nonce, pathElements, pathIndices });
  }
  process.stdout.write(JSON.stringify(jobs, (_, v) => (typeof v === "bigint" ? v.toString() : v)));
  process.exit(0);
});
"""


_ROOT = """
const { createRequire } = require("node:module");
const { buildPoseidon } = createRequire(process.argv[1] + "/circomlibjs/package.json")("circomlibjs");
const { leaf, pathElements, pathIndices, field } = JSON.parse(process.argv[2]);
buildPoseidon().then((poseidon) => {
  const p = BigInt(field), mod = (n) => ((n % p) + p) % p;
  let node = BigInt(leaf);
  pathElements.map(BigInt).forEach((sibling, i) => {
    const swap = BigInt(pathIndices[i]) * (sibling - node);
    node = poseidon.F.toObject(poseidon([mod(node + swap), mod(sibling - swap)]));
  });
  process.stdout.write(node.toString());
  process.exit(0);
});
"""


def root_of(job: Mapping[str, Json]) -> str:
    """The root that the circuit's own formula gives, even for an index that is neither 0 nor 1."""
    tools = Tools.find(os.environ, HOME)
    asked = json.dumps({**job, "field": str(FIELD)})
    argv = (tools.node, "-e", _ROOT, str(tools.modules), asked)
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


@functools.cache
def jobs() -> list[dict[str, Json]]:
    """Sixteen honest requests, one per leaf position."""
    tools = Tools.find(os.environ, HOME)
    done = subprocess.run(
        (tools.node, "-e", _JOBS, str(tools.modules)), capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    assert isinstance(found, list)
    return found


@asynccontextmanager
async def registry(home: Path, env: Mapping[str, str] | None = None) -> AsyncIterator[CircuitRegistry]:
    """A circuit registry over a file store and a SQLite catalog under ``home``, with the checkout's programs."""
    os.makedirs(home, exist_ok=True)
    tools = Tools.find(os.environ, HOME)
    ledger = open_ledger(f"sqlite:///{home / 'ledger.db'}")
    store = open_store((home / "artifacts").as_uri(), cache=home / "cache", env={})
    found = {"PROVERY_PROVER_BIN": str(tools.native), "PROVERY_NODE_BIN": str(tools.node), **(env or {})}
    try:
        yield CircuitRegistry(ledger.catalog, store, found, home)
    finally:
        await store.close()
        await ledger.close()


async def membership() -> CircuitFiles:
    """The membership circuit, compiled and set up once per source and kept under ``.provery/cache``."""
    async with registry(CACHE) as found:
        manifest = await found.add_source("membership", MEMBERSHIP)
        return await found.resolve("membership", str(manifest["version"]))


def values(wtns: Path) -> list[int]:
    """The signals of a witness file."""
    data = wtns.read_bytes()
    return [int.from_bytes(data[at : at + 32], "little") for at in range(_body(data), len(data), 32)]


def forge(wtns: Path, out: Path, changes: Mapping[int, int]) -> Path:
    """A copy of a witness file with some signals replaced."""
    data = bytearray(wtns.read_bytes())
    for signal, value in changes.items():
        at = _body(data) + 32 * signal
        data[at : at + 32] = (value % 2**256).to_bytes(32, "little")
    out.write_bytes(data)
    return out


def _body(data: bytes | bytearray) -> int:
    """Offset of section 2: magic, version and count (12), section 1's head (12) and body, section 2's head (12)."""
    return 24 + int.from_bytes(data[16:24], "little") + 12
