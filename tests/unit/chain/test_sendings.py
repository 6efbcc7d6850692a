"""What nodes say to a transaction, client by client."""

import pytest

from provery.chain.endpoint import Failure
from provery.chain.sendings import FINAL, OPERATOR, TABLE, final, for_the_operator, sent
from provery.core.lanes import Sent

SAID = [
    # geth
    (Sent.ACCEPTED, -32000, "already known"),
    (Sent.NONCE_USED, -32000, "nonce too low: next nonce 5, tx nonce 4"),
    (Sent.UNDERPRICED, -32000, "replacement transaction underpriced"),
    (Sent.UNDERPRICED, -32000, "replacement transaction underpriced: new tx gas fee cap 10 < 12 queued"),
    (Sent.UNDERPRICED, -32000, "transaction underpriced: gas tip cap 0, minimum needed 1"),
    (
        Sent.UNDERPRICED,
        -32000,
        "max fee per gas less than block base fee: address 0x1, maxFeePerGas: 1, baseFee: 2",
    ),
    (
        Sent.NO_FUNDS,
        -32000,
        "insufficient funds for gas * price + value: balance 0, tx cost 21000, overshot 21000",
    ),
    # reth
    (Sent.ACCEPTED, -32003, "already known"),
    (Sent.NONCE_USED, -32003, "nonce too low: next nonce 1, tx nonce 0"),
    (Sent.UNDERPRICED, -32003, "replacement transaction underpriced"),
    (Sent.NO_FUNDS, -32003, "insufficient funds for gas * price + value: have 1 want 2"),
    # anvil
    (Sent.ACCEPTED, -32003, "transaction already imported"),
    (Sent.NONCE_USED, -32003, "nonce too low"),
    (Sent.UNDERPRICED, -32003, "replacement transaction underpriced"),
    (Sent.UNDERPRICED, -32003, "max fee per gas less than block base fee"),
    (Sent.NO_FUNDS, -32003, "Insufficient funds for gas * price + value"),
    # Nethermind, now and before 1.31
    (Sent.ACCEPTED, -32010, "already known"),
    (Sent.UNDERPRICED, -32010, "transaction underpriced"),
    (Sent.NONCE_USED, -32010, "nonce too low"),
    (Sent.ACCEPTED, -32010, "AlreadyKnown"),
    (Sent.NONCE_USED, -32010, "OldNonce, Current nonce: 5, nonce of rejected tx: 4."),
    (Sent.UNDERPRICED, -32010, "FeeTooLow, MaxFeePerGas too low. MaxFeePerGas: 1, BaseFee: 7"),
    (Sent.UNDERPRICED, -32010, "FeeTooLowToCompete"),
    (Sent.UNDERPRICED, -32010, "ReplacementNotAllowed"),
    (Sent.NO_FUNDS, -32010, "InsufficientFunds, Account balance: 0, cumulative cost: 21000"),
    # Erigon
    (Sent.ACCEPTED, -32000, "ALREADY_EXISTS: already known"),
    (Sent.ACCEPTED, -32000, "INTERNAL_ERROR: existing tx with same hash"),
    (Sent.UNDERPRICED, -32000, "INTERNAL_ERROR: could not replace existing tx"),
    (Sent.UNDERPRICED, -32000, "FEE_TOO_LOW: underpriced"),
    (Sent.UNDERPRICED, -32000, "fee cap less than block base fee"),
    (Sent.NONCE_USED, -32000, "INTERNAL_ERROR: nonce too low"),
    (Sent.NO_FUNDS, -32000, "INTERNAL_ERROR: insufficient funds"),
    # Besu
    (Sent.ACCEPTED, -32000, "Known transaction"),
    (Sent.UNDERPRICED, -32000, "Replacement transaction underpriced"),
    (Sent.UNDERPRICED, -32009, "Gas price below configured minimum gas price"),
    (Sent.UNDERPRICED, -32009, "Gas price below current base fee"),
    (Sent.NONCE_USED, -32001, "Nonce too low"),
    (Sent.NO_FUNDS, -32004, "Upfront cost exceeds account balance"),
    (Sent.NO_FUNDS, -32004, "transaction up-front cost 0x2 exceeds transaction sender account balance 0x1"),
]
CONFIGURED = [
    (-32000, "tx fee (1.50 ether) exceeds the configured cap (1.00 ether)"),
    (-32000, "Transaction fee cap exceeded"),
    (-32000, "invalid chain id for signer: have 1 want 5"),
    (-32000, "Wrong chainId"),
    (-32007, "Sender account not authorized to send transactions"),
    (-32000, "transaction type not supported"),
]
REFUSED = [
    (-32000, "intrinsic gas too low: gas 20000, minimum needed 21000"),
    (-32003, "Intrinsic gas exceeds gas limit"),
    (-32000, "exceeds block gas limit"),
    (-32005, "Transaction gas limit exceeds block gas limit"),
    (-32000, "transaction gas limit too high (cap: 16777216, tx: 30000000)"),
    (-32000, "oversized data: transaction size 200000, limit 131072"),
    (-32000, "max priority fee per gas higher than max fee per gas"),
    (-32000, "rlp: value size exceeds available input length"),
]
UNCLEAR = [
    (-32000, "txpool is full"),
    (-32000, "future transaction tries to replace pending"),
    (-32000, "unknown transaction"),
    (-32003, "nonce too high"),
    (-32603, "Internal error"),
    (-32000, "header not found"),
    (-32000, "context deadline exceeded"),
    (-32006, "Transaction nonce is too distant from current sender nonce"),
]


@pytest.mark.parametrize(("outcome", "code", "message"), SAID)
def test_what_a_client_means(outcome: Sent, code: int, message: str) -> None:
    failure = Failure(code, message)
    assert sent(failure) is outcome
    assert not failure.rate_limited
    assert not final(failure)
    assert not for_the_operator(failure)


@pytest.mark.parametrize(("code", "message"), CONFIGURED)
def test_what_an_operator_has_to_mend(code: int, message: str) -> None:
    assert for_the_operator(Failure(code, message))
    assert sent(Failure(code, message)) is None


@pytest.mark.parametrize(("code", "message"), REFUSED)
def test_what_nothing_mends(code: int, message: str) -> None:
    failure = Failure(code, message)
    assert final(failure)
    assert sent(failure) is None
    assert not for_the_operator(failure)
    assert not failure.rate_limited


@pytest.mark.parametrize(("code", "message"), UNCLEAR)
def test_what_says_nothing_certain(code: int, message: str) -> None:
    failure = Failure(code, message)
    assert sent(failure) is None
    assert not final(failure)
    assert not for_the_operator(failure)


def test_every_phrase_is_written_as_it_is_looked_for() -> None:
    for phrase in [p for _, phrases in TABLE for p in phrases] + [*OPERATOR, *FINAL]:
        assert phrase == phrase.lower()


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (-32005, "daily request count exceeded, request rate limited"),
        (-32007, "50/second request limit reached - reduce calls per second"),
        (429, "Your app has exceeded its compute units per second capacity."),
        (-32000, "Too Many Requests"),
        (-32005, "rate limit exceeded"),
    ],
)
def test_a_plea_for_patience(code: int, message: str) -> None:
    assert Failure(code, message).rate_limited


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (3, "execution reverted: RateLimiter: rate limit exceeded"),
        (-32000, "execution reverted: quota used up"),
        (-32005, "Transaction gas limit exceeds block gas limit"),
    ],
)
def test_what_only_sounds_like_one(code: int, message: str) -> None:
    assert not Failure(code, message).rate_limited
