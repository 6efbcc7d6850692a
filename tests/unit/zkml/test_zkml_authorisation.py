"""Who may do what: every route by every kind of key; whose address counts; limits by key and address."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute

from provery.core.access import ADMIN, PROVE, READ, VERIFY
from tests.support.zkml_served import Served, prove_body, served

PROOF = "/v1/proofs/" + "0" * 64
ROUTES: list[tuple[str, str, Any, tuple[str, ...], int]] = [
    # method, path, body, scopes that are right, status where it is allowed
    ("GET", "/health", None, (), 200),
    ("GET", "/models", None, (READ, PROVE), 200),
    ("POST", "/prove", prove_body(), (PROVE,), 200),
    ("POST", "/verify", {"proof": "0x00", "model_id": "spending-model"}, (VERIFY,), 200),
    ("POST", "/v1/proofs", prove_body(), (PROVE,), 202),
    ("GET", "/v1/proofs", None, (READ, PROVE), 200),
    ("GET", PROOF, None, (READ, PROVE), 404),
    ("GET", f"{PROOF}/events", None, (READ, PROVE), 404),
    ("DELETE", PROOF, None, (PROVE,), 404),
    ("GET", "/v1/models/spending-model", None, (READ, PROVE), 200),
    ("GET", "/v1/webhook-secret", None, (PROVE,), 200),
]
SCOPES = (PROVE, VERIFY, READ)


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path, webhook_secret="s" * 32) as found:
        yield found


def test_every_route_is_in_the_matrix(at: Served) -> None:
    there = {
        (method, route.path)
        for route in at.api.routes.routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    }
    named = {
        (method, path.replace("0" * 64, "{id}").replace("spending-model", "{id}"))
        for method, path, *_ in ROUTES
    }
    assert there == named


@pytest.mark.parametrize("anonymous", [True, False])
@pytest.mark.parametrize(("method", "path", "body", "right", "allowed"), ROUTES)
async def test_the_matrix(
    tmp_path: Path, method: str, path: str, body: Any, right: tuple[str, ...], allowed: int, anonymous: bool
) -> None:
    async with served(tmp_path, webhook_secret="s" * 32, anonymous=anonymous) as at, at.client() as http:

        async def status(headers: dict[str, str]) -> int:
            answer = await http.request(method, path, json=body, headers=headers)
            if answer.status_code in (401, 403):
                assert answer.json()["success"] is False
                assert answer.json()["code"] == {401: "unauthorized", 403: "forbidden"}[answer.status_code]
                assert ("www-authenticate" in answer.headers) == (answer.status_code == 401)
            return answer.status_code

        open_to_all = not right
        needs_key = path == "/v1/webhook-secret"
        assert await status({}) == (allowed if open_to_all or (anonymous and not needs_key) else 401)
        key, secret = await at.ledger.access.keys.add("gone", SCOPES)
        await at.ledger.access.keys.revoke(key.id)
        revoked = {"authorization": f"Bearer {secret}"}
        assert await status(revoked) == (allowed if open_to_all else 401)
        for garbage in (
            "Bearer nonsense",
            "Basic dXNlcjpwYXNz",
            "Bearer",
            "",
            f"bearer {secret}x",
            "Bearer a b",
        ):
            assert await status({"authorization": garbage}) == (allowed if open_to_all else 401)
        assert await status({"x-api-key": "nonsense"}) == (allowed if open_to_all else 401)
        wrong = [scope for scope in SCOPES if scope not in right]
        if not open_to_all:
            assert await status(await at.key(*wrong)) == 403
        for scope in (*right, ADMIN):
            headers = await at.key(scope)
            assert await status(headers) == allowed
            assert await status({"x-api-key": headers["authorization"].removeprefix("Bearer ")}) == allowed
    assert len(at.engine.started) <= 1


async def test_proofs_are_shown_to_those_who_asked(at: Served) -> None:
    mine, other, admin = await at.key(PROVE), await at.key(PROVE, READ), await at.key(ADMIN)
    async with at.client() as http:
        id = (await http.post("/v1/proofs", json=prove_body(), headers=mine)).json()["id"]
        statuses = [
            (await http.get(f"/v1/proofs/{id}", headers=who)).status_code for who in (mine, other, {}, admin)
        ]
        assert statuses == [200, 404, 404, 200]
        assert (await http.get(f"/v1/proofs/{id}/events", headers=other)).status_code == 404
        assert (await http.delete(f"/v1/proofs/{id}", headers=other)).status_code == 404
        listed = [(await http.get("/v1/proofs", headers=who)).json()["proofs"] for who in (mine, other, {})]
        assert [len(one) for one in listed] == [1, 0, 0]
        assert (await http.get("/v1/proofs?all=true", headers=mine)).status_code == 403
        every = (await http.get("/v1/proofs?all=true", headers=admin)).json()["proofs"]
        assert [one["id"] for one in every] == [id]
        assert every[0]["who"].startswith("key:")
        # Who asks for the same attaches to it, and sees it from then on.
        assert (await http.post("/v1/proofs", json=prove_body(), headers=other)).json()["id"] == id
        assert (await http.get(f"/v1/proofs/{id}", headers=other)).status_code == 200
    assert len(at.engine.started) == 1


async def test_what_goes_on_chain_needs_a_key(at: Served) -> None:
    async with at.client() as http:
        refused = await http.post("/v1/proofs", json=prove_body(attest="hash"))
        assert (refused.status_code, refused.json()["code"]) == (401, "unauthorized")
        assert at.engine.started == []
        key = await at.key(PROVE)
        taken = await http.post("/v1/proofs", json=prove_body(attest="hash"), headers=key)
        assert taken.status_code == 202
        done = (await http.get(f"/v1/proofs/{taken.json()['id']}?wait=5", headers=key)).json()
        assert done["result"]["attestation"] == {"transaction": "0xabc", "block": "7"}
    assert at.engine.started[0].unit.params["attest"] == "hash"


async def test_weights_and_turns_are_by_key(at: Served) -> None:
    async with at.client() as http:
        await http.post("/prove", json=prove_body(0.1), headers=await at.key(PROVE, weight=3.0))
        await http.post("/prove", json=prove_body(0.2))
    keyed, anonymous = (work.plan for work in at.engine.started)
    [key] = await at.ledger.access.keys.all()
    assert (keyed.fairness, keyed.fairness_weight) == (key.id, 3.0)
    assert (anonymous.fairness, anonymous.fairness_weight) == ("ip:127.0.0.1", 1.0)


async def test_ten_proofs_a_minute_by_address_and_hits_are_free(tmp_path: Path) -> None:
    async with served(tmp_path, anonymous_per_minute=10) as at:
        async with at.client("192.0.2.1") as http:
            for i in range(10):
                assert (await http.post("/prove", json=prove_body(i / 16))).status_code == 200
            refused = await http.post("/prove", json=prove_body(0.99))
            assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
            assert 1 <= int(refused.headers["retry-after"]) <= 7
            assert (await http.post("/prove", json=prove_body(0.0))).status_code == 200
            keyed = await http.post("/prove", json=prove_body(0.99), headers=await at.key(PROVE))
            assert keyed.status_code == 200
            limited = await at.key(PROVE, per_minute=1.0)
            codes = [
                (await http.post("/prove", json=prove_body(9 + i), headers=limited)).status_code
                for i in range(2)
            ]
            assert codes == [200, 429]
        async with at.client("192.0.2.2") as http:
            assert (await http.post("/prove", json=prove_body(0.98))).status_code == 200
        assert at.figure("provery_zkml_refused_total", code="rate_limited") == 2


@pytest.mark.parametrize(
    ("peer", "headers", "who"),
    [
        ("203.0.113.5", {}, "ip:203.0.113.5"),
        ("203.0.113.5", {"x-forwarded-for": "198.51.100.1"}, "ip:203.0.113.5"),
        ("203.0.113.5", {"x-real-ip": "198.51.100.1"}, "ip:203.0.113.5"),
        ("10.1.2.3", {"x-forwarded-for": "198.51.100.1"}, "ip:198.51.100.1"),
        ("10.1.2.3", {"x-real-ip": "198.51.100.1"}, "ip:198.51.100.1"),
        ("10.1.2.3", {"x-forwarded-for": "6.6.6.6, 198.51.100.1"}, "ip:198.51.100.1"),
        ("10.1.2.3", {"x-forwarded-for": "198.51.100.1, 10.9.9.9"}, "ip:198.51.100.1"),
        ("10.1.2.3", {"x-forwarded-for": "nonsense"}, "ip:10.1.2.3"),
        ("10.1.2.3", {"x-forwarded-for": ""}, "ip:10.1.2.3"),
        ("10.1.2.3", {}, "ip:10.1.2.3"),
        ("::ffff:10.1.2.3", {"x-forwarded-for": "198.51.100.1"}, "ip:198.51.100.1"),
        ("2001:db8:1:2:3:4:5:6", {}, "ip:2001:db8:1:2::/64"),
        ("10.1.2.3", {"x-forwarded-for": "[2001:db8::1]"}, "ip:2001:db8::/64"),
    ],
)
async def test_addresses(tmp_path: Path, peer: str, headers: dict[str, str], who: str) -> None:
    async with served(tmp_path, trusted_proxies="10.0.0.0/8") as at, at.client(peer) as http:
        await http.post("/prove", json=prove_body(), headers=headers)
        [entry] = [row.entry async for row in at.ledger.access.audit.rows()]
        assert entry.who == who
