"""Which transaction took a nonce: found by halving, since no method of nodes tells it."""

from __future__ import annotations

from provery.chain import answers, shapes
from provery.chain.endpoint import Answer, Ask
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
    said, high, taken = await rpc.first(
        [Ask("eth_blockNumber"), Ask("eth_getTransactionCount", (sender, "latest"))],
        lambda said: (said, _number(said.answers[0]), _number(said.answers[1])),
    )
    if taken <= nonce:
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
    return await rpc.again(said, [block], lambda said: _in_block(answers.value(said), sender, nonce))


async def _count(rpc: Rpc, said: Said, sender: str, block: int) -> int:
    ask = Ask("eth_getTransactionCount", (sender, hex(block)))
    return await rpc.again(said, [ask], lambda said: _number(said.answers[0]))


def _number(answer: Answer) -> int:
    return quantity(answers.result(answer), bits=64)


def _in_block(block: object, sender: str, nonce: int) -> str | None:
    for one in shapes.items(shapes.mapping(block).get("transactions")):
        fields = shapes.mapping(one)
        if str(fields.get("from")).lower() == sender.lower() and quantity(fields.get("nonce")) == nonce:
            return digest(fields.get("hash"))
    return None
