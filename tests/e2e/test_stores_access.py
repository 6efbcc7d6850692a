"""Keys, buckets, webhook calls, idempotency keys and models in both ledgers."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update

from provery.core.access import Delivery
from provery.core.errors import InvalidInput, LedgerUnavailable
from provery.core.models import ModelSettings, ModelVersion, Visibility, version_of
from provery.core.types import ArtifactRef
from provery.stores import access_keys, buckets, idempotency
from provery.stores.access_tables import API_KEYS, BUCKETS, IDEMPOTENCY
from provery.stores.database import Database
from provery.stores.ledger import SqlLedger, open_ledger
from tests.support.ledgers import children, new_ledger

pytestmark = pytest.mark.e2e


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return new_ledger(request.param, tmp_path)


@pytest.fixture
async def ledger(url: str) -> AsyncIterator[SqlLedger]:
    opened = open_ledger(url)
    yield opened
    await opened.close()


@pytest.fixture
async def replica(url: str, ledger: SqlLedger) -> AsyncIterator[SqlLedger]:
    opened = open_ledger(url)
    yield opened
    await opened.close()


def count_reads(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    reads: list[object] = []
    read = Database.read

    async def counted(self: Database, work: Any, **more: Any) -> Any:
        reads.append(work)
        return await read(self, work, **more)

    monkeypatch.setattr(Database, "read", counted)
    return reads


# Keys


async def test_a_key_is_found_by_its_secret_only(url: str, ledger: SqlLedger, replica: SqlLedger) -> None:
    keys = ledger.access.keys
    key, secret = await keys.add("alice", ["read", "prove"], weight=2, per_minute=60)
    other, _ = await keys.add("bob", ["verify"])
    assert (key.name, key.scopes, key.weight, key.per_minute, key.revoked_at) == (
        "alice", ("prove", "read"), 2.0, 60.0, None,
    )  # fmt: skip
    assert await keys.find(secret) == await replica.access.keys.find(secret) == key
    assert await keys.all() == [key, other]
    last = "b" if secret[-1] == "a" else "a"
    swapped = f"pk_{other.id}_{secret.rpartition('_')[2]}"
    unknown = f"pk_{'0' * 16}_{secret.rpartition('_')[2]}"
    for wrong in (secret[:-1] + last, swapped, unknown):
        assert await keys.find(wrong) is None
    kept = await ledger._database.read(lambda c: str(c.execute(select(API_KEYS)).all()))
    assert secret.rpartition("_")[2] not in kept


async def test_malformed_secrets_cost_no_query(ledger: SqlLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    _, secret = await ledger.access.keys.add("alice", ["read"])
    reads = count_reads(monkeypatch)
    hostile = [
        "",
        "pk_",
        secret.upper(),
        secret + "a",
        secret + "\n",
        " " + secret,
        "x" * 10**6,
        "\x00\ud800",
    ]
    for wrong in hostile:
        assert await ledger.access.keys.find(wrong) is None
    assert reads == []


async def test_a_second_look_costs_no_query_and_many_share_one(
    ledger: SqlLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, secret = await ledger.access.keys.add("alice", ["read"])
    reads = count_reads(monkeypatch)
    assert await asyncio.gather(*(ledger.access.keys.find(secret) for _ in range(50))) == [key] * 50
    assert len(reads) == 1
    await asyncio.sleep(access_keys.MEMORY_S + 0.05)
    assert await ledger.access.keys.find(secret) == key
    assert len(reads) == 2


async def test_a_revoked_key_is_known_as_such_everywhere_within_a_second(
    ledger: SqlLedger, replica: SqlLedger
) -> None:
    key, secret = await ledger.access.keys.add("alice", ["read"])
    assert await replica.access.keys.find(secret) == key
    assert await ledger.access.keys.revoke(key.id)
    revoked = time.monotonic()
    here = await ledger.access.keys.find(secret)
    assert here is not None
    assert here.revoked_at is not None
    while (there := await replica.access.keys.find(secret)) == key:
        assert time.monotonic() - revoked < 1
        await asyncio.sleep(0.02)
    assert there == here
    assert await ledger.access.keys.revoke(key.id), "safe to repeat"
    assert await ledger.access.keys.all() == [here], "the first time stays"
    assert not await ledger.access.keys.revoke("nobody")


async def test_an_absent_ledger_is_not_remembered(ledger: SqlLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    key, secret = await ledger.access.keys.add("alice", ["read"])

    async def absent(self: Database, work: Any, **_: Any) -> Any:
        raise LedgerUnavailable("away")

    with monkeypatch.context() as patched:
        patched.setattr(Database, "read", absent)
        for _ in range(2):
            with pytest.raises(LedgerUnavailable):
                await ledger.access.keys.find(secret)
    assert await ledger.access.keys.find(secret) == key


async def test_the_memory_is_bounded(ledger: SqlLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_keys, "MEMORY_KEYS", 10)
    keys = ledger.access.keys
    assert isinstance(keys, access_keys.SqlApiKeys)
    for number in range(40):
        assert await keys.find(f"pk_{number:016x}_{'a' * 52}") is None
    assert len(keys._memory) == 10


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": " "}, {"name": "x" * 101}, {"name": "a\nb"}, {"name": "\ud800"}, {"scopes": []}, {"scopes": ["root"]},
        {"weight": 0.0}, {"weight": math.nan}, {"weight": 1e9}, {"per_minute": -1.0}, {"per_minute": math.inf},
    ],
)  # fmt: skip
async def test_nonsense_makes_no_key(tmp_path: Path, wrong: dict[str, Any]) -> None:
    ledger = open_ledger(new_ledger("sqlite", tmp_path))
    given = {"name": "alice", "scopes": ["read"], **wrong}
    with pytest.raises(InvalidInput):
        await ledger.access.keys.add(given.pop("name"), given.pop("scopes"), **given)
    assert await ledger.access.keys.all() == []
    await ledger.close()


# Buckets


async def test_a_bucket_empties_refuses_and_refills(ledger: SqlLedger) -> None:
    take = ledger.access.buckets.take
    for left in (2.0, 1.0, 0.0):
        taken = await take("ip:1", per_minute=600, burst=3)
        assert taken.allowed
        assert left <= taken.remaining < left + 1
    first = await take("ip:1", per_minute=6, burst=3)
    assert not first.allowed
    assert 0 < first.retry_after_s <= 10.002
    second = await take("ip:1", per_minute=600, burst=3)
    assert not second.allowed
    assert 0 < second.retry_after_s <= 0.102
    assert (await take("ip:2", per_minute=6, burst=3)).allowed, "another bucket"
    await asyncio.sleep(second.retry_after_s)
    assert (await take("ip:1", per_minute=600, burst=3)).allowed


async def test_tokens_come_back_up_to_the_burst(ledger: SqlLedger) -> None:
    store = ledger.access.buckets
    assert (await store.take("b", per_minute=0.001, burst=5, cost=4)).remaining == 1
    await store.give_back("b", 2)
    taken = await store.take("b", per_minute=0.001, burst=5, cost=3)
    assert taken.allowed
    assert taken.remaining == pytest.approx(0, abs=1e-3)
    await store.give_back("b", 50)
    taken = await store.take("b", per_minute=0.001, burst=5, cost=0)
    assert taken.remaining == pytest.approx(5)
    await store.give_back("nobody's", 50)
    assert (await store.take("nobody's", per_minute=1, burst=5, cost=0)).remaining == 5
    # A smaller burst holds from now on.
    assert (await store.take("b", per_minute=0.001, burst=2, cost=0)).remaining == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"bucket": ""}, {"bucket": "x" * 201}, {"bucket": "a\x00"}, {"bucket": "\ud800"}, {"per_minute": 0.0},
        {"per_minute": math.nan}, {"cost": 6.0}, {"cost": -1.0}, {"cost": math.nan}, {"burst": math.inf},
        {"burst": math.nan}, {"burst": 0.5},
    ],
)  # fmt: skip
async def test_no_bucket_for_nonsense(tmp_path: Path, wrong: dict[str, Any]) -> None:
    ledger = open_ledger(new_ledger("sqlite", tmp_path))
    given = {"bucket": "b", "per_minute": 1.0, "burst": 5.0, "cost": 1.0, **wrong}
    with pytest.raises(InvalidInput):
        await ledger.access.buckets.take(given.pop("bucket"), **given)
    await ledger.close()


TAKER = """
    import asyncio
    async def main(ledger, who):
        async def one(n):
            return (await ledger.access.buckets.take(f"b{n % 3}", per_minute=1e-6, burst=40)).allowed
        done = []
        for start in range(0, 150, 3):
            done += await asyncio.gather(*(one(start + n) for n in range(3)))
        print(*(sum(done[n::3]) for n in range(3)))
