"""What endpoints' answers come to. Each raises :class:`~provery.chain.shapes.Malformed` for what is no answer."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from provery.chain import shapes
from provery.chain.endpoint import Answer, Failure, Result
from provery.chain.rpc import Said
from provery.chain.sendings import for_the_operator, sent
from provery.chain.shapes import Malformed, digest, quantity
from provery.core.errors import ConfigurationError, InvalidInput
from provery.core.lanes import Fees, Receipt, Sent, Signed


def value(said: Said) -> Any:
    """The only answer's result."""
    return result(said.answers[0])


def result(answer: Answer) -> Any:
    """An answer's result."""
    if isinstance(answer, Failure):
        raise Malformed("an error", answer)
    return answer.value


def has(said: Said, tx_hash: str) -> bool:
    """Whether it is that transaction; False for none."""
    found = value(said)
    return found is not None and digest(shapes.mapping(found).get("hash")) == tx_hash.lower()


def included(said: Said) -> dict[str, Any]:
    """A receipt of a transaction that is in a block, as it came; empty for none."""
    found = value(said)
    fields = {} if found is None else shapes.mapping(found)
    return fields if fields.get("blockHash") is not None else {}


def blocks(hashes: Sequence[str], said: Said) -> dict[str, str]:
    """Hash of the block of each of several transactions, for those that have a receipt."""
    found = {}
    for tx_hash, answer in zip(hashes, said.answers, strict=True):
        fields = result(answer)
        if fields is not None and shapes.mapping(fields).get("blockHash") is not None:
            found[tx_hash] = digest(fields["blockHash"])
    return found


def outcome(signed: Signed, said: Said) -> Sent:
    """What became of a raw transaction.

    Raises:
        InvalidInput: the node refuses it for what it is.
        ConfigurationError: the node, or the account, has to be set up differently.
    """
    answer = said.answers[0]
    if isinstance(answer, Result):
        if digest(answer.value) != signed.hash:
            raise Malformed("another transaction's hash", answer.value)
        return Sent.ACCEPTED
    found = sent(answer)
    if found is None:
        refusal = ConfigurationError if for_the_operator(answer) else InvalidInput
        raise refusal(f"{said.endpoint.name} refuses the transaction: {answer}")
    return found


def fees(said: Said) -> Fees:
    """Of the latest block, ``eth_feeHistory``, ``eth_maxPriorityFeePerGas`` and ``eth_gasPrice``."""
    latest, history, tip, price = said.answers
    if "baseFeePerGas" not in shapes.mapping(result(latest)):
        return Fees(base=quantity(result(price)), priority=0, dynamic=False)
    past = {} if isinstance(history, Failure) else shapes.mapping(history.value)
    bases = [quantity(base) for base in shapes.items(past.get("baseFeePerGas") or [])]
    # The last entry of the history is of the block to come; without it, this block's, raised as far as it may rise.
    base = bases[-1] if bases else -(-quantity(result(latest)["baseFeePerGas"]) * 9 // 8)
    if isinstance(tip, Result):
        return Fees(base=base, priority=quantity(tip.value))
    rewards = [quantity(shapes.items(row)[0]) for row in shapes.items(past.get("reward") or []) if row]
    paid = [reward for reward in rewards if reward]
    return Fees(base=base, priority=int(median(paid)) if paid else 0)


def receipt(included: dict[str, Any], tx_hash: str, head: int, said: Said) -> Receipt | None:
    """A receipt.

    Args:
        included: What the node answered for it.
        tx_hash: Whose it should be.
        head: Newest block of that node.
        said: The block at its height, by the same node; some still show receipts of blocks that are not in the chain.

    Returns:
        None where its block is not the one at its height.
    """
    at = value(said)
    if at is None:
        return None
    block = shapes.block(at)
    if digest(included.get("transactionHash")) != tx_hash.lower():
        raise Malformed("a receipt of another transaction", included.get("transactionHash"))
    status = quantity(included.get("status"), bits=8)
    if status > 1:
        raise Malformed("a receipt whose status is neither 0 nor 1", status)
    found = Receipt(
        hash=tx_hash.lower(),
        block=block,
        succeeded=status == 1,
        gas_used=quantity(included.get("gasUsed"), bits=64),
        gas_price=quantity(included.get("effectiveGasPrice")),
        head=head,
    )
    return found if digest(included.get("blockHash")) == block.hash else None
