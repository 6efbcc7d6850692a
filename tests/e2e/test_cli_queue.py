"""A request by hand: a circuit of one's own, `provery prove`, and the row that the sender reads."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from temporalio.testing import WorkflowEnvironment

from provery.local.toolchain import find
from tests.e2e.provers_support import jobs
from tests.support.circuits import give_membership
from tests.support.engine import Engine, engine

pytestmark = pytest.mark.asyncio(loop_scope="session")
CIRCUIT = """pragma circom 2.1.0;
template Product() {
    signal input a;
    signal input b;
    signal output c;
    c <== a * b;
}
component main = Product();
"""
PRODUCT = ("--set", "circuit=product", "--set", 'inputs={"a": "3", "b": "11"}')


@dataclass
class Hand:
    """Somebody at a terminal, beside running workers."""

    engine: Engine
    home: Path

    async def __call__(self, *args: str, code: int = 0, stdin: object = None) -> Any:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "provery.cli", *args, "--json",
            env={**self.engine.env, "PYTHONPATH": os.getcwd()},
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, _ = await process.communicate(b"" if stdin is None else json.dumps(stdin).encode())
        assert process.returncode == code, out.decode()
        return json.loads(out)

    def row(self, id: str) -> dict[str, Any]:
        """The row of a job."""
        with closing(sqlite3.connect(self.home / "queue.db")) as db:
            db.row_factory = sqlite3.Row
            found = db.execute("select * from zkp_jobs where id = ?", (id,)).fetchone()
        return dict(found)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def hand(server: WorkflowEnvironment, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hand]:
    home = tmp_path_factory.mktemp("hand")
    await give_membership(home)
    (home / "product.circom").write_text(CIRCUIT)
    prover, node = str(find("provery-prover")), str(find("node"))
    async with engine(server, home, PROVERY_PROVER_BIN=prover, PROVERY_NODE_BIN=node) as running:
        made = Hand(running, home)
        await made("circuits", "add", "product", str(home / "product.circom"))
        yield made


async def test_a_request_by_hand_ends_as_a_done_row(hand: Hand) -> None:
    asked = ("prove", "queue/hand", *PRODUCT, "--set", "id=first")
    (first,) = (await hand(*asked))["units"]
    assert (first["how"], first["outcome"]["status"]) == ("started", "done")
    row = hand.row("first")
    assert (row["status"], row["error"]) == ("done", None)
    assert json.loads(row["request"]) == {"circuit": "product", "inputs": {"a": "3", "b": "11"}}
    assert json.loads(row["public_inputs"]) == {"signals": ["33"]}
    target = hand.home / "proof.json"
    await hand("artifacts", "get", "queue/hand/first", "verify/proof.json", "-o", str(target))
    assert json.loads(target.read_text()) == json.loads(row["proof"])

    (again,) = (await hand(*asked))["units"]
    assert (again["how"], again["outcome"]["outputs"]) == ("recorded", first["outcome"]["outputs"])
    story = await hand("explain", "queue/hand/first")
    assert {a["outcome"] for a in story["attempts"]} == {"done"}
    assert len(story["attempts"]) == len({a["stage"] for a in story["attempts"]}), "nothing is proved twice"
    assert hand.row("first") == row


async def test_requests_from_a_file_are_named_by_their_content_unless_they_have_an_id(hand: Hand) -> None:
    one, two = jobs()[:2]
    file = hand.home / "requests.json"
    file.write_text(json.dumps([one, {**two, "id": "named"}, one]))
    units = (await hand("prove", "queue/hand", "--request", str(file)))["units"]
    assert [u["outcome"]["status"] for u in units] == ["done", "done"], "the same request twice is one unit"
    keys = [u["unit"].removeprefix("queue/hand/") for u in units]
    assert keys[1] == "named"
    for key, job in zip(keys, (one, two), strict=True):
        assert json.loads(hand.row(key)["public_inputs"]) == {n: job[n] for n in ("root", "user", "epoch")}


async def test_a_request_that_breaks_its_circuits_rules_fails_with_its_reason(hand: Hand) -> None:
    (unit,) = (await hand("prove", "queue/hand", "-r", "-", code=3, stdin={**jobs()[2], "root": "5"}))[
        "units"
    ]
    outcome = unit["outcome"]
    assert (outcome["status"], outcome["stage"], outcome["error_kind"]) == (
        "failed", "witness", "InvalidWitness"
    )  # fmt: skip
    assert "assert failed" in outcome["reason"]
    row = hand.row(unit["unit"].removeprefix("queue/hand/"))
    assert (row["status"], row["error"], row["proof"]) == ("failed", outcome["reason"], None)


async def test_another_request_under_a_done_id_is_refused_and_its_row_stays(hand: Hand) -> None:
    await hand("prove", "queue/hand", *PRODUCT, "--set", "id=taken")
    row = hand.row("taken")
    other = {"id": "taken", "circuit": "product", "inputs": {"a": "3", "b": "12"}}
    (unit,) = (await hand("prove", "queue/hand", "-r", "-", code=3, stdin=other))["units"]
    reason = "another request under this id is done; got 'taken'; expected that same request, or a new id"
    assert reason in unit["outcome"]["reason"]
    assert "choose another id" in unit["outcome"]["reason"]
    assert hand.row("taken") == row


P = {"circuit": "product"}


@pytest.mark.parametrize(
    ("request_", "code", "kind", "value", "expected"),
    [
        ({"circuit": "nobody", "inputs": {}}, 5, "UnknownCircuit", "nobody", ""),
        (P | {"inputs": [1]}, 4, "InvalidInput", "a list", "signal → value"),
        (P | {"inputs": {"a": 1}}, 4, "InvalidInput", None, "a, b"),
        (P | {"inputs": {"a": 1, "b": 2, "z": 3}}, 4, "InvalidInput", "z", "a, b"),
        (P | {"inputs": {"a": 1, "b": "x"}}, 4, "InvalidInput", "x", "a decimal string"),
        (P | {"inputs": {"a": 1, "b": -1}}, 4, "InvalidInput", "-1", "0 to 2188824"),
        (P | {"inputs": {"a": 1, "b": [2, 3]}}, 4, "InvalidInput", None, "1 (dimensions [])"),
        (P, 4, "InvalidInput", None, "signal → value"),
        ({"circuit": 7, "inputs": {}}, 4, "InvalidInput", "a number", "text"),
        ({"circuit": "No Such", "inputs": {}}, 4, "InvalidInput", "No Such", "1 to 63"),
        (P | {"id": 7, "inputs": {}}, 4, "InvalidInput", "7", "a string, or nothing"),
        (P | {"id": "../x", "inputs": {}}, 4, "InvalidInput", "../x", "1 to 200 letters"),
        ({"root": "1"}, 4, "InvalidInput", None, "root, user, epoch"),
        (
            [P | {"id": "x", "inputs": {"a": 1, "b": i}} for i in (1, 2)],
            4,
            "InvalidInput",
            "x",
            "one request",
        ),
        ([], 4, "InvalidInput", "an empty array", "a JSON object"),
        (7, 4, "InvalidInput", "7", "a JSON object"),
    ],
)
async def test_a_bad_request_is_refused_with_value_expectation_and_action(
    hand: Hand, request_: object, code: int, kind: str, value: str | None, expected: str
) -> None:
    error = (await hand("prove", "queue/refused", "-r", "-", code=code, stdin=request_))["error"]
    assert error["kind"] == kind
    assert error["value"] == (value and repr(value))
    assert value is None or value in error["message"]
    assert expected in error["expected"]
    assert error["action"], "says what to do"
    assert (await hand("list", "queue/refused"))["units"] == []
