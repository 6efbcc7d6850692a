"""Lanes: the one place that submits to an L1 from one account, in order, exactly once. Records and ports.

A unit whose plan names a lane for its submit stage hands a :class:`Call` to the lane's workflow and waits. Everything
that must not be lost or done twice (the call, every signed transaction, what became of it) is in the ledger, under the
call's ``request_key``; workflows carry names and small figures only. Money and fees are integers in wei; as they may
exceed 2^53, JSON carries them as decimal strings.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from provery.core.ports import StageContext

SUBMIT_LANE = "SubmitLane"
"""Workflow type: one sender on one chain; id ``lane/<chain id>/<sender>``."""


def lane_id(chain_id: int, sender: str) -> str:
    """Workflow id of the lane of an account: ``lane/<chain id>/<0x sender in lower case>``."""
    return f"lane/{chain_id}/{sender.lower()}"


@dataclass(frozen=True)
class Call:
    """What a unit wants done by a contract: data for people and for the chain, never a secret."""

    to: str
    """Contract, as 0x and 40 hexadecimal digits."""
    data: str
    """Call data: 0x and hexadecimal digits."""
    value: int = 0
    """Wei sent along."""
    method: str = ""
    """Name of the function, for people."""
    gas: int = 0
    """Upper bound of the gas it may use; 0 for the chain's own estimate with the policy's margin."""


class State(StrEnum):
    """What the contract says of a call, before a transaction is signed for it."""

    READY = "ready"
    """It would be taken now."""
    EARLY = "early"
    """Another call has to land first."""
    SUPERSEDED = "superseded"
    """The contract holds this result, or a later one, from elsewhere: nothing to do, and no failure."""
    IMPOSSIBLE = "impossible"
    """The contract will never take it."""


@dataclass(frozen=True)
class Standing:
    """A state with its reason."""

    state: State
    reason: str = ""


@dataclass(frozen=True)
class Policy:
    """What an operator allows a stream's calls to cost, and when one counts as done. Read anew at every step."""

    max_fee_per_gas: int | None = None
    """Above this, in wei per gas, nothing is sent: the call waits. None for no cap."""
    max_priority_fee_per_gas: int | None = None
    """Cap of the tip; None for what the node suggests."""
    spend_per_day: int | None = None
    """Most wei that the stream may spend in fees within 24 hours. None for no cap."""
    confirmations: int = 1
    """Blocks, the including one counted, after which a call is done."""
    stuck_after_s: float = 60.0
    """How long a transaction may be pending before it is replaced at the same nonce with a higher fee."""
    bump_percent: int = 12
    """How much higher both fees of a replacement are, at least 10."""
    gas_margin_percent: int = 20
    """Added to the chain's gas estimate."""
    ordered: bool = False
    """Calls of the stream land in the order of their units' ordinals."""
    watch_s: float = 1_200.0
    """How long what has landed is looked at again: Ethereum finalises within two epochs, 13 minutes. 0 for never."""


@dataclass(frozen=True)
class Fees:
    """What the chain charges."""

    base: int
    """Base fee per gas of the next block, in wei; on a chain without EIP-1559 its gas price."""
    priority: int
    """Tip per gas that is usual now, in wei."""
    dynamic: bool = True
    """Whether the chain knows EIP-1559."""


@dataclass(frozen=True)
class Unsigned:
    """A transaction before it is signed."""

    nonce: int
    to: str
    data: str
    value: int
    gas: int
    max_fee: int
    """Wei per gas; on a chain without EIP-1559 the gas price."""
    max_priority_fee: int
    dynamic: bool = True


@dataclass(frozen=True)
class Signed:
    """A signed transaction. It may be shown: it becomes public when it is sent."""

    hash: str
    """0x and 64 hexadecimal digits."""
    raw: str
    """0x and hexadecimal digits, as ``eth_sendRawTransaction`` takes it."""


@dataclass(frozen=True)
class Block:
    """A block of the chain."""

    number: int
    hash: str
    parent: str = ""
    timestamp: int = 0


@dataclass(frozen=True)
class Receipt:
    """What became of a transaction in a block that is part of the chain now."""

    hash: str
    block: Block
    succeeded: bool
    gas_used: int
    gas_price: int
    """Effective price per gas in wei."""
    head: int | None = field(default=None, compare=False)
    """Newest block of the node that says so, where known: another node's may be of another fork."""

    def depth(self, head: Block) -> int:
        """Confirmations, its own block counted, on the chain of the node that has it.

        0 or less where a head is behind it.
        """
        newest = head.number if self.head is None else min(head.number, self.head)
        return newest - self.block.number + 1


class Sent(StrEnum):
    """What a node answered to a raw transaction."""

    ACCEPTED = "accepted"
    """In its pool now, or before ("already known")."""
    NONCE_USED = "nonce used"
    """A transaction with that nonce is in the chain: this one, one that it replaced, or a stranger's."""
    UNDERPRICED = "underpriced"
    """It would have to pay more to replace what is pending at its nonce, or to be taken at all."""
    NO_FUNDS = "no funds"
    """The account cannot pay for it."""


