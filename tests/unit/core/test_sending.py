"""One transaction by hand, over the model of a chain: what is offered, and what is not."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from provery.core import sending
from provery.core.errors import ConfigurationError, SinkUnavailable
from provery.core.lanes import Call, Fees, Policy, Receipt, Sent, Signed
from tests.support.lane_model import CONTRACT, FREE, ChainModel, Tx

CALL = Call(CONTRACT, f"{FREE}:1", method="create it")


class Chain(ChainModel):
    """Counts what it is handed, and mines by itself when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.offers: list[tuple[int, int]] = []
        self.handed: Counter[str] = Counter()
        self.automatic = False
        self.later: list[Fees] = []
        """What it charges from the second question on."""

    async def fees(self) -> Fees:
        now = await super().fees()
        if self.later:
            self.base, self.tip = self.later[0].base, self.later.pop(0).priority
        return now

    async def send(self, signed: Signed) -> Sent:
        tx = self.raws[signed.raw]
        self.offers.append((tx.max_fee, tx.tip))
        self.handed[signed.hash] += 1
        said = await super().send(signed)
        if self.automatic and said is Sent.ACCEPTED:
            self.mine()
        return said


def run(chain: Chain, policy: Policy, said: list[str] | None = None) -> Receipt:
    return asyncio.run(sending.send(chain, CALL, policy, (said if said is not None else []).append))


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "POLL_S", 0.01)
    monkeypatch.setattr(sending, "WAIT_S", 0.5)


def pending(chain: Chain, max_fee: int, tip: int) -> None:
    """What an interrupted command has left at the next nonce."""
    chain.pool["0xbefore"] = Tx("0xbefore", 0, "none:", max_fee, tip)


def test_it_offers_what_a_lane_would() -> None:
    chain = Chain()
    chain.automatic = True
    assert run(chain, Policy()).succeeded
    assert chain.offers == [(202, 2)]


def test_what_is_pending_from_before_is_outbid_at_once() -> None:
    chain, said = Chain(), list[str]()
    chain.automatic = True
    pending(chain, 300, 3)
    assert run(chain, Policy(stuck_after_s=60.0), said).succeeded
    assert chain.offers == [(202, 2), (227, 3), (255, 4), (286, 5), (321, 6), (360, 7)][: len(chain.offers)]
    assert chain.offers[-1][0] * 10 >= 300 * 11
    assert len(said) == 1, "only what a node took was sent"


@pytest.mark.parametrize("policy", [Policy(max_fee_per_gas=205), Policy(max_priority_fee_per_gas=2)])
def test_what_the_caps_forbid_to_replace_is_waited_for(policy: Policy) -> None:
    chain, said = Chain(), list[str]()
    with pytest.raises(SinkUnavailable, match="not confirmed"):
        run(chain, Policy(**{**vars(policy), "stuck_after_s": 0.1}), said)
    assert set(chain.offers) == {(202, 2)}
    assert 2 <= sum(chain.handed.values()) <= 6, "it goes to the nodes again, and not all the time"
    assert len(said) == 1
    (left,) = chain.pool.values()
    assert (left.max_fee, left.tip) == (202, 2)


def test_what_the_caps_forbid_to_outbid_is_no_tight_loop() -> None:
    chain = Chain()
    pending(chain, 300, 3)
    with pytest.raises(SinkUnavailable):
        run(chain, Policy(max_fee_per_gas=240, stuck_after_s=0.1))
    assert list(chain.offers[:2]) == [(202, 2), (227, 3)]
    assert set(chain.offers) == {(202, 2), (227, 3)}
    assert len(chain.offers) <= 7
    assert list(chain.pool) == ["0xbefore"]


def test_a_replacement_keeps_the_cap_of_the_tip() -> None:
    chain = Chain()
    with pytest.raises(SinkUnavailable):
        run(chain, Policy(max_priority_fee_per_gas=4, stuck_after_s=0.02))
    assert chain.offers[:3] == [(202, 2), (227, 3), (255, 4)]
    assert max(tip for _, tip in chain.offers) == 4


def test_a_chain_that_gets_too_dear_meanwhile_is_told() -> None:
    chain = Chain()
    chain.later = [Fees(1_000, 2)]
    with pytest.raises(
        ConfigurationError, match=r"gas costs more than is allowed.*1002 wei.*at most 500 wei"
    ):
        run(chain, Policy(max_fee_per_gas=500, stuck_after_s=0.02))
    assert len(chain.offers) == 1


def test_what_lands_while_it_is_asked_about_is_not_sent_again() -> None:
    class Late(Chain):
        async def nonce(self) -> int:
            if self.pool:
                self.mine()
            return await super().nonce()

    chain, said = Late(), list[str]()
    receipt = run(chain, Policy(stuck_after_s=0.02), said)
    assert receipt.succeeded
    assert len(said) == 1
    assert chain.heights(chain.blocks)[1] == {"1": 1}


def test_a_nonce_that_a_stranger_used_is_theirs() -> None:
    class Shared(Chain):
        async def nonce(self) -> int:
            if self.pool and not self.used(self.blocks):
                self.pool.clear()
                self.stranger()
                self.mine()
                self.automatic = True
            return await super().nonce()

    chain, said = Shared(), list[str]()
    assert run(chain, Policy(stuck_after_s=0.02), said).block.number == 2
    assert chain.offers == [(202, 2), (202, 2)], "at the next nonce it starts anew"
    assert "nonce 0 was used by another transaction" in said[1]
