"""An account on a real chain: what is sent, what is asked, and what became of it."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from provery.chain import metrics, open_chain
from provery.core.errors import ConfigurationError, Reverted, SinkUnavailable
from provery.core.lane_rules import first_price
from provery.core.lanes import Call, Chain, Contract, Policy, Sent, Unsigned
from tests.support.anvil import GWEI, Anvil, account, address
from tests.support.chain_account import (
    ECHO_AT,
    ECHO_REVERT_AT,
    ONCE_AT,
    insufficient,
    landed,
    mined,
    transfer,
)
from tests.support.rpc_proxy import RpcProxy, edits

pytestmark = pytest.mark.e2e


async def test_a_transaction_from_fees_to_receipt(anvil: Anvil, chain: Chain) -> None:
    assert (chain.chain_id, chain.sender) == (31_337, address(0))
    offer = first_price(await chain.fees(), Policy(), None)
    assert offer is not None
    before = await chain.balance()
    signed = await chain.sign(
        Unsigned(await chain.nonce(), address(1), "0x", 5, 21_000, offer.max_fee, offer.max_priority_fee)
    )
    assert not await chain.known(signed.hash)
    assert await chain.receipt(signed.hash) is None
    assert await chain.send(signed) is Sent.ACCEPTED
    receipt = await mined(chain, signed)
    assert receipt.succeeded
    assert receipt.hash == signed.hash
    assert receipt.gas_used == 21_000
    head = await chain.head()
    assert receipt.block == head
    assert (head.number, len(head.parent)) == (1, 66)
    assert await chain.nonce() == 1
    assert await chain.balance() == before - 5 - 21_000 * receipt.gas_price
    assert await chain.known(signed.hash)
    gauge = metrics.BALANCE.labels("31337", chain.sender)
    assert gauge._value.get() == pytest.approx(before - 5 - 21_000 * receipt.gas_price)


async def test_a_chain_without_eip_1559(tmp_path: Path) -> None:
    async with Anvil(tmp_path, options=["--hardfork", "berlin"]) as anvil:
        chain = await anvil.open()
        fees = await chain.fees()
        assert not fees.dynamic
        assert fees.base > 0
        offer = first_price(fees, Policy(), None)
        assert offer is not None
        signed = await chain.sign(
            Unsigned(0, address(1), "0x", 1, 21_000, offer.max_fee, offer.max_priority_fee, dynamic=False)
        )
        assert await chain.send(signed) is Sent.ACCEPTED
        receipt = await mined(chain, signed)
        assert (receipt.succeeded, receipt.gas_price) == (True, offer.max_fee)
        await chain.close()


async def test_fees_are_of_the_next_block(anvil: Anvil, chain: Chain) -> None:
    await anvil.next_base_fee(70 * GWEI)
    await anvil.mine()
    fees = await chain.fees()
    # an empty block lowers the base fee by an eighth
    assert fees.base == 70 * GWEI - 70 * GWEI // 8
    assert fees.dynamic


async def test_fees_without_the_newer_methods(proxy: RpcProxy, spoilt: Chain) -> None:
    full = await spoilt.fees()

    def without(*missing: str):  # type: ignore[no-untyped-def]
        error = {"code": -32601, "message": "the method does not exist"}
        return edits(
            lambda method, answer: (
                {"jsonrpc": "2.0", "id": answer["id"], "error": error} if method in missing else None
            )
        )

    proxy.fault = without("eth_maxPriorityFeePerGas")
    assert (await spoilt.fees()).base == full.base
    proxy.fault = without("eth_maxPriorityFeePerGas", "eth_feeHistory")
    fees = await spoilt.fees()
    assert fees.base >= full.base
    assert fees.priority == 0
    assert fees.dynamic


@pytest.mark.parametrize("bad", ["-0x1", 5, None, "0x" + "f" * 70, [], "NaN"])
async def test_fees_that_are_nonsense(proxy: RpcProxy, spoilt: Chain, bad: object) -> None:
    proxy.fault = edits(
        lambda method, answer: {**answer, "result": bad} if method == "eth_maxPriorityFeePerGas" else None
    )
    with pytest.raises(SinkUnavailable, match="quantity"):
        await spoilt.fees()
    proxy.fault = edits(
        lambda method, answer: (
            {**answer, "result": {"baseFeePerGas": [bad]}} if method == "eth_feeHistory" else None
        )
    )
    with pytest.raises(SinkUnavailable):
        await spoilt.fees()


async def test_reading(anvil: Anvil, chain: Chain) -> None:
    assert await chain.read(ECHO_AT, "0x123456") == bytes.fromhex("123456")
    assert await chain.read(address(5), "0x") == b""
    await anvil.mine(3)
    assert await chain.read(ECHO_AT, "0x01", block=hex(2)) == b"\x01"


async def test_a_refused_call_names_its_error(chain: Chain) -> None:
    data = "0x" + insufficient(3, 5)
    with pytest.raises(Reverted, match=r"the contract refuses the call 0x\w{8}: Insufficient\(3, 5\)"):
        await chain.read(ECHO_REVERT_AT, data)
    with pytest.raises(Reverted, match=r"the contract refuses settle: Insufficient\(3, 5\)"):
        await chain.estimate(Call(ECHO_REVERT_AT, data, method="settle"))
    with pytest.raises(Reverted, match="unknown custom error 0xdeadbeef"):
        await chain.read(ECHO_REVERT_AT, "0xdeadbeef")
    with pytest.raises(Reverted, match="no reason given"):
        await chain.read(ECHO_REVERT_AT, "0x")


async def test_estimates(chain: Chain) -> None:
    assert await chain.estimate(Call(address(1), "0x", value=1)) == 21_000
    assert await chain.estimate(Call(ECHO_AT, "0x" + "00" * 100)) > 21_000


async def test_why_a_transaction_reverted(anvil: Anvil, chain: Chain) -> None:
    call = Call(ECHO_REVERT_AT, "0x" + insufficient(1, 2))
    signed = await chain.sign(Unsigned(0, call.to, call.data, 0, 100_000, 10 * GWEI, GWEI))
    await chain.send(signed)
    receipt = await mined(chain, signed)
    assert not receipt.succeeded
    assert await chain.why_reverted(call, receipt) == "Insufficient(1, 2)"
    # years later, too, and after a restart of the node
    await anvil.mine(5)
    await anvil.kill_saved()
    await anvil.start()
    assert await chain.receipt(signed.hash) == receipt
    assert await chain.why_reverted(call, receipt) == "Insufficient(1, 2)"


async def test_why_the_second_of_two_in_one_block_reverted(anvil: Anvil, chain: Chain) -> None:
    """The state before the block would let it pass: what came before it in the block counts."""
    rival = await anvil.open(1)
    await anvil.automine(False)
    call = Call(ONCE_AT, "0x")
    theirs = await rival.sign(Unsigned(0, ONCE_AT, "0x", 0, 100_000, 90 * GWEI, 50 * GWEI))
    ours = await chain.sign(Unsigned(0, ONCE_AT, "0x", 0, 100_000, 90 * GWEI, GWEI))
    await rival.send(theirs)
    await chain.send(ours)
    await anvil.mine()
    receipt = await mined(chain, ours)
    assert not receipt.succeeded
    assert await landed(rival, theirs)
    assert await chain.why_reverted(call, receipt) == "OutdatedState()"
    await rival.close()


async def test_a_call_that_ran_out_of_gas(chain: Chain) -> None:
    signed = await chain.sign(Unsigned(0, ONCE_AT, "0x", 0, 30_000, 10 * GWEI, GWEI))
    await chain.send(signed)
    receipt = await mined(chain, signed)
    assert (receipt.succeeded, receipt.gas_used) == (False, 30_000)
    assert "gas" in (await chain.why_reverted(Call(ONCE_AT, "0x"), receipt)).lower()


async def test_a_revert_that_cannot_be_repeated(proxy: RpcProxy, spoilt: Chain) -> None:
    call = Call(ECHO_REVERT_AT, "0x")
    signed = await spoilt.sign(Unsigned(0, call.to, call.data, 0, 60_000, 10 * GWEI, GWEI))
    await spoilt.send(signed)
    receipt = await mined(spoilt, signed)
    passes = {"jsonrpc": "2.0", "result": "0x"}
    proxy.fault = edits(lambda method, said: passes | {"id": said["id"]} if method == "eth_call" else None)
    why = await spoilt.why_reverted(call, receipt)
    assert (
        why == f"reverted with {receipt.gas_used} gas used; the call passes when it is repeated in that block"
    )


async def test_opening_says_what_is_wrong(anvil: Anvil) -> None:
    with pytest.raises(ConfigurationError, match="account is not set"):
        await open_chain([anvil.url], replace(account(0), private_key=""), Contract())
    with pytest.raises(ConfigurationError, match="no JSON-RPC endpoint"):
        await open_chain([], account(0), Contract())
    with pytest.raises(ConfigurationError, match="signature is malformed"):
        await open_chain([anvil.url], account(0), Contract(("Bad",)))
    with pytest.raises(SinkUnavailable):
        await open_chain(["http://127.0.0.1:1"], account(0), Contract())
    chain = await open_chain([anvil.url], account(3), Contract())
    assert repr(chain) == f"EvmAccount(chain 31337, {address(3)})"
    await chain.close()


async def test_many_senders_at_a_time(anvil: Anvil) -> None:
    chains = await asyncio.gather(*(anvil.open(index) for index in range(4)))
    signed = [[await transfer(chain, nonce) for nonce in range(5)] for chain in chains]
    await asyncio.gather(
        *(chain.send(one) for chain, ones in zip(chains, signed, strict=True) for one in reversed(ones))
    )
    for chain, ones in zip(chains, signed, strict=True):
        for _ in range(100):
            if await chain.nonce() == 5:
                break
            await asyncio.sleep(0.05)
        assert all([await landed(chain, one) for one in ones])
        await chain.close()