"""


async def test_several_processes_never_take_one_token_twice(url: str, ledger: SqlLedger) -> None:
    told = await children(TAKER, url, 3)
    by_bucket = zip(*([int(n) for n in text.split()] for text in told), strict=True)
    assert [sum(counts) for counts in by_bucket] == [40, 40, 40]


HAMMER = """
    import asyncio, time
    async def main(ledger, who):
        async def one(n):
            got = 0
            while time.time() < started + 2.0:
                got += (await ledger.access.buckets.take("b", per_minute=6000, burst=20)).allowed
            return got
        started = time.time()
        done = await asyncio.gather(*(one(n) for n in range(4)))
        print(sum(done), started, time.time())
"""


async def test_several_processes_take_what_the_time_refills(url: str, ledger: SqlLedger) -> None:
    told = [[float(word) for word in text.split()] for text in await children(HAMMER, url, 3)]
    got = sum(count for count, _, _ in told)
    lasted = max(ended for _, _, ended in told) - min(started for _, started, _ in told)
    assert 0.9 * (20 + 100 * 2.0) <= got <= 20 + 100 * lasted + 0.1


async def test_groups_of_new_and_known_buckets_do_not_block_each_other(
    ledger: SqlLedger, replica: SqlLedger
) -> None:
    async def both(who: SqlLedger, numbers: list[int]) -> list[bool]:
        takes = (who.access.buckets.take(f"b{n}", per_minute=1e-6, burst=1) for n in numbers)
        return [taken.allowed for taken in await asyncio.gather(*takes)]

    started = time.monotonic()
    for round_ in range(10):
        numbers = list(range(20 * round_, 20 * round_ + 40))
        here, there = await asyncio.gather(both(ledger, numbers), both(replica, numbers[::-1]))
        new = numbers if round_ == 0 else numbers[20:]
        one_each = [a + b for a, b in zip(here, there[::-1], strict=True)]
        assert one_each == [int(n in new) for n in numbers]
    assert time.monotonic() - started < 8, "no deadlock had to be found"


async def test_one_bucket_in_one_group_is_taken_in_order(ledger: SqlLedger) -> None:
    asked = (ledger.access.buckets.take("b", per_minute=1e-6, burst=5) for _ in range(8))
    taken = await asyncio.gather(*asked)
    assert [t.allowed for t in taken] == [True] * 5 + [False] * 3
    assert [round(t.remaining) for t in taken] == [4, 3, 2, 1, 0, 0, 0, 0]


async def test_time_is_the_databases(url: str, ledger: SqlLedger, replica: SqlLedger) -> None:
    store = ledger.access.buckets
    assert (await store.take("b", per_minute=60, burst=10, cost=10)).allowed
    # The database's clock went back an hour: nobody waits for an hour, and nobody gets one's tokens at once.
    move = update(BUCKETS).where(BUCKETS.c.name == "b").values(at=BUCKETS.c.at + 3600)
    await ledger._database.write(lambda c: c.execute(move))
    refused = await replica.access.buckets.take("b", per_minute=60, burst=10)
    assert not refused.allowed
    assert refused.retry_after_s <= 1.001
    await asyncio.sleep(refused.retry_after_s)
    taken = await store.take("b", per_minute=60, burst=10)
    assert taken.allowed
    assert taken.remaining < 1


async def test_full_buckets_are_collected_and_others_are_not(
    ledger: SqlLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buckets, "COLLECT_EVERY", 20)
    store = ledger.access.buckets
    await asyncio.gather(*(store.take(f"quick{n}", per_minute=6e6, burst=10) for n in range(200)))
    await store.take("slow", per_minute=1e-3, burst=10)
    await asyncio.sleep(0.01)
    for _ in range(130):
        await store.take("slow", per_minute=1e-3, burst=10)
    names = await ledger._database.read(lambda c: list(c.execute(select(BUCKETS.c.name)).scalars()))
    assert names == ["slow"]


async def test_collecting_and_taking_at_once_agree(url: str, ledger: SqlLedger, replica: SqlLedger) -> None:
    """Buckets that refill at once are collected all the time while they are taken from."""

    async def hammer(who: SqlLedger, number: int) -> None:
        store = who.access.buckets
        assert isinstance(store, buckets.SqlBuckets)
        for n in range(60):
            store._until_collection = 1
            assert (await store.take(f"b{(n + number) % 5}", per_minute=6e8, burst=1)).remaining <= 1

    await asyncio.gather(*(hammer(who, n) for n, who in enumerate([ledger, replica] * 4)))


# Webhook calls


def delivery(name: str = "d1", due_at: float = 100.0) -> Delivery:
    return Delivery(name, "https://h.example/hook?token=abc", '{"a":1}', due_at=due_at)


async def test_a_call_is_owed_leased_put_off_and_done(ledger: SqlLedger, replica: SqlLedger) -> None:
    owed = ledger.access.deliveries
    assert await owed.owe(delivery())
    assert not await owed.owe(replace(delivery(), body="other"))
    assert await owed.lease(99.0, 30.0) == []
    assert await owed.lease(100.0, 30.0) == [delivery()]
    assert await replica.access.deliveries.lease(129.0, 30.0) == [], "leased"
    assert await replica.access.deliveries.lease(130.0, 30.0) == [delivery()], "its holder is dead"
    await owed.later("d1", 200.0, "503 of postgres://u:hunter22@h")
    await owed.later("d1", 200.0, "repeated")
    assert await owed.lease(199.0, 30.0) == []
    (again,) = await owed.lease(200.0, 30.0)
    assert again == replace(delivery(), attempts=1, due_at=200.0)
    await owed.done("d1", "sent: 200")
    await owed.done("d1", "gave up")
    await owed.later("d1", 300.0, "late")
    assert await owed.lease(10_000.0, 30.0) == []
    assert not await owed.owe(delivery()), "it stays known"
    kept = await ledger._database.read(lambda c: str(c.exec_driver_sql("SELECT * FROM deliveries").all()))
    assert "sent: 200" in kept
    assert "hunter22" not in kept


LEASER = """
    import asyncio
    async def main(ledger, who):
        for _ in range(200):
            found = await ledger.access.deliveries.lease(1000.0, 30.0, limit=2)
            print(*(d.id for d in found))
