"""An account on a real chain: nodes that lag, lie, reorganise or die change nothing about what it says."""

import pytest

from provery.core.errors import SinkUnavailable
from provery.core.lanes import Chain, Sent
from tests.support.anvil import ETHER, Anvil
from tests.support.chain_account import landed, mined, transfer
from tests.support.rpc_proxy import RpcProxy, edits, says, silent, stuck_at

pytestmark = pytest.mark.e2e
NONSENSE: tuple[object, ...] = ("0x", 7, {"number": "0x1"}, "0x" + "f" * 64, [])


async def test_a_stale_node_gives_no_nonce_and_hides_no_receipt(
    anvil: Anvil, proxy: RpcProxy, doubled: Chain
) -> None:
    proxy.fault = stuck_at(0)
    signed = [await transfer(doubled, nonce) for nonce in range(6)]
    for one in signed:
        assert await doubled.send(one) is Sent.ACCEPTED
    await mined(doubled, signed[5])
    assert await anvil.height() == 6
    assert await doubled.nonce() == 6
    assert (await doubled.head()).number == 6
    assert await landed(doubled, signed[0])
    assert await doubled.known(signed[5].hash)
    assert await doubled.balance() < 10_000 * ETHER


async def test_a_receipt_says_how_far_the_node_is_that_has_it(
    anvil: Anvil, proxy: RpcProxy, doubled: Chain
) -> None:
    signed = await transfer(doubled, 0)
    await doubled.send(signed)
    receipt = await mined(doubled, signed)
    await anvil.mine(2)
    proxy.fault = edits(
        lambda method, answer: {**answer, "result": "0x1"} if method == "eth_blockNumber" else None
    )
    found = await doubled.receipt(signed.hash)
    assert found is not None
    assert (found.block, found.head) == (receipt.block, 1)  # of the preferred one, two blocks behind
    assert (await doubled.head()).number == 3
    proxy.fault = None
    assert (await mined(doubled, signed)).head == 3


async def test_a_stale_node_alone_is_not_believed(anvil: Anvil, proxy: RpcProxy, spoilt: Chain) -> None:
    for nonce in range(6):
        signed = await transfer(spoilt, nonce)
        await spoilt.send(signed)
        await mined(spoilt, signed)
    assert await spoilt.nonce() == 6
    proxy.fault = stuck_at(0)
    for question in (
        spoilt.nonce(),
        spoilt.head(),
        spoilt.receipt("0x" + "00" * 32),
        spoilt.fees(),
        spoilt.balance(),
    ):
        with pytest.raises(SinkUnavailable, match="behind 6"):
            await question
    proxy.fault = None
    assert await spoilt.nonce() == 6


async def test_one_hostile_answer_among_good_ones(anvil: Anvil, proxy: RpcProxy, doubled: Chain) -> None:
    signed = await transfer(doubled, 0)
    await doubled.send(signed)
    await mined(doubled, signed)
    for nonsense in NONSENSE:
        proxy.fault = edits(
            lambda method, answer, said=nonsense: (  # type: ignore[misc]
                {**answer, "result": said} if method not in ("eth_blockNumber", "eth_chainId") else None
            )
        )
        assert await doubled.nonce() == 1
        assert (await doubled.head()).number == 1
        assert await doubled.known(signed.hash)


async def test_receipts_that_are_not_to_be_believed(
    anvil: Anvil, proxy: RpcProxy, spoilt: Chain, doubled: Chain
) -> None:
    signed = await transfer(spoilt, 0)
    await spoilt.send(signed)
    for field, value in (
        ("transactionHash", "0x" + "11" * 32),
        ("status", "0x2"),
        ("status", None),
        ("gasUsed", "0x" + "f" * 30),
        ("effectiveGasPrice", "free"),
    ):
        proxy.fault = edits(
            lambda method, answer, field=field, value=value: (  # type: ignore[misc]
                {**answer, "result": {**answer["result"], field: value}}
                if method == "eth_getTransactionReceipt"
                else None
            )
        )
        with pytest.raises(SinkUnavailable):
            await spoilt.receipt(signed.hash)
        assert await landed(doubled, signed)
    # of a block that is not in the chain: as if there were none
    proxy.fault = edits(
        lambda method, answer: (
            {**answer, "result": {**answer["result"], "blockHash": "0x" + "22" * 32}}
            if method == "eth_getTransactionReceipt"
            else None
        )
    )
    assert await spoilt.receipt(signed.hash) is None


@pytest.mark.parametrize("fault", [says(b"x" * 10_000_000), says({}, 429), silent(), says(b'{"result":NaN}')])
async def test_a_broken_endpoint_costs_only_time(
    anvil: Anvil, proxy: RpcProxy, doubled: Chain, fault: object
) -> None:
    proxy.fault = fault  # type: ignore[assignment]
    signed = await transfer(doubled, await doubled.nonce())
    assert await doubled.send(signed) is Sent.ACCEPTED
    assert await landed(doubled, signed)


async def test_a_reorg_takes_a_receipt_away(anvil: Anvil, chain: Chain) -> None:
    await anvil.mine(5)
    signed = await transfer(chain, 0)
    await chain.send(signed)
    await anvil.mine(2)
    assert await landed(chain, signed)
    before = await chain.receipt(signed.hash)
    await anvil.reorg(3)
    assert await chain.receipt(signed.hash) is None
    assert await chain.nonce() == 0
    assert await chain.send(signed) is Sent.ACCEPTED
    await anvil.mine()
    after = await chain.receipt(signed.hash)
    assert after is not None
    assert before is not None
    assert after.block != before.block


async def test_a_reorg_may_bring_it_back_in_another_block(anvil: Anvil, chain: Chain) -> None:
    await anvil.mine(5)
    signed = await transfer(chain, 0)
    await chain.send(signed)
    before = await chain.receipt(signed.hash)
    await anvil.mine(2)
    await anvil.reorg(3, [(signed.raw, 1)])
    after = await chain.receipt(signed.hash)
    assert before is not None
    assert after is not None
    assert after.block.number == before.block.number + 1
    assert after.block.hash != before.block.hash
    assert await chain.blocks_of([signed.hash, "0x" + "00" * 32]) == {signed.hash: after.block.hash}
    await anvil.reorg(3)
    assert await chain.blocks_of([signed.hash]) == await chain.blocks_of([]) == {}


async def test_a_dropped_transaction_is_not_known(anvil: Anvil, chain: Chain) -> None:
    await anvil.automine(False)
    signed = await transfer(chain, 0)
    await chain.send(signed)
    await anvil.drop(signed.hash)
    assert not await chain.known(signed.hash)
    assert await chain.send(signed) is Sent.ACCEPTED


async def test_a_killed_node(anvil: Anvil, chain: Chain) -> None:
    signed = await transfer(chain, 0)
    await chain.send(signed)
    await anvil.kill_saved()
    with pytest.raises(SinkUnavailable):
        await chain.receipt(signed.hash)
    with pytest.raises(SinkUnavailable):
        await chain.send(signed)
    await anvil.start()
    assert await landed(chain, signed)
    assert await chain.send(signed) is Sent.NONCE_USED
