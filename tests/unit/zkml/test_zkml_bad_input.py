"""Every bad request gets a precise 4xx with a stable code, and starts nothing."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from provery.systems.zkml.http.bodies import DEPTH
from provery.systems.zkml.http.problems import CODES
from tests.support.zkml_served import INPUTS, MODEL, Served, prove_body, served, version_of_spending

JSON = {"content-type": "application/json"}


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path, max_values=10_000) as found:
        yield found


def with_inputs(text: str) -> bytes:
    return b'{"model_id":"' + MODEL.encode() + b'","inputs":' + text.encode() + b"}"


def row(*values: object) -> str:
    """Eight inputs, the last ones as given."""
    given = [str(value) for value in values]
    return "[" + ",".join(["0.5"] * (8 - len(given)) + given) + "]"


BAD_BODIES: list[tuple[str, bytes, int, str]] = [
    ("empty", b"", 400, "invalid_json"),
    ("not JSON", b"model_id=spending-model", 400, "invalid_json"),
    ("cut off", with_inputs(row())[:-9], 400, "invalid_json"),
    ("two documents", with_inputs(row()) * 2, 400, "invalid_json"),
    ("a comment", b'{"model_id": 1 /* no */}', 400, "invalid_json"),
    ("a byte order mark", b"\xef\xbb\xbf" + with_inputs(row()), 400, "invalid_json"),
    ("UTF-16", with_inputs(row()).decode().encode("utf-16"), 400, "invalid_json"),
    ("invalid UTF-8", b'{"model_id":"\xff\xfe","inputs":[]}', 400, "invalid_json"),
    ("cut UTF-8", b'{"model_id":"\xe2\x82"}', 400, "invalid_json"),
    ("a list", b"[1,2]", 400, "invalid_request"),
    ("null", b"null", 400, "invalid_request"),
    ("a number", b"1", 400, "invalid_request"),
    ("a name twice", b'{"model_id":"a","model_id":"b","inputs":[]}', 400, "invalid_json"),
    ("a name twice, deep", b'{"model_id":"a","inputs":[{"x":1,"x":2}]}', 400, "invalid_json"),
    ("NaN", with_inputs(row("NaN")), 400, "invalid_json"),
    ("Infinity", with_inputs(row("Infinity")), 400, "invalid_json"),
    ("-Infinity", with_inputs(row("-Infinity")), 400, "invalid_json"),
    ("1e999", with_inputs(row("1e999")), 400, "invalid_input"),
    ("-1e400", with_inputs(row("-1e400")), 400, "invalid_input"),
    ("an integer above every float", with_inputs(row("1" + "0" * 399)), 400, "invalid_input"),
    ("an integer of 5000 digits", with_inputs(row("9" * 5_000)), 400, "invalid_input"),
    ("out of the model's range", with_inputs(row(1e9)), 400, "invalid_input"),
    ("text as an input", with_inputs(row('"0.5"')), 400, "invalid_input"),
    ("true as an input", with_inputs(row("true")), 400, "invalid_input"),
    ("null as an input", with_inputs(row("null")), 400, "invalid_input"),
    ("an object as an input", with_inputs(row("{}")), 400, "invalid_input"),
    ("seven inputs", with_inputs("[" + ",".join(["1"] * 7) + "]"), 400, "wrong_shape"),
    ("nine inputs", with_inputs("[" + ",".join(["1"] * 9) + "]"), 400, "wrong_shape"),
    ("no inputs", with_inputs("[]"), 400, "wrong_shape"),
    ("ragged nesting", with_inputs("[[1,2,3,4],[5,6,7,8]]"), 400, "wrong_shape"),
    ("nested too deep", with_inputs(f"[[{row()}]]"), 400, "wrong_shape"),
    ("mixed nesting", with_inputs("[1,2,3,4,5,6,7,[8]]"), 400, "invalid_input"),
    ("inputs an object", with_inputs('{"0":1}'), 400, "invalid_request"),
    ("inputs text", with_inputs('"0x00"'), 400, "invalid_request"),
    ("inputs null", with_inputs("null"), 400, "invalid_request"),
    ("inputs missing", b'{"model_id":"spending-model"}', 400, "invalid_request"),
    ("model missing", b'{"inputs":[1]}', 400, "invalid_request"),
    ("model a number", b'{"model_id":1,"inputs":[1]}', 400, "invalid_request"),
    ("model null", b'{"model_id":null,"inputs":[1]}', 400, "invalid_request"),
    ("model a list", b'{"model_id":["spending-model"],"inputs":[1]}', 400, "invalid_request"),
    ("tag a number", with_inputs(row())[:-1] + b',"tag":7}', 400, "invalid_request"),
    ("a tag too long", with_inputs(row())[:-1] + b',"tag":"' + b"x" * 300 + b'"}', 400, "invalid_request"),
    ("no time to wait", with_inputs(row())[:-1] + b',"timeout_ms":0}', 400, "invalid_request"),
    ("a bomb of lists", with_inputs("[" * 100_000 + "]" * 100_000), 400, "too_deep"),
    ("a bomb of objects", b'{"a":' * 5_000 + b"1" + b"}" * 5_000, 400, "too_deep"),
    ("an open bomb", b"[" * 150_000, 400, "too_deep"),
    ("just too deep", b'{"a":' + b"[" * DEPTH + b"]" * DEPTH + b"}", 400, "too_deep"),
    ("too many numbers", with_inputs("[" + "0," * 11_000 + "0]"), 413, "too_many_values"),
    ("10^7 numbers", with_inputs("[" + "0," * 10_000_000 + "0]"), 413, "too_large"),
]


@pytest.mark.parametrize(
    ("body", "status", "code"), [case[1:] for case in BAD_BODIES], ids=[case[0] for case in BAD_BODIES]
)
@pytest.mark.parametrize("path", ["/prove", "/v1/proofs"])
async def test_bad_bodies(at: Served, path: str, body: bytes, status: int, code: str) -> None:
    async with at.client() as http:
        answer = await http.post(path, content=body, headers=JSON)
        said = answer.json()
        if path == "/v1/proofs" and code == "invalid_request" and said["code"] == "invalid_request":
            status = 400  # a strict route may find another fault of the same body first
        assert (answer.status_code, said["code"]) == (status, code)
        assert said["success"] is False
        assert said["error"]
        assert len(answer.content) < 2_000
        assert CODES[said["code"]][0] == answer.status_code
    assert at.engine.started == []


NAMES = [
    "nope", "", ".", "..", "../spending-model", "../../etc/passwd", "..%2f..%2fetc%2fpasswd", "/etc/passwd",
    "spending-model/../spending-model", "spending-model.onnx/..", "C:\\models\\spending-model", "spending-model\x00",
    "\x00", "spending-model\n", " spending-model", "SPENDING-MODEL", "x" * 10_000, "%00", "s3://bucket/model",
    "file:///etc/passwd", "\u202emodel", "模型", "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES, ids=[ascii(name)[:30] for name in NAMES])
async def test_model_names_are_names(at: Served, name: str) -> None:
    async with at.client() as http:
        answer = await http.post("/prove", json=prove_body() | {"model_id": name})
        said = answer.json()
        assert (answer.status_code, said["code"]) == (404, "model_not_found")
        assert said["error"].startswith("Model not found: ")
        assert isinstance(said["generation_time_ms"], int)
        assert len(answer.content) < 1_000
        if name.isalnum() and name.isascii() and len(name) < 64:
            assert said["error"] == f"Model not found: {name}"
    assert at.engine.started == []


@pytest.mark.parametrize("name", ["model_id", "tag"])
async def test_lone_surrogates_are_no_text(at: Served, name: str) -> None:
    async with at.client() as http:
        body = json.dumps(prove_body() | {name: "\ud800"}).encode()
        assert b"\\ud800" in body
        answer = await http.post("/prove", content=body, headers=JSON)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_json")
    assert at.engine.started == []


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("application/json", 200),
        ("application/json; charset=utf-8", 200),
        ("application/json;charset=UTF-8", 200),
        ("Application/JSON", 200),
        ("application/vnd.api+json", 200),
        (None, 200),
        ("application/x-www-form-urlencoded", 415),
        ("text/plain", 415),
        ("multipart/form-data; boundary=x", 415),
        ("application/json; charset=utf-16", 415),
        ("application/octet-stream", 415),
        ("json", 415),
    ],
)
async def test_content_types(at: Served, kind: str | None, status: int) -> None:
    async with at.client() as http:
        body = json.dumps(prove_body()).encode()
        answer = await http.post("/prove", content=body, headers={"content-type": kind} if kind else {})
        assert answer.status_code == status
        if status != 200:
            assert answer.json()["code"] == "unsupported_media_type"


async def test_strict_routes_take_no_unknown_fields(at: Served) -> None:
    async with at.client() as http:
        answer = await http.post("/v1/proofs", json=prove_body(wehbook={}))
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
        assert "wehbook" in answer.json()["error"]


@pytest.fixture
async def proved(at: Served) -> dict[str, Any]:
    async with at.client() as http:
        said: dict[str, Any] = (await http.post("/prove", json=prove_body())).json()
        proof = said["proof"]
        return {
            "proof": proof["proof"],
            "model_hash": proof["metadata"]["model_hash"],
            "input_hash": proof["metadata"]["input_hash"],
            "expected_output": said["inference"]["raw_output"],
            "model_id": MODEL,
            "program_io": proof["program_io"],
        }


def flipped(text: str, at: int) -> str:
    return text[:at] + ("0" if text[at] != "0" else "1") + text[at + 1 :]


DOCUMENTED = ("proof", "model_hash", "input_hash", "expected_output")


@pytest.mark.parametrize(
    "names", [DOCUMENTED, ("proof", "model_id", "model_hash", "program_io"), ("proof", "model_id")]
)
async def test_good_proofs_verify(at: Served, proved: dict[str, Any], names: tuple[str, ...]) -> None:
    async with at.client() as http:
        answer = await http.post("/verify", json={name: proved[name] for name in names} | {"extra": 1})
        said = answer.json()
        assert (answer.status_code, said["valid"]) == (200, True), said
        assert isinstance(said["verification_time_ms"], int)


@pytest.mark.parametrize("with_io", [True, False])
@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda p: p | {"proof": flipped(p["proof"], 10)}, "proof_rejected"),
        (lambda p: p | {"proof": flipped(p["proof"], len(p["proof"]) - 1)}, "proof_rejected"),
        (lambda p: p | {"proof": p["proof"][:-2]}, "proof_rejected"),
        (lambda p: p | {"proof": p["proof"] + "00"}, "proof_rejected"),
        (lambda p: p | {"model_hash": "0x" + "11" * 32}, "model_hash_mismatch"),
        (lambda p: p | {"model_hash": flipped(p["model_hash"], 5)}, "model_hash_mismatch"),
        (lambda p: p | {"input_hash": "0x" + "22" * 32}, "input_hash_mismatch"),
        (lambda p: p | {"expected_output": [9.0, *p["expected_output"][1:]]}, "output_mismatch"),
        (lambda p: p | {"expected_output": p["expected_output"][:2]}, "output_mismatch"),
        (lambda p: p | {"expected_output": [*p["expected_output"], 0.0]}, "output_mismatch"),
        (lambda p: p | {"expected_output": []}, "output_mismatch"),
        (lambda p: p | {"model_id": "../x"}, "model_not_found"),
    ],
)
async def test_wrong_claims_are_answered_not_refused(
    at: Served, proved: dict[str, Any], change: Any, code: str, with_io: bool
) -> None:
    claim = change(proved)
    if not with_io:
        del claim["program_io"]
    async with at.client() as http:
        answer = await http.post("/verify", json=claim)
        said = answer.json()
        assert (answer.status_code, said["valid"], said["code"]) == (200, False, code), said
        assert said["error"]
        assert isinstance(said["verification_time_ms"], int)


async def test_a_proof_of_another_model_is_rejected(at: Served, proved: dict[str, Any]) -> None:
    await at.ledger.models.add(version_of_spending("other"))
    async with at.client() as http:
        other = (await http.post("/prove", json=prove_body() | {"model_id": "other"})).json()["proof"]
        claim = proved | {"model_hash": other["metadata"]["model_hash"], "model_id": "other"}
        said = (await http.post("/verify", json=claim)).json()
        assert (said["valid"], said["code"]) == (False, "proof_rejected")
        said = (await http.post("/verify", json=proved | {"model_id": "other"})).json()
        assert (said["valid"], said["code"]) == (False, "model_hash_mismatch")


async def test_public_values_that_were_changed_are_rejected(at: Served, proved: dict[str, Any]) -> None:
    instance = json.loads(bytes.fromhex(proved["program_io"][2:]))
    instance["outputs"][0] += 1
    async with at.client() as http:
        for text in (json.dumps(instance, sort_keys=True), "", "{}", "[]", "\x00"):
            claim = proved | {"program_io": "0x" + (text.encode().hex() or "ff")}
            said = (await http.post("/verify", json=claim)).json()
            assert (said["valid"], said["code"]) == (False, "proof_rejected")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"proof": "0x"}, "invalid_hex"),
        ({"proof": ""}, "invalid_hex"),
        ({"proof": "0x123"}, "invalid_hex"),
        ({"proof": "0xzz"}, "invalid_hex"),
        ({"proof": "deadbeef"}, "invalid_hex"),
        ({"proof": "0x de ad"}, "invalid_hex"),
        ({"proof": "0x\u0660\u0660"}, "invalid_hex"),
        ({"proof": 7}, "invalid_request"),
        ({"proof": None}, "invalid_request"),
        ({"model_hash": "0x1234"}, "invalid_hex"),
        ({"model_hash": 5}, "invalid_request"),
        ({"input_hash": "0x" + "g" * 64}, "invalid_hex"),
        ({"input_hash": []}, "invalid_request"),
        ({"expected_output": "1,2,3"}, "invalid_request"),
        ({"expected_output": ["1"]}, "invalid_input"),
        ({"expected_output": [None]}, "invalid_input"),
        ({"program_io": "hello"}, "invalid_hex"),
        ({"program_io": {}}, "invalid_request"),
        ({"model_hash": None, "model_id": None}, "invalid_request"),
    ],
)
async def test_malformed_claims_are_refused(
    at: Served, proved: dict[str, Any], change: dict[str, Any], code: str
) -> None:
    async with at.client() as http:
        answer = await http.post("/verify", json=proved | change)
        assert (answer.status_code, answer.json()["code"]) == (400, code), answer.json()


@pytest.mark.parametrize("claim", [{}, {"proof": "0x00"}, {"model_hash": "0x" + "00" * 32}])
async def test_claims_need_a_proof_and_a_model(at: Served, claim: dict[str, Any]) -> None:
    async with at.client() as http:
        assert (await http.post("/verify", json=claim)).json()["code"] == "invalid_request"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/proofs/nope", 404, "proof_not_found"),
        ("GET", "/v1/proofs/" + "0" * 64, 404, "proof_not_found"),
        ("GET", "/v1/proofs/" + "G" * 64, 404, "proof_not_found"),
        ("GET", "/v1/proofs/..%2f..%2fetc", 404, "not_found"),
        ("GET", "/v1/proofs/" + "x" * 9_000, 404, "proof_not_found"),
        ("GET", "/v1/proofs/%00", 404, "proof_not_found"),
        ("GET", "/v1/proofs/" + "0" * 64 + "?wait=nan", 400, "bad_request"),
        ("GET", "/v1/proofs/" + "0" * 64 + "?wait=-1", 400, "bad_request"),
        ("GET", "/v1/proofs/" + "0" * 64 + "?wait=1e999", 400, "bad_request"),
        ("GET", "/v1/proofs/" + "0" * 64 + "/events", 404, "proof_not_found"),
        ("DELETE", "/v1/proofs/" + "0" * 64, 404, "proof_not_found"),
        ("GET", "/v1/proofs?cursor=x", 400, "bad_request"),
        ("GET", "/v1/proofs?cursor=-1", 400, "bad_request"),
        ("GET", "/v1/proofs?cursor=" + "9" * 30, 400, "bad_request"),
        ("GET", "/v1/proofs?limit=0", 400, "bad_request"),
        ("GET", "/v1/proofs?limit=101", 400, "bad_request"),
        ("GET", "/v1/proofs?limit=%D9%A1", 400, "bad_request"),
        ("GET", "/v1/proofs?all=maybe", 400, "bad_request"),
        ("GET", "/v1/models/nope", 404, "model_not_found"),
        ("GET", "/v1/models/spending-model?version=x", 400, "bad_request"),
        ("GET", "/v1/models/spending-model?version=" + "0" * 64, 404, "model_not_found"),
        ("GET", "/prove", 405, "method_not_allowed"),
        ("PUT", "/v1/proofs", 405, "method_not_allowed"),
        ("GET", "/nowhere", 404, "not_found"),
    ],
)
async def test_paths_and_queries(at: Served, method: str, path: str, status: int, code: str) -> None:
    async with at.client() as http:
        answer = await http.request(method, path)
        assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb"])
async def test_idempotency_keys_are_bounded(at: Served, key: str) -> None:
    async with at.client() as http:
        answer = await http.post("/v1/proofs", json=prove_body(), headers={"idempotency-key": key})
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
    assert at.engine.started == []


async def test_refused_requests_cost_no_tokens(tmp_path: Path) -> None:
    async with served(tmp_path, anonymous_per_minute=1) as at, at.client() as http:
        for _ in range(5):
            await http.post("/prove", json=prove_body() | {"inputs": INPUTS[:3]})
        assert (await http.post("/prove", json=prove_body())).status_code == 200
