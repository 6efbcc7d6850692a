"""One paid request per period, whatever is killed, lost, late or cancelled: what the network counted is what counts."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio

from provery.core.errors import ProverTimeout, ProverUnavailable, ProveryError
from provery.provers.process import given_up
from provery.provers.sp1 import client as calls
from provery.provers.sp1.proto import types_pb2
from tests.support.sp1_network import Lost, Network
from tests.support.sp1_rig import Rig, rig

FULFILLED = (types_pb2.FULFILLED, types_pb2.EXECUTED)
ASSIGNED = (types_pb2.ASSIGNED, types_pb2.EXECUTED)
WAITING = (types_pb2.REQUESTED, types_pb2.UNEXECUTED)
KINDS: dict[str, dict[str, Any]] = {
    "as specified": {},
    "random names": {"names_by_hash": False},
    "slow list": {"names_by_hash": False, "lists_after": 0.2},
    "slow list, no nonces": {"names_by_hash": False, "lists_after": 0.2, "counts_nonces": False},
}
NETWORKS = pytest.mark.parametrize("network", KINDS.values(), ids=KINDS)


@pytest.fixture(autouse=True)
def _short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "PATIENCE_S", 1.0)


@pytest_asyncio.fixture
async def net(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    async with rig(tmp_path, Network(**getattr(request, "param", {}))) as made:
        yield made


async def until_done(net: Rig, period: int = 1600, **how: Any) -> int:
    """Run the stage again as the engine does; returns how many attempts it took."""
    for attempt in range(1, 40):
        try:
            await net.prove(period, **how)
            return attempt
        except (ProverUnavailable, ProverTimeout):
            await asyncio.sleep(0.05)
    raise AssertionError("no end")


async def child(net: Rig, period: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.sp1_child", str(net.folder), str(period)),
        env={**os.environ, **net.env},
        cwd=Path(__file__).parents[3],
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )


class TestKilled:
    """SIGKILL of the process that proves; the network itself pulls the trigger, so the moment is exact."""

    @NETWORKS
    @pytest.mark.parametrize("hook", ["arriving", "answering"])
    async def test_around_the_request(self, tmp_path: Path, network: dict[str, Any], hook: str) -> None:
        async with rig(tmp_path, Network(**network)) as net:

            async def kill(_: Network, body: types_pb2.RequestProofRequestBody) -> None:
                setattr(net.network, hook, None)
                victim.send_signal(signal.SIGKILL)
                await victim.wait()
                if hook == "arriving":  # it never got this far
                    raise Lost

            setattr(net.network, hook, kill)
            victim = await child(net, 1600)
            assert await victim.wait() == -signal.SIGKILL
            before = await net.submissions(1600)
            assert [row["receipt"] for row in before] == [None]  # intended, not recorded
            assert len(net.network.accepted) == (1 if hook == "answering" else 0)
            await until_done(net)
            assert net.network.paid == len(net.network.accepted) == 1
            after = await net.submissions(1600)
            assert len(after) == 1
            assert after[0]["receipt"]["how"] == ("adopted" if hook == "answering" else "requested")
            assert len(set(net.network.bodies)) == 1  # whatever was sent again was the very same

    async def test_before_the_intent(self, net: Rig) -> None:
        def kill(method: str) -> str:
            if method == "GetNonce" and net.network.programs:
                net.network.chaos = lambda method: ""
                victim.send_signal(signal.SIGKILL)
                return "before"
            return ""

        net.network.chaos = kill
        victim = await child(net, 1600)
        assert await victim.wait() == -signal.SIGKILL
        assert (await net.submissions(1600), net.network.bodies) == ([], [])
        await until_done(net)
        assert net.network.paid == 1

    async def test_while_waiting(self, net: Rig) -> None:
        net.network.ends = lambda request, age: ASSIGNED
        victim = await child(net, 1600)
        while not any(row["receipt"] for row in await net.submissions(1600)):
            await asyncio.sleep(0.02)
        victim.send_signal(signal.SIGKILL)
        await victim.wait()
        net.network.ends = lambda request, age: FULFILLED
        await until_done(net)
        assert (net.network.paid, len(net.network.bodies)) == (1, 1)


class TestLost:
    @NETWORKS
    @pytest.mark.parametrize("hook", ["arriving", "answering"])
    @pytest.mark.parametrize("times", [1, 4])
    async def test_answers(self, tmp_path: Path, network: dict[str, Any], hook: str, times: int) -> None:
        async with rig(tmp_path, Network(**network)) as net:
            left = [times]

            async def lose(_: Network, body: types_pb2.RequestProofRequestBody) -> None:
                if left[0]:
                    left[0] -= 1
                    raise Lost

            setattr(net.network, hook, lose)
            await until_done(net)
            assert net.network.paid == len(net.network.accepted) == 1
            assert len(set(net.network.bodies)) == 1

    async def test_a_ledger_that_is_away_when_the_receipt_is_written(
        self, net: Rig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from provery.core.errors import LedgerUnavailable

        real = net.ledger.receipt

        async def away(*given: Any, **more: Any) -> None:
            monkeypatch.setattr(net.ledger, "receipt", real)
            raise LedgerUnavailable("away")

        monkeypatch.setattr(net.ledger, "receipt", away)
        with pytest.raises(LedgerUnavailable):
            await net.prove(1600)
        await until_done(net)
        assert (net.network.paid, len(net.network.bodies)) == (1, 1)

    @pytest.mark.parametrize("seed", range(12))
    async def test_anything_at_random(self, tmp_path: Path, seed: int) -> None:
        """Every call may be lost before or after it was acted on, attempts end at any moment, two periods at once."""
        chance = random.Random(seed)
        network = Network(
            names_by_hash=chance.random() < 0.5,
            lists_after=chance.choice((0.0, 0.2)),
            chaos=lambda method: chance.choices(("", "before", "after"), (8, 1, 1))[0],
        )
        async with rig(tmp_path, network) as net:

            async def attempts(period: int) -> None:
                for _ in range(60):
                    token = given_up.set(lambda: False)
                    try:
                        async with asyncio.timeout(chance.uniform(0.05, 3)):
                            await net.prove(period)
                        return
                    except (ProveryError, TimeoutError):
                        await asyncio.sleep(0.02)
                    finally:
                        given_up.reset(token)
                raise AssertionError("no end")

            await asyncio.gather(attempts(1600), attempts(1601))
            inputs = {row["detail"]["stdin_uri"] for p in (1600, 1601) for row in await net.submissions(p)}
            paid = Counter(request.body.stdin_uri for request in net.network.accepted if request.paid)
            assert (net.network.paid, set(paid.values()), set(paid)) == (2, {1}, inputs)


class TestShared:
    """Several workers, one account."""

    async def test_nonces_are_fought_for_and_every_period_is_paid_once(self, net: Rig) -> None:
        others = [net.prover, net.another(), net.another()]
        keys = [f"period-{n}" for n in range(6)]

        async def one(number: int, key: str) -> None:
            for _ in range(30):
                try:
                    await net.prove(1600, key=key, by=others[number % 3])
                    return
                except ProverUnavailable:
                    await asyncio.sleep(0.05)
            raise AssertionError("no end")

        await asyncio.gather(*(one(number, key) for number, key in enumerate(keys)))
        assert net.network.paid == len(net.network.accepted) == 6
        requested = Counter(request.body.stdin_uri for request in net.network.accepted)
        assert set(requested.values()) == {1}
        for other in others[1:]:
            await other.close()

    @pytest.mark.parametrize("kind", list(KINDS)[:3])  # this needs a network that takes a nonce once
    async def test_a_worker_taken_for_dead_and_its_successor_make_one_request(
        self, tmp_path: Path, kind: str
    ) -> None:
        async with rig(tmp_path, Network(**KINDS[kind])) as net:
            successor = net.another()
            await asyncio.gather(net.prove(1600), net.prove(1600, by=successor))
            assert net.network.paid == len(net.network.accepted) == 1
            await successor.close()

    async def test_a_foreign_request_may_take_the_nonce_of_a_crashed_one(self, net: Rig) -> None:
        async def lose(network: Network, body: types_pb2.RequestProofRequestBody) -> None:
            raise Lost

        net.network.arriving = lose
        with pytest.raises(ProverUnavailable, match="not clear yet"):
            await net.prove(1600)
        net.network.arriving = None
        sender = bytes.fromhex((await net.submissions(1600))[0]["detail"]["requester"][2:])
        net.network.nonces[sender] += 1
        began = time.monotonic()
        await until_done(net)
        assert time.monotonic() - began > 1  # not before the network has had its time to list it
        assert net.network.paid == len(net.network.accepted) == 1
        one, other = await net.submissions(1600)
        assert "nonce" in one["receipt"]["unpaid"]
        assert other["receipt"]["how"] == "requested"


class TestCancelled:
    async def cancelled(self, net: Rig, when: str = "GetProofRequestStatus") -> float:
        net.network.calls.clear()
        task = asyncio.create_task(net.prove(1600))
        while when not in net.network.calls:
            await asyncio.sleep(0.01)
        began = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return time.monotonic() - began

    async def test_a_cancelled_unit_cancels_its_request(self, net: Rig) -> None:
        net.network.ends = lambda request, age: WAITING
        assert await self.cancelled(net) < 2
        assert (net.network.paid, len(net.network.accepted)) == (0, 1)
        assert (await net.submissions(1600))[0]["receipt"]["unpaid"] == "the unit was cancelled"
        net.network.ends = lambda request, age: FULFILLED
        await net.prove(1600)  # reopened
        assert (net.network.paid, len(net.network.accepted)) == (1, 2)

    async def test_one_that_a_prover_has_taken_is_paid_and_used_later(self, net: Rig) -> None:
        net.network.ends = lambda request, age: ASSIGNED
        assert await self.cancelled(net) < 2
        net.network.ends = lambda request, age: FULFILLED
        await net.prove(1600)
        assert (net.network.paid, len(net.network.bodies)) == (1, 1)

    async def test_a_draining_worker_leaves_it(self, net: Rig) -> None:
        net.network.ends = lambda request, age: WAITING
        token = given_up.set(lambda: False)
        await self.cancelled(net)
        given_up.reset(token)
        assert "CancelRequest" not in net.network.calls
        net.network.ends = lambda request, age: FULFILLED
        await net.prove(1600)
        assert (net.network.paid, len(net.network.accepted)) == (1, 1)

    async def test_a_silent_network_does_not_delay_it(self, net: Rig) -> None:
        net.network.ends = lambda request, age: WAITING

        def silent(method: str) -> str:
            return "before" if method in ("GetNonce", "CancelRequest") and net.network.accepted else ""

        net.network.chaos = silent
        assert await self.cancelled(net) < 2
        net.network.chaos = lambda method: ""
        net.network.ends = lambda request, age: FULFILLED
        await net.prove(1600)
        assert net.network.paid == 1

    async def test_a_request_under_way_is_cancelled_too(self, net: Rig) -> None:
        net.network.ends = lambda request, age: WAITING
        accepted = asyncio.Event()

        async def hang(network: Network, body: types_pb2.RequestProofRequestBody) -> None:
            accepted.set()
            await asyncio.sleep(5)

        net.network.answering = hang
        task = asyncio.create_task(net.prove(1600))
        await accepted.wait()
        began = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - began < 2
        assert (net.network.paid, len(net.network.accepted)) == (0, 1)
        net.network.answering = None
        net.network.ends = lambda request, age: FULFILLED
        await net.prove(1600)
        assert (net.network.paid, len(net.network.accepted)) == (1, 2)

    async def test_an_operator_may_cancel_it_by_other_means(self, net: Rig) -> None:
        net.network.ends = lambda request, age: WAITING
        task = asyncio.create_task(net.prove(1600))
        while not net.network.accepted:
            await asyncio.sleep(0.01)
        request = net.network.accepted[0]
        request.cancelled, request.deadline = True, int(time.time()) - 1
        with pytest.raises(ProverTimeout, match="was cancelled"):
            await task
        net.network.ends = lambda request, age: FULFILLED
        await net.prove(1600)
        assert (net.network.paid, len(net.network.accepted)) == (1, 2)


async def test_a_new_key_finds_the_old_accounts_request(tmp_path: Path) -> None:
    async def lose(network: Network, body: types_pb2.RequestProofRequestBody) -> None:
        raise Lost

    slow = Network(names_by_hash=False, lists_after=60.0, answering=lose)
    async with rig(tmp_path, slow, PROVERY_SP1_SETTLE_S="60") as net:
        with pytest.raises(ProverUnavailable):
            await net.prove(1600)
        net.network.answering, net.network.lists_after = None, 0.0
        net.env["SP1_PRIVATE_KEY"] = "11" * 32
        changed = net.another()
        await net.prove(1600, by=changed)
        assert (net.network.paid, len(net.network.accepted)) == (1, 1)
        await changed.close()


async def test_a_refusal_costs_nothing_and_is_not_for_ever(net: Rig) -> None:
    net.network.denies = (grpc.StatusCode.INVALID_ARGUMENT, "no")
    for _ in range(2):
        with pytest.raises(ProveryError, match="refuses to prove"):
            await net.prove(1600)
    assert [row["cost"] for row in await net.submissions(1600)] == [0, 0]
    net.network.denies = None
    await net.prove(1600)
    assert net.network.paid == 1
