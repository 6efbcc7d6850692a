"""What nodes say to a raw transaction, in the words of the clients that are about.

JSON-RPC gives every refusal the same code, so the text decides. The table is read from top to bottom; a word is looked
for in the message in lower case.
"""

from __future__ import annotations

from provery.chain.endpoint import Failure
from provery.core.lanes import Sent

TABLE: tuple[tuple[Sent, tuple[str, ...]], ...] = (
    (
        Sent.ACCEPTED,
        (
            "already known",  # geth, reth, erigon
            "known transaction",  # besu, old geth
            "alreadyknown",  # nethermind
            "already_exists",  # erigon
            "already imported",  # anvil, openethereum
            "already in mempool",
            "already in the mempool",
            "already exists in pool",
        ),
    ),
    (
        Sent.UNDERPRICED,
        (
            "replacement transaction underpriced",  # geth, reth, anvil, erigon
            "underpriced",  # geth, reth, erigon: also of a full pool
            "replacement_underpriced",  # besu's reason
            "replacementnotallowed",  # nethermind
            "fee too low",
            "feetoolow",  # nethermind: FeeTooLow, FeeTooLowToCompete
            "less than block base fee",  # geth, reth, erigon
            "lower than the block base fee",
            "max fee per gas less than",  # anvil, reth
            "below configured minimum gas price",  # besu
            "gas price below",  # besu
            "gas tip cap",  # geth: "gas tip cap 0, minimum needed 1"
            "gas price too low",
            "miner premium is lower",  # nethermind
        ),
    ),
    (
        Sent.NONCE_USED,
        (
            "nonce too low",  # geth, reth, anvil, erigon, besu
            "nonce_too_low",
            "oldnonce",  # nethermind
            "old nonce",
            "nonce is too low",
            "below current nonce",
            "nonce below",
        ),
    ),
    (
        Sent.NO_FUNDS,
        (
            "insufficient funds",  # geth, reth, anvil, erigon
            "insufficientfunds",  # nethermind
            "insufficient_funds",
            "insufficient balance",
            "upfront cost exceeds",  # besu
            "exceeds transaction sender account balance",  # besu
            "exceeds account balance",
            "overshot",  # geth: the sum of what is pending
        ),
    ),
)
REFUSALS: tuple[str, ...] = (
    "intrinsic gas",
    "exceeds block gas limit",
    "gas limit too high",
    "exceeds the configured cap",
    "oversized data",
    "max initcode",
    "invalid sender",
    "invalid chain id",
    "chain id",
    "wrong chainid",
    "replay-protected",
    "transaction type not supported",
    "higher than max fee per gas",
    "exceeds max fee per gas",
    "invalid signature",
    "rlp",
)
"""What no repetition mends: the transaction itself is refused."""


def sent(failure: Failure) -> Sent | None:
    """What an error to ``eth_sendRawTransaction`` comes down to; None where it says nothing certain."""
    low = failure.message.lower()
    return next((outcome for outcome, words in TABLE if any(word in low for word in words)), None)


def refused(failure: Failure) -> bool:
    """Whether the transaction itself is refused, for ever."""
    low = failure.message.lower()
    return sent(failure) is None and any(word in low for word in REFUSALS)
