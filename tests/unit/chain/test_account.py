"""An account on a real chain: what is sent, what became of it, and that a spoilt endpoint changes nothing about it."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from provery.chain import metrics, open_chain
from provery.chain.account import open_chain as open_account
from provery.chain.endpoint import Limits
from provery.chain.signers import keccak256
from provery.core.errors import ConfigurationError, InvalidInput, Reverted, SinkUnavailable
from provery.core.lane_records import Kind, Transaction
from provery.core.lane_rules import Price, bumped_price, first_price
from provery.core.lanes import Call, Chain, Contract, Fees, Policy, Receipt, Sent, Signed, Unsigned
from tests.support.anvil import ETHER, GWEI, Anvil, account, address
from tests.support.rpc_proxy import (
    Exchange,
    Reply,
    RpcProxy,
    edits,
    lose_answers,
    lose_requests,
    refuses,
    says,
    silent,
    stuck_at,
)

pytestmark = pytest.mark.e2e

LIMITS = Limits(connect_s=3.0, read_s=3.0, total_s=6.0)
ERRORS = ("OutdatedState()", "Insufficient(uint256,uint256)")

# Reverts with the call data: CALLDATASIZE PUSH0 PUSH0 CALLDATACOPY CALLDATASIZE PUSH0 REVERT
ECHO_REVERT = "0x365f5f37365ffd"
# Returns the call data.
ECHO = "0x365f5f37365ff3"
# The first call sets slot 0; every later one reverts with OutdatedState():
# PUSH0 SLOAD PUSH1 10 JUMPI PUSH1 1 PUSH0 SSTORE STOP JUMPDEST PUSH4 … PUSH0 MSTORE PUSH1 4 PUSH1 28 REVERT
ONCE = f"0x5f54600a5760015f55005b63{keccak256(b'OutdatedState()')[:4].hex()}5f526004601cfd"
NONSENSE: tuple[object, ...] = ("0x", 7, {"number": "0x1"}, "0x" + "f" * 64, [])
ECHO_REVERT_AT, ECHO_AT, ONCE_AT = ("0x" + f"{n:040x}" for n in (0xE1, 0xE2, 0xE3))


@pytest.fixture
async def anvil(tmp_path: Path) -> AsyncIterator[Anvil]:
    async with Anvil(tmp_path) as server:
        await server.put_code(ECHO_REVERT_AT, ECHO_REVERT)
        await server.put_code(ECHO_AT, ECHO)
        await server.put_code(ONCE_AT, ONCE)
        yield server


@pytest.fixture
async def chain(anvil: Anvil) -> AsyncIterator[Chain]:
    opened = await anvil.open(0, ERRORS)
    yield opened
    await opened.close()


@pytest.fixture
async def proxy(anvil: Anvil) -> AsyncIterator[RpcProxy]:
    async with RpcProxy(anvil.url) as spoilt:
        yield spoilt


@pytest.fixture
async def spoilt(proxy: RpcProxy) -> AsyncIterator[Chain]:
    """The account behind the proxy alone."""
    opened = await open_account([proxy.url], account(0), Contract(ERRORS), limits=LIMITS)
    yield opened
    await opened.close()


@pytest.fixture
async def doubled(proxy: RpcProxy, anvil: Anvil) -> AsyncIterator[Chain]:
    """The account behind the proxy, preferred, and the node itself."""
    opened = await open_account([proxy.url, anvil.url], account(0), Contract(ERRORS), limits=LIMITS)
    yield opened
    await opened.close()


async def transfer(
    chain: Chain, nonce: int, fees: tuple[int, int] = (10 * GWEI, GWEI), value: int = 1
) -> Signed:
    return await chain.sign(Unsigned(nonce, address(1), "0x", value, 21_000, *fees))


async def mined(chain: Chain, signed: Signed) -> Receipt:
    """Its receipt: a node makes the block after it has answered."""
    for _ in range(250):
        receipt = await chain.receipt(signed.hash)
        if receipt is not None:
            return receipt
        await asyncio.sleep(0.02)
    raise AssertionError("not mined")


async def landed(chain: Chain, signed: Signed) -> bool:
    return (await mined(chain, signed)).succeeded


# ---------------------------------------------------------------------- the plain way


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


# ---------------------------------------------------------------------- sending twice


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


# ---------------------------------------------------------------------- what nodes refuse


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


# ---------------------------------------------------------------------- nodes that lag


async def test_a_stale_node_gives_no_nonce_and_hides_no_receipt(
    anvil: Anvil, proxy: RpcProxy, doubled: Chain
) -> None:
    proxy.fault = stuck_at(0)
    signed = [await transfer(doubled, nonce) for nonce in range(6)]
    for one in signed:
        assert await doubled.send(one) is Sent.ACCEPTED
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
        await spoilt.send(await transfer(spoilt, nonce))
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


# ---------------------------------------------------------------------- calls


async def test_reading(anvil: Anvil, chain: Chain) -> None:
    assert await chain.read(ECHO_AT, "0x123456") == bytes.fromhex("123456")
    assert await chain.read(address(5), "0x") == b""
    await anvil.mine(3)
    assert await chain.read(ECHO_AT, "0x01", block=hex(2)) == b"\x01"


async def test_a_refused_call_names_its_error(chain: Chain) -> None:
    data = "0x" + _insufficient(3, 5)
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
    call = Call(ECHO_REVERT_AT, "0x" + _insufficient(1, 2))
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


def _insufficient(have: int, want: int) -> str:
    return keccak256(b"Insufficient(uint256,uint256)")[:4].hex() + f"{have:064x}{want:064x}"


# ---------------------------------------------------------------------- reorgs and kills


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


# ---------------------------------------------------------------------- opening


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