"""


async def test_no_two_lease_one_call(url: str, ledger: SqlLedger) -> None:
    for number in range(300):
        await ledger.access.deliveries.owe(delivery(f"d{number}", due_at=float(number)))
    (first,) = await ledger.access.deliveries.lease(1000.0, 30.0, limit=1)
    assert first.id == "d0", "the longest due first"
    told = " ".join(await children(LEASER, url, 3)).split()
    assert len(told) == 299
    assert {first.id, *told} == {f"d{n}" for n in range(300)}


# Idempotency


async def test_a_key_means_its_first_request_until_it_expires(ledger: SqlLedger, replica: SqlLedger) -> None:
    remember = ledger.access.idempotency.remember
    assert await remember("key:a", "k", "r1") == "r1"
    assert await replica.access.idempotency.remember("key:a", "k", "r2") == "r1"
    assert await remember("key:b", "k", "r3") == "r3", "another's"
    assert await remember("key:a", "short", "r1", ttl_s=0.05) == "r1"
    await asyncio.sleep(0.06)
    assert await remember("key:a", "short", "r2", ttl_s=60) == "r2"
    assert await remember("key:a", "short", "r3", ttl_s=60) == "r2"
    answers = await asyncio.gather(
        *(
            who.access.idempotency.remember("key:a", "race", f"r{n}")
            for n in range(20)
            for who in (ledger, replica)
        )
    )
    assert len(set(answers)) == 1
    for wrong in ("", "x" * 256):
        with pytest.raises(InvalidInput):
            await remember("key:a", wrong, "r")


async def test_what_has_expired_is_collected(ledger: SqlLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "COLLECT_EVERY", 10)
    remember = ledger.access.idempotency.remember
    for number in range(60):
        await remember("key:a", f"old{number}", "r", ttl_s=-1.0)
    for number in range(140):
        await remember("key:a", f"new{number % 5}", "r")
    left = await ledger._database.read(
        lambda c: c.execute(select(func.count()).select_from(IDEMPOTENCY)).scalar()
    )
    assert left == 5


# Models


def version(model: str = "spending", file: str = "aa", at: float = 0.0, **settings: Any) -> ModelVersion:
    return ModelVersion(
        model, file * 32, "0x" + file * 32, ModelSettings(**settings), (1, 8), (1, 3),
        {"model.onnx": ArtifactRef(f"file:///a/{file}", file * 32, 800, "model.onnx")}, {"verifier": "0xab"}, at,
    )  # fmt: skip


async def test_the_newest_added_version_is_current(ledger: SqlLedger, replica: SqlLedger) -> None:
    models = ledger.models
    one, two = version(at=1.0), version(at=2.0, scale=10, visibility=Visibility.HASHED)
    assert await models.get("spending") is None
    assert [await models.add(one), await models.add(two)] == [True, True]
    assert await replica.models.get("spending") == two
    assert await models.get("spending", one.version) == one
    assert await models.add(one) is False
    assert await models.get("spending") == one
    assert await models.by_hash("0x" + "AA" * 32) == [two, one]
    assert await models.add(replace(one, facts={"verifier": "0xother"}, added_at=9.0)) is False
    assert await models.get("spending") == one, "a version never changes"
    found = await models.get("spending", two.version)
    assert found is not None
    assert found.version == two.version == version_of(two.sha256, two.settings)
    assert found.settings.visibility is Visibility.HASHED


async def test_retired_models_are_refused_and_their_proofs_verify(ledger: SqlLedger) -> None:
    models = ledger.models
    for name in ("b-model", "a_model", "C", "other"):
        await models.add(version(name, "bb", at=3.0))
    assert [v.model for v in await models.current()] == ["C", "a_model", "b-model", "other"]
    assert await models.retire("other")
    assert not await models.retire("other")
    assert not await models.retire("nobody")
    assert await models.get("other") is None
    assert [v.model for v in await models.current()] == ["C", "a_model", "b-model"]
    assert "other" in [v.model for v in await models.by_hash("0x" + "bb" * 32)]
    assert await models.add(version("other", "bb")) is False
    assert await models.get("other") is not None


async def test_names_that_nothing_can_have_are_unknown(ledger: SqlLedger) -> None:
    for name in ("", "../x", "a\x00b", "\ud800", "x" * 10_000, "'; DROP TABLE models; --"):
        assert await ledger.models.get(name) is None
        assert await ledger.models.get("spending", name or "\x00") is None
        assert await ledger.models.by_hash(name) == []
        assert await ledger.models.retire(name) is False


async def test_a_model_without_a_time_gets_one(ledger: SqlLedger) -> None:
    await ledger.models.add(version())
    found = await ledger.models.get("spending")
    assert found is not None
    assert time.time() - 60 < found.added_at <= time.time()


async def test_many_that_add_at_once_agree(ledger: SqlLedger, replica: SqlLedger) -> None:
    news = await asyncio.gather(*(who.models.add(version(at=1.0)) for who in [ledger, replica] * 6))
    assert news.count(True) == 1
    assert await ledger.models.current() == [version(at=1.0)]