class Chain(Protocol):
    """One account on one chain, behind one or several JSON-RPC endpoints. Every method may be repeated.

    Each raises :class:`~provery.core.errors.SinkUnavailable` where no endpoint answers as it should. A call that
    reverts is :class:`~provery.core.errors.Reverted`, which names the contract's custom error. No key is in a message.
    """

    chain_id: int
    sender: str
    """Checksummed address of the account."""

    async def fees(self) -> Fees:
        """What the next block charges."""
        ...

    async def nonce(self) -> int:
        """Transactions of the account in the newest block: the next nonce that is free in the chain itself."""
        ...

    async def balance(self) -> int:
        """Wei of the account."""
        ...

    async def estimate(self, call: Call) -> int:
        """Gas that the call uses now.

        Raises:
            Reverted: the contract refuses it.
        """
        ...

    async def read(self, to: str, data: str, *, block: str = "latest") -> bytes:
        """Result of a call that changes nothing.

        Raises:
            Reverted: the contract refuses it.
        """
        ...

    async def code(self, address: str) -> bytes:
        """Code of the contract at an address; empty where there is none."""
        ...

    async def storage(self, address: str, slot: int) -> int:
        """A word of a contract's storage; 0 where nothing was stored."""
        ...

    async def sign(self, transaction: Unsigned) -> Signed:
        """Sign; nothing is sent. The same transaction gives the same bytes."""
        ...

    async def send(self, signed: Signed) -> Sent:
        """Hand a raw transaction to the nodes.

        Raises:
            InvalidInput: the transaction is refused for what it is; no repetition mends that.
            ConfigurationError: the node, or the account, has to be set up differently.
        """
        ...

    async def known(self, tx_hash: str) -> bool:
        """Whether a node has the transaction, pending or in a block."""
        ...

    async def receipt(self, tx_hash: str) -> Receipt | None:
        """Its receipt, if it is in a block of the chain as it is now."""
        ...

    async def blocks_of(self, hashes: Sequence[str]) -> dict[str, str]:
        """Hash of the block that each transaction is in, for those that one node shows in any.

        One request for all of them, of one node, and so no more than a hint: :meth:`receipt` tells.
        """
        ...

    async def taken(self, nonce: int) -> Receipt | None:
        """Receipt of whichever transaction holds a nonce of the account, ours or not, in the chain as it is now.

        None where the nonce is free, or where no endpoint shows the block.
        """
        ...

    async def head(self) -> Block:
        """The newest block that any endpoint has, unless nobody else is anywhere near it."""
        ...

    async def why_reverted(self, call: Call, receipt: Receipt) -> str:
        """The custom error, or reason, that a call reverted with in a block; found by repeating it there."""
        ...

    async def close(self) -> None:
        """Close connections."""
        ...


@dataclass(frozen=True)
class Account:
    """How to sign: exactly one of a private key, a keystore, a mnemonic and a remote signer."""

    private_key: str = field(default="", repr=False)
    """0x and 64 hexadecimal digits."""
    keystore: Path | None = None
    """Encrypted keystore, version 3."""
    password: str = field(default="", repr=False)
    mnemonic: str = field(default="", repr=False)
    """BIP-39 words; the key is at m/44'/60'/0'/0/``index``."""
    index: int = 0
    remote: str = field(default="", repr=False)
    """Address of a remote signer that speaks Web3Signer's API."""
    address: str = ""
    """Which of the remote signer's accounts."""


@dataclass(frozen=True)
class Contract:
    """A contract whose custom errors are to be named: entries of its ABI of type ``error``."""

    errors: tuple[str, ...] = ()
    """Signatures such as ``OutdatedState()`` or ``InsufficientBalance(uint256,uint256)``."""


OpenChain = Callable[[Sequence[str], Account, Contract], Awaitable[Chain]]
"""Opens an account on the chain behind JSON-RPC endpoints, in the order of preference. Injected as ``Deps.open_chain``.

Raises ConfigurationError where the endpoints are of different chains, or the account's settings are not usable.
"""


class Submits(Protocol):
    """What a system offers, beside :class:`~provery.core.ports.System`, whose submit stage goes through a lane.

    Each raises ConfigurationError where the stream's chain is not configured.
    """

    async def chain(self, stream: str) -> Chain:
        """The account that the stream submits from. The system keeps it and closes it."""
        ...

    async def policy(self, stream: str) -> Policy:
        """What the stream's operator allows now."""
        ...

    async def call(self, context: StageContext) -> Call:
        """The call of a unit: a pure function of the stage's inputs, as in ``run_stage``."""
        ...

    async def standing(self, stream: str, ordinal: int | None, call: Call) -> Standing:
        """What the contract says of the call now."""
        ...
