"""The membership circuit holds: each group of constraints refuses a forged statement.

Two forgers are tried. One sends dishonest inputs, and the witness program refuses. The other leaves the witness program
out and writes the witness vector by hand, with all the hashes of the forged values right, so that only the one
constraint under test is violated; then the constraint check, the prover and the verifier have to refuse.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from provery.core.errors import InvalidWitness
from provery.core.ports import CircuitFiles, ProveItem, WitnessItem
from provery.core.types import Json
from provery.provers import build_provers
from provery.provers.tools import Tools
from tests.e2e.provers_support import (
    FIELD,
    HOME,
    MEMBERSHIP,
    forge,
    jobs,
    membership,
    registry,
    root_of,
    values,
)

ONE, ROOT, USER, EPOCH, LEAF, NONCE, ELEMENTS, INDICES = 0, 1, 2, 3, 4, 5, 6, 10
"""Places of the main signals in the witness: the constant one, then inputs in the order of their declaration."""


def silent(step: str, done: float, total: float) -> None:
    """Nobody watches."""


def number(value: Json) -> int:
    return int(str(value))


@pytest.fixture
async def circuit() -> CircuitFiles:
    return await membership()


async def witnesses(circuit: CircuitFiles, inputs: list[dict[str, Json]], folder: Path) -> list[Path]:
    """Honest witnesses; every one must come out."""
    prover = build_provers(os.environ, 1, HOME)["native"]
    try:
        items = [WitnessItem(each, folder / f"honest{i}.wtns") for i, each in enumerate(inputs)]
        assert [r.error for r in await prover.witness(circuit, items, silent)] == [None] * len(items)
        return [item.out for item in items]
    finally:
        await prover.close()


LIST: list[Json] = ["1", "0", "0", "0"]


@pytest.mark.parametrize(
    ("group", "change"),
    [
        ("G1 another leaf", {"leaf": "12345"}),
        ("G1 another user", {"user": "4"}),
        ("G1 another nonce", {"nonce": "4"}),
        ("G2 index two", {"pathIndices": ["2", "0", "0", "0"]}),
        ("G2 index minus one", {"pathIndices": [str(FIELD - 1), "0", "0", "0"]}),
        ("G3 wrong sibling", {"pathElements": LIST}),
        ("G3 wrong side", {"pathIndices": LIST}),
        ("G4 wrong root", {"root": "1"}),
        ("G4 no root", {"root": "0"}),
    ],
)
async def test_the_witness_program_refuses(
    circuit: CircuitFiles, tmp_path: Path, group: str, change: dict[str, Json]
) -> None:
    provers = build_provers(os.environ, 1, HOME)
    try:
        for name in ("native", "snarkjs"):
            item = WitnessItem({**jobs()[0], **change}, tmp_path / "w.wtns")
            (result,) = await provers[name].witness(circuit, [item], silent)
            assert type(result.error) is InvalidWitness, f"{group} under {name}"
            assert not item.out.exists()
    finally:
        for prover in provers.values():
            await prover.close()


async def test_signals_lie_where_the_forgeries_change_them(circuit: CircuitFiles, tmp_path: Path) -> None:
    (wtns,) = await witnesses(circuit, [jobs()[5]], tmp_path)
    found, job = values(wtns), jobs()[5]
    assert found[ONE] == 1
    for place, name in ((ROOT, "root"), (USER, "user"), (EPOCH, "epoch"), (LEAF, "leaf"), (NONCE, "nonce")):
        assert found[place] == number(job[name])
    for place, name in ((ELEMENTS, "pathElements"), (INDICES, "pathIndices")):
        listed = job[name]
        assert isinstance(listed, list)
        assert found[place : place + 4] == [number(value) for value in listed]


FORGERIES: dict[str, dict[int, int]] = {
    "G1 leaf": {LEAF: 12345},
    "G1 user": {USER: 4},
    "G1 nonce": {NONCE: 4},
    "G2 index two": {INDICES: 2},
    "G2 index of the last level": {INDICES + 3: FIELD - 1},
    "G3 sibling": {ELEMENTS: 4},
    "G3 sibling of the last level": {ELEMENTS + 3: 4},
    "G3 side": {INDICES: 1},
    "G4 root": {ROOT: 4},
    "G5 epoch": {EPOCH: 8},
    "the constant one": {ONE: 0},
    "all zeros": dict.fromkeys(range(1, 1000), 0),
    "a number as large as the field": {NONCE: FIELD},
    "a number larger than the field": {EPOCH: FIELD + 7},
}


async def test_no_prover_makes_a_proof_of_a_forged_witness(circuit: CircuitFiles, tmp_path: Path) -> None:
    (honest,) = await witnesses(circuit, [jobs()[0]], tmp_path)
    forged = [forge(honest, tmp_path / f"{i}.wtns", change) for i, change in enumerate(FORGERIES.values())]
    provers = build_provers(os.environ, 1, HOME)
    try:
        for name in ("native", "snarkjs"):
            items = [
                ProveItem(w, w.with_suffix(".proof"), w.with_suffix(".public")) for w in (*forged, honest)
            ]
            found = await provers[name].prove(circuit, items, silent)
            refused = {case: type(r.error) for case, r in zip(FORGERIES, found, strict=False)}
            assert refused == dict.fromkeys(FORGERIES, InvalidWitness), name
            assert not any(item.proof.exists() for item in items[:-1])
            assert found[-1].error is None
    finally:
        for prover in provers.values():
            await prover.close()


@pytest.mark.parametrize("case", FORGERIES)
async def test_the_constraint_check_names_the_violation(
    circuit: CircuitFiles, tmp_path: Path, case: str
) -> None:
    (honest,) = await witnesses(circuit, [jobs()[0]], tmp_path)
    wtns = forge(honest, tmp_path / "forged.wtns", FORGERIES[case])
    done = _prove(circuit, wtns, tmp_path)
    assert done.returncode == 3
    assert json.loads(done.stderr.splitlines()[-1])["error"]["kind"] == "invalid_witness"
    assert _prove(circuit, honest, tmp_path).returncode == 0


def _prove(circuit: CircuitFiles, wtns: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    out = (
        "--proof",
        str(folder / "proof.json"),
        "--public",
        str(folder / "public.json"),
        "--r1cs",
        str(circuit.r1cs),
    )
    argv = (
        str(Tools.find(os.environ, HOME).native),
        "prove",
        "--zkey",
        str(circuit.zkey),
        "--wtns",
        str(wtns),
        *out,
    )
    return subprocess.run(argv, capture_output=True, text=True, check=False)


async def test_a_consistent_forgery_violates_one_constraint_only(
    circuit: CircuitFiles, tmp_path: Path
) -> None:
    """Splice the honest witnesses of two members: every hash is right, but leaf and path belong to different users."""
    first, second = await witnesses(circuit, jobs()[:2], tmp_path)
    one, two = values(first), values(second)
    # Only main's own signals are exchanged: the hashing of each half stays consistent with itself.
    for places in ([ROOT], [USER, NONCE], [LEAF], list(range(ELEMENTS, ELEMENTS + 4)), [USER, LEAF, NONCE]):
        spliced = forge(first, tmp_path / "spliced.wtns", {place: two[place] for place in places})
        assert values(spliced) != one
        assert _prove(circuit, spliced, tmp_path).returncode == 3, places


async def test_the_epoch_is_part_of_a_constraint(circuit: CircuitFiles, tmp_path: Path) -> None:
    """Another epoch is proved by another witness; the first one's square does not fit it."""
    later: dict[str, Json] = {**jobs()[0], "epoch": "8"}
    honest, other = await witnesses(circuit, [jobs()[0], later], tmp_path)
    differing = [
        place for place, (a, b) in enumerate(zip(values(honest), values(other), strict=True)) if a != b
    ]
    assert differing[0] == EPOCH
    assert len(differing) == 2
    square = differing[1]
    assert values(honest)[square] == 49
    assert (
        _prove(circuit, forge(honest, tmp_path / "f.wtns", {EPOCH: 8, square: 64}), tmp_path).returncode == 0
    )
    assert _prove(circuit, forge(honest, tmp_path / "g.wtns", {EPOCH: 8}), tmp_path).returncode == 3


