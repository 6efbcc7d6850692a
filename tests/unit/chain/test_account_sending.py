"""An account on a real chain: a transaction is sent twice, its answer is lost, or nodes refuse it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from provery.core.errors import ConfigurationError, InvalidInput, SinkUnavailable
from provery.core.lane_records import Kind, Transaction
from provery.core.lane_rules import Price, bumped_price
from provery.core.lanes import Chain, Fees, Policy, Sent, Unsigned
from tests.support.anvil import GWEI, Anvil, address
from tests.support.chain_account import landed, transfer
from tests.support.rpc_proxy import Exchange, Reply, RpcProxy, edits, lose_answers, lose_requests, refuses

pytestmark = pytest.mark.e2e


async def test_sending_is_safe_to_repeat(anvil: Anvil, chain: Chain) -> None:
    await anvil.automine(False)
    signed = await transfer(chain, 0)
    assert [await chain.send(signed) for _ in range(3)] == [Sent.ACCEPTED] * 3
    assert await anvil.pending() == [signed.hash]
    await anvil.mine()
    assert await chain.send(signed) is Sent.NONCE_USED
    assert await landed(chain, signed)
    assert await anvil.count(chain.sender) == 1


async def test_a_lost_answer_is_no_second_transaction(anvil: Anvil, proxy: RpcProxy, spoilt: Chain) -> None:
    await anvil.automine(False)
    proxy.fault = lose_answers("eth_sendRawTransaction")
    signed = await transfer(spoilt, 0)
    # the node has it: it is found by its hash
    assert await spoilt.send(signed) is Sent.ACCEPTED
    assert await anvil.pending() == [signed.hash]
    await anvil.mine()
    assert await anvil.count(spoilt.sender) == 1


async def test_a_lost_answer_and_silence_after_it(anvil: Anvil, proxy: RpcProxy, spoilt: Chain) -> None:
    await anvil.automine(False)
    proxy.fault = lose_answers("eth_sendRawTransaction", "eth_getTransactionByHash", "eth_chainId")
    signed = await transfer(spoilt, 0)
    with pytest.raises(SinkUnavailable):
        await spoilt.send(signed)
    proxy.fault = None
    assert await spoilt.send(signed) is Sent.ACCEPTED
    assert await anvil.pending() == [signed.hash]


async def test_a_lost_answer_with_another_endpoint(anvil: Anvil, proxy: RpcProxy, doubled: Chain) -> None:
    await anvil.automine(False)
    proxy.fault = lose_answers("eth_sendRawTransaction")
    signed = await transfer(doubled, 0)
    assert await doubled.send(signed) is Sent.ACCEPTED
    assert await anvil.pending() == [signed.hash]


async def test_a_lost_answer_that_was_mined_meanwhile(anvil: Anvil, proxy: RpcProxy, doubled: Chain) -> None:
    proxy.fault = lose_answers("eth_sendRawTransaction")
    signed = await transfer(doubled, 0)
    assert await doubled.send(signed) in (Sent.NONCE_USED, Sent.ACCEPTED)
    assert await landed(doubled, signed)
    assert await anvil.count(doubled.sender) == 1


async def test_a_lost_request_is_not_sent(anvil: Anvil, proxy: RpcProxy, spoilt: Chain) -> None:
    await anvil.automine(False)
    proxy.fault = lose_requests("eth_sendRawTransaction")
    signed = await transfer(spoilt, 0)
    with pytest.raises(SinkUnavailable):
        await spoilt.send(signed)
    assert await anvil.pending() == []


async def test_an_answer_with_another_hash(anvil: Anvil, proxy: RpcProxy, spoilt: Chain) -> None:
    other = {"jsonrpc": "2.0", "result": "0x" + "ab" * 32}
    wrong = edits(
        lambda method, said: other | {"id": said["id"]} if method == "eth_sendRawTransaction" else None
    )
    proxy.fault = wrong
    signed = await transfer(spoilt, 0)
    # the node took it all the same, as its pool shows
    assert await spoilt.send(signed) is Sent.ACCEPTED

    async def not_sent(exchange: Exchange) -> Reply | None:
        if exchange.methods == ["eth_sendRawTransaction"]:
            return Reply(json.dumps(other | {"id": exchange.calls[0]["id"]}).encode())
        return await exchange.forward()

    proxy.fault = not_sent
    with pytest.raises(SinkUnavailable, match="another transaction's hash"):
        await spoilt.send(await transfer(spoilt, 1))


async def test_a_replacement_has_to_pay_more(anvil: Anvil, chain: Chain) -> None:
    await anvil.automine(False)
    stuck = Unsigned(0, address(1), "0x", 1, 21_000, 10 * GWEI, GWEI)
    first = await chain.sign(stuck)
    assert await chain.send(first) is Sent.ACCEPTED
    shy = await chain.sign(replace(stuck, value=2))
    assert await chain.send(shy) is Sent.UNDERPRICED
    pending = Transaction(
        first.hash, "", stuck.nonce, Kind.CALL, stuck.gas, stuck.max_fee, stuck.max_priority_fee, 0.0
    )
    offer = bumped_price([pending], Fees(0, 0), Policy(bump_percent=10), None)
    assert offer == Price(11 * GWEI, 11 * GWEI // 10)
    second = await chain.sign(replace(stuck, max_fee=offer.max_fee, max_priority_fee=offer.max_priority_fee))
    assert await chain.send(second) is Sent.ACCEPTED
    assert await anvil.pending() == [second.hash]
    await anvil.mine()
    assert await landed(chain, second)
    assert await chain.receipt(first.hash) is None
    assert await chain.send(first) is Sent.NONCE_USED


async def test_a_fee_below_the_base_fee(anvil: Anvil, chain: Chain) -> None:
    await anvil.automine(False)
    await anvil.next_base_fee(100 * GWEI)
    await anvil.mine()
    outcome = await chain.send(await transfer(chain, 0, (GWEI, 1)))
    # a node takes it and waits, or refuses it
    assert outcome in (Sent.ACCEPTED, Sent.UNDERPRICED)
    await anvil.mine()
    assert await anvil.count(chain.sender) == 0


async def test_an_account_without_funds(anvil: Anvil, chain: Chain) -> None:
    await anvil.set_balance(chain.sender, 1_000)
    assert await chain.send(await transfer(chain, 0)) is Sent.NO_FUNDS


async def test_a_nonce_that_a_stranger_used(anvil: Anvil, chain: Chain) -> None:
    ours = await transfer(chain, 0)
    theirs = await transfer(chain, 0, value=7)
    assert await chain.send(theirs) is Sent.ACCEPTED
    assert await chain.send(ours) is Sent.NONCE_USED
    assert await chain.receipt(ours.hash) is None
    assert not await chain.known(ours.hash)
    assert await chain.nonce() == 1


async def test_a_transaction_that_no_repetition_mends(anvil: Anvil, chain: Chain) -> None:
    with pytest.raises(InvalidInput, match="intrinsic gas"):
        await chain.send(await chain.sign(Unsigned(0, address(1), "0x", 1, 20_000, 10 * GWEI, GWEI)))


async def test_a_transaction_of_another_chain(anvil: Anvil, tmp_path: Path, chain: Chain) -> None:
    async with Anvil(tmp_path / "other", chain_id=5) as other:
        elsewhere = await other.open(0)
        signed = await transfer(elsewhere, 0)
        await elsewhere.close()
    with pytest.raises(ConfigurationError, match="chain id"):
        await chain.send(signed)


@pytest.mark.parametrize("message", ["txpool is full", "nonce too high", "Internal error"])
async def test_a_refusal_that_says_nothing_certain(
    anvil: Anvil, proxy: RpcProxy, spoilt: Chain, doubled: Chain, message: str
) -> None:
    proxy.fault = refuses("eth_sendRawTransaction", -32000, message)
    signed = await transfer(spoilt, 0)
    with pytest.raises(SinkUnavailable, match=message):
        await spoilt.send(signed)
    assert await doubled.send(signed) is Sent.ACCEPTED
