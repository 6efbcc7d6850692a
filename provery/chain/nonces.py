"""Which transaction took a nonce: found by halving, since no method of nodes tells it."""

from __future__ import annotations

from functools import partial

from provery.chain import shapes
from provery.chain.answers import result, value
from provery.chain.endpoint import Ask
from provery.chain.rpc import Rpc, Said
from provery.chain.shapes import digest, quantity


async def taker(rpc: Rpc, sender: str, nonce: int) -> str | None:
    """Hash of the transaction of an account that has a nonce, in the chain as one node knows it.

    A node without the states of old blocks answers for the last 128 or so, which is where somebody looks who has just
    found his nonce used.

    Returns:
        None where the nonce is free, or where the chain changes under the search.

    Raises:
        SinkUnavailable: no node answers, or the block is too old for them.
    """
    asks = [Ask("eth_blockNumber"), Ask("eth_getTransactionCount", (sender, "latest"))]
    said, high, count = await rpc.first(asks, _head)
    if count <= nonce:
        return None
    step, low = 1, high
    while low > 0:  # back in growing steps, to a block before it
        low = max(high - step, 0)
        if await _count(rpc, said, sender, low) <= nonce:
            break
        high, step = low, step * 2
    while high - low > 1:
        middle = (low + high) // 2
        if await _count(rpc, said, sender, middle) <= nonce:
            low = middle
        else:
            high = middle
    block = Ask("eth_getBlockByNumber", (hex(high), True))
    return await rpc.again(said, [block], partial(_in_block, sender, nonce))


def _head(said: Said) -> tuple[Said, int, int]:
    """Who answers, the newest block and the transactions of the account up to it."""
    number, count = (quantity(result(answer), bits=64) for answer in said.answers)
    return said, number, count


async def _count(rpc: Rpc, said: Said, sender: str, block: int) -> int:
    ask = Ask("eth_getTransactionCount", (sender, hex(block)))
    return await rpc.again(said, [ask], lambda said: quantity(value(said), bits=64))


def _in_block(sender: str, nonce: int, said: Said) -> str | None:
    for one in shapes.items(shapes.mapping(value(said)).get("transactions")):
        fields = shapes.mapping(one)
        if str(fields.get("from")).lower() == sender.lower() and quantity(fields.get("nonce")) == nonce:
            return digest(fields.get("hash"))
    return None