@pytest.mark.parametrize(
    ("group", "constraint", "change"),
    [
        ("G1", "leaf === leafHash.out;", {"nonce": "4"}),
        ("G2", "pathIndices[i] * (pathIndices[i] - 1) === 0;", {"pathIndices": ["2", "0", "0", "0"]}),
        ("G4", "root === node[depth];", {"root": "1"}),
    ],
)
async def test_it_is_this_constraint_that_refuses(
    circuit: CircuitFiles, tmp_path: Path, group: str, constraint: str, change: dict[str, Json]
) -> None:
    """Without the constraint the forged statement has a proof; with it, it has no witness."""
    source = MEMBERSHIP.read_text()
    assert source.count(constraint) == 1
    mutant = tmp_path / "mutant.circom"
    mutant.write_text(source.replace(constraint, ""))
    forged: dict[str, Json] = {**jobs()[0], **change}
    if group != "G4":
        forged["root"] = root_of(forged)  # so that nothing else is wrong
    async with registry(tmp_path / "home") as circuits:
        await circuits.add_source("mutant", mutant)
        weak = await circuits.resolve("mutant")
        prover = build_provers(os.environ, 1, HOME)["native"]
        try:
            prove = ProveItem(tmp_path / "w", tmp_path / "p", tmp_path / "u")
            for tried, expected in ((circuit, InvalidWitness), (weak, type(None))):
                (result,) = await prover.witness(tried, [WitnessItem(forged, prove.wtns)], silent)
                assert type(result.error) is expected
            (made,) = await prover.prove(weak, [prove], silent)
            assert made.error is None
        finally:
            await prover.close()
