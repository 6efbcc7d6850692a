"""The three provers on the membership circuit: they agree on what is a proof, and on what is none."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from provery.core.errors import (
    ArtifactCorrupt,
    ConfigurationError,
    InvalidInput,
    InvalidKey,
    InvalidWitness,
    ProofRejected,
    ProveryError,
)
from provery.core.ports import CircomProver, CircuitFiles, ProveItem, VerifyItem, WitnessItem
from provery.core.types import Json
from provery.provers import available, build_provers
from tests.e2e.provers_support import FIELD, HOME, jobs, membership

NAMES = [name for name, why in available(os.environ, HOME).items() if not why] or ["native", "snarkjs"]


def silent(step: str, done: float, total: float) -> None:
    """Nobody watches."""


@pytest.fixture
async def circuit() -> CircuitFiles:
    return await membership()


@pytest.fixture
async def provers() -> AsyncIterator[dict[str, CircomProver]]:
    made = build_provers(os.environ, 1, HOME)
    yield made
    for prover in made.values():
        await prover.close()


def files(folder: Path, name: str) -> tuple[WitnessItem, ProveItem, VerifyItem]:
    wtns, proof, public = (folder / f"{name}.{kind}" for kind in ("wtns", "proof.json", "public.json"))
    return WitnessItem({}, wtns), ProveItem(wtns, proof, public), VerifyItem(proof, public)


async def witness(
    prover: CircomProver, circuit: CircuitFiles, job: dict[str, Json], out: Path
) -> ProveryError | None:
    (result,) = await prover.witness(circuit, [WitnessItem(job, out)], silent)
    return result.error


async def first_error(prover: CircomProver, circuit: CircuitFiles, item: ProveItem) -> ProveryError | None:
    """The error of a proof, whether it came for the item or for the whole call."""
    try:
        (result,) = await prover.prove(circuit, [item], silent)
    except ProveryError as error:
        return error
    return result.error


async def test_every_proof_verifies_under_every_prover(
    circuit: CircuitFiles, provers: dict[str, CircomProver], tmp_path: Path
) -> None:
    made: list[VerifyItem] = []
    digests = set()
    for name in NAMES:
        for i, job in enumerate(jobs()[:2]):
            _, prove, verify = files(tmp_path, f"{name}{i}")
            assert await witness(provers[name], circuit, job, prove.wtns) is None
            (result,) = await provers[name].prove(circuit, [prove], silent)
            assert result.error is None
            assert result.usage.cpu_s > 0
            assert json.loads(verify.public.read_text()) == [job["root"], job["user"], job["epoch"]]
            assert result.detail["public"] == [job["root"], job["user"], job["epoch"]]
            proof = json.loads(verify.proof.read_text())
            assert (proof["protocol"], proof["curve"]) == ("groth16", "bn128")
            made.append(verify)
            if i == 0:
                digests.add(prove.wtns.read_bytes())
    assert len(digests) == 1  # the same inputs give the same witness, byte for byte
    for name in NAMES:
        assert [r.error for r in await provers[name].verify(circuit, made)] == [None] * len(made)


async def test_a_batch_keeps_order_and_a_bad_item_does_not_fail_its_neighbours(
    circuit: CircuitFiles, provers: dict[str, CircomProver], tmp_path: Path
) -> None:
    requests: list[dict[str, Json]] = [dict(job) for job in jobs()[:6]]
    requests[1]["leaf"] = "1"
    requests[3] = {"root": "1"}
    requests[4]["user"] = str(FIELD)
    for name in NAMES:
        items = [files(tmp_path, f"{name}{i}") for i in range(6)]
        found = await provers[name].witness(
            circuit, [replace(w, inputs=r) for (w, _, _), r in zip(items, requests, strict=True)], silent
        )
        assert [type(r.error) for r in found] == [
            type(None), InvalidWitness, type(None), InvalidInput, InvalidInput, type(None)
        ]  # fmt: skip
        items[1][1].wtns.write_bytes(b"junk")
        proved = await provers[name].prove(
            circuit, [p for i, (_, p, _) in enumerate(items) if i in (0, 1, 2)], silent
        )
        assert [type(r.error) for r in proved] == [type(None), InvalidWitness, type(None)]
        assert not items[1][2].proof.exists()
        assert json.loads(items[2][2].public.read_text())[1] == requests[2]["user"]


@pytest.mark.parametrize("name", NAMES)
async def test_hostile_inputs_are_refused_and_the_child_lives_on(
    circuit: CircuitFiles, provers: dict[str, CircomProver], tmp_path: Path, name: str
) -> None:
    good: dict[str, Json] = dict(jobs()[0])
    hostile: list[dict[str, Json]] = [
        good | {"user": str(FIELD)},
        good | {"user": "-1"},
        good | {"user": 1.5},
        good | {"user": 2**53 + 2.0},
        good | {"user": True},
        good | {"user": None},
        good | {"user": ""},
        good | {"user": "1e3"},
        good | {"user": "\x00\x1b[31m"},
        good | {"user": "9" * 100_000},
        good | {"user": {"a": "1"}},
        good | {"user": ["1", "2"]},
        good | {"pathIndices": []},
        good | {"pathElements": ["1"] * 1000},
        good | {"constructor": "1"},
        good | {"__proto__": "1"},
        good | {"\ud7ff" * 10_000: "1"},
        {k: v for k, v in good.items() if k != "nonce"},
        {},
    ]
    found = await provers[name].witness(
        circuit, [WitnessItem(inputs, tmp_path / f"{i}.wtns") for i, inputs in enumerate(hostile)], silent
    )
    assert [i for i, result in enumerate(found) if type(result.error) is not InvalidInput] == []
    assert all(len(str(result.error)) < 4_200 for result in found)
    assert os.listdir(tmp_path) == []
    assert await witness(provers[name], circuit, good, tmp_path / "good.wtns") is None


@pytest.mark.parametrize("name", NAMES)
async def test_a_finished_proof_is_bound_to_its_public_signals(
    circuit: CircuitFiles, provers: dict[str, CircomProver], tmp_path: Path, name: str
) -> None:
    _, prove, verify = files(tmp_path, "p")
    assert await witness(provers[name], circuit, jobs()[0], prove.wtns) is None
    assert (await provers[name].prove(circuit, [prove], silent))[0].error is None
    root, user, epoch = json.loads(verify.public.read_text())
    proof = json.loads(verify.proof.read_text())
    forgeries: list[tuple[object, object]] = [
        (proof, [root, user, str(int(epoch) + 1)]),
        (proof, [root, str(int(user) + 1), epoch]),
        (proof, [user, root, epoch]),
        (proof, [root, user, str(int(epoch) + FIELD)]),  # the same number in the field, another on paper
        (proof, [root, user]),
        (proof, [root, user, epoch, "0"]),
        (proof, []),
        (proof, "x"),
        (proof, [root, user, None]),
        (proof | {"pi_a": proof["pi_c"]}, [root, user, epoch]),
        (proof | {"pi_a": ["0", "0", "1"]}, [root, user, epoch]),
        (proof | {"pi_a": ["1", "1", "1"]}, [root, user, epoch]),
        (proof | {"pi_b": None}, [root, user, epoch]),
        ({}, [root, user, epoch]),
        ([], [root, user, epoch]),
    ]
    items = []
    for i, (forged, public) in enumerate(forgeries):
        item = VerifyItem(tmp_path / f"{i}.proof", tmp_path / f"{i}.public")
        item.proof.write_text(json.dumps(forged))
        item.public.write_text(json.dumps(public))
        items.append(item)
    found = await provers[name].verify(circuit, [*items, verify])
    assert [i for i, result in enumerate(found[:-1]) if type(result.error) is not ProofRejected] == []
    assert found[-1].error is None


@pytest.mark.parametrize("name", NAMES)
async def test_damaged_keys_are_refused(
    circuit: CircuitFiles, provers: dict[str, CircomProver], tmp_path: Path, name: str
) -> None:
    _, prove, _ = files(tmp_path, "p")
    assert await witness(provers[name], circuit, jobs()[0], prove.wtns) is None
    key = circuit.zkey.read_bytes()
    for text, error, bad in (
        ("cut off", InvalidKey, key[: len(key) // 2]),
        ("empty", InvalidKey, b""),
        ("junk", InvalidKey, b"\x00" * 4096),
        ("not its digest", ArtifactCorrupt, key),
    ):
        path = tmp_path / f"{text}.zkey"
        path.write_bytes(bad)
        digest = "0" * 64 if error is ArtifactCorrupt else ""
        assert (
            type(await first_error(provers[name], replace(circuit, zkey=path, zkey_sha256=digest), prove))
            is error
        )
    assert (await provers[name].prove(circuit, [prove], silent))[0].error is None


async def test_a_prover_that_is_not_installed_says_what_to_do(circuit: CircuitFiles, tmp_path: Path) -> None:
    made = build_provers({"PROVERY_RAPIDSNARK_BIN": str(tmp_path / "nothing")}, 1, HOME)
    with pytest.raises(ConfigurationError, match="make rapidsnark"):
        await made["rapidsnark"].prove(circuit, [files(tmp_path, "p")[1]], silent)
