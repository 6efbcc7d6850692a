"""What nodes say to a raw transaction, in the words of the clients that are about.

JSON-RPC gives every refusal the same code, so the text decides. The table is read from top to bottom; a phrase is
looked for in the message in lower case, from the start of a word.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from provery.chain.endpoint import Failure
from provery.core.lanes import Sent

TABLE: tuple[tuple[Sent, tuple[str, ...]], ...] = (
    (
        Sent.ACCEPTED,
        (
            "already known",  # geth, reth, Nethermind
            "alreadyknown",  # Nethermind before 1.31
            "already_exists",  # Erigon
            "existing tx with same hash",  # Erigon
            "known transaction",  # Besu, geth before 1.9.14
            "transaction already imported",  # anvil
            "already in mempool",
            "tx already in mempool",
        ),
    ),
    (
        Sent.UNDERPRICED,
        (
            "replacement transaction underpriced",  # geth, reth, anvil, Besu, Nethermind
            "transaction underpriced",  # geth, reth, Erigon, Nethermind: also where the pool is full
            "underpriced",  # Erigon
            "could not replace existing tx",  # Erigon
            "replacementnotallowed",  # Nethermind before 1.31
            "fee too low",  # Erigon
            "feetoolow",  # Nethermind before 1.31, and FeeTooLowToCompete
            "max fee per gas less than block base fee",  # geth, reth, anvil
            "fee cap less than block base fee",  # Erigon
            "max fee per gas is less than the block base fee",
            "gas price below configured minimum gas price",  # Besu
            "gas price below current base fee",  # Besu
            "gas tip cap",  # geth: "gas tip cap 0, minimum needed 1"
            "gas price too low",
        ),
    ),
    (
        Sent.NONCE_USED,
        (
            "nonce too low",  # geth, reth, anvil, Erigon, Besu, Nethermind
            "nonce_too_low",  # Erigon
            "oldnonce",  # Nethermind before 1.31
        ),
    ),
    (
        Sent.NO_FUNDS,
        (
            "insufficient funds",  # geth, reth, anvil, Erigon, Nethermind
            "insufficientfunds",  # Nethermind before 1.31
            "insufficient_funds",  # Erigon
            "upfront cost exceeds account balance",  # Besu
            "transaction up-front cost",  # Besu: "… 0x2 exceeds transaction sender account balance 0x1"
            "overshot",  # geth: what is pending already takes the balance
        ),
    ),
)
OPERATOR: tuple[str, ...] = (
    "exceeds the configured cap",  # geth: --rpc.txfeecap
    "transaction fee cap exceeded",  # Besu: --rpc-tx-feecap
    "invalid chain id",
    "wrong chain id",
    "wrong chainid",
    "invalid sender",
    "sender account not authorized",  # Besu: permissioning
    "sender not authorized",
    "transaction type not supported",
    "sender not an eoa",
)
"""Refusals that only an operator mends: of the node's settings, or of the account's."""
FINAL: tuple[str, ...] = (
    "intrinsic gas",
    "exceeds block gas limit",
    "transaction gas limit exceeds block gas limit",
    "gas limit reached",
    "gaslimitexceeded",
    "transaction gas limit too high",  # EIP-7825
    "gas limit too high",
    "oversized data",
    "oversized transaction",
    "max initcode size",
    "max priority fee per gas higher than max fee per gas",
    "invalid signature",
    "rlp",
)
"""Refusals of the transaction for what it is: no repetition mends them."""


def sent(failure: Failure) -> Sent | None:
    """What an error to ``eth_sendRawTransaction`` comes down to; None where it says nothing certain."""
    return next((outcome for outcome, phrases in TABLE if _has(failure, phrases)), None)


def for_the_operator(failure: Failure) -> bool:
    """Whether the node, or the account, has to be set up differently."""
    return sent(failure) is None and _has(failure, OPERATOR)


def final(failure: Failure) -> bool:
    """Whether the transaction is refused for what it is."""
    return sent(failure) is None and _has(failure, FINAL)


def _has(failure: Failure, phrases: Sequence[str]) -> bool:
    low = failure.message.lower()
    return any(re.search(rf"(?<![a-z]){re.escape(phrase)}", low) for phrase in phrases)
