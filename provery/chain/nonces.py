"""Which transaction took a nonce: found by halving, since no method of nodes tells it."""

from __future__ import annotations

from typing import Any

from provery.chain import shapes
from provery.chain.endpoint import Answer, Ask, Failure
from provery.chain.rpc import Rpc, Said
from provery.chain.shapes import Malformed, digest, quantity
from provery.core.errors import SinkUnavailable


async def taker(rpc: Rpc, sender: str, nonce: int) -> str | None:
    """Hash of the transaction of an account that has a nonce, in the chain as one node knows it.

    A node without the states of old blocks answers for the last 128 or so, which is where somebody looks who has just
    found his nonce used.

    Returns:
        None where the nonce is free, or where the chain changes under the search.

    Raises:
        SinkUnavailable: no node answers, or the block is too old for them.
    """
    said = await rpc.first(
        [Ask("eth_blockNumber"), Ask("eth_getTransactionCount", (sender, "latest"))],
    )
    try:
        high = quantity(_value(said.answers[0]), bits=64)
        if quantity(_value(said.answers[1]), bits=64) <= nonce:
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
        (block,) = await rpc.again(said, [Ask("eth_getBlockByNumber", (hex(high), True))])
        return _in_block(_value(block), sender, nonce)
    except Malformed as error:
        raise SinkUnavailable(
            f"{said.endpoint.name} does not show what used nonce {nonce}: {error}",
            action="ask a node that keeps older states",
        ) from None


async def _count(rpc: Rpc, said: Said, sender: str, block: int) -> int:
    (answer,) = await rpc.again(said, [Ask("eth_getTransactionCount", (sender, hex(block)))])
    return quantity(_value(answer), bits=64)


def _in_block(block: object, sender: str, nonce: int) -> str | None:
    for one in shapes.items(shapes.mapping(block).get("transactions")):
        fields = shapes.mapping(one)
        if str(fields.get("from")).lower() == sender.lower() and quantity(fields.get("nonce")) == nonce:
            return digest(fields.get("hash"))
    return None


def _value(answer: Answer) -> Any:
    if isinstance(answer, Failure):
        raise Malformed("an error", answer)
    return answer.value
