"""Functions and events of contracts: their selectors, and their values as bytes. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from Crypto.Hash import keccak
from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError, EncodingError

from provery.core.errors import ConfigurationError, InvalidInput


def keccak256(data: bytes) -> bytes:
    """Ethereum's hash."""
    return keccak.new(data=data, digest_bits=256).digest()


def selector(signature: str) -> bytes:
    """First four bytes of a call or an error, of its signature such as ``finalizedState()``."""
    return keccak256(signature.encode())[:4]


@dataclass(frozen=True)
class Function:
    """One function: its ABI types, as in ``("uint64", "(uint256,uint256)")``."""

    name: str
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()

    @cached_property
    def signature(self) -> str:
        """Such as ``isEpochRoot(uint64)``."""
        return f"{self.name}({','.join(self.inputs)})"

    @cached_property
    def selector(self) -> bytes:
        """First four bytes of its calls."""
        return selector(self.signature)

    def call(self, *values: object) -> str:
        """Call data, as 0x and hexadecimal digits.

        Raises:
            InvalidInput: a value is not of its type.
        """
        try:
            return "0x" + (self.selector + encode(self.inputs, values)).hex()
        except (EncodingError, ValueError, TypeError) as error:
            raise InvalidInput(f"cannot call {self.signature}: {error}", value=values) from None

    def read(self, answer: bytes) -> tuple[object, ...]:
        """The values of an answer.

        Raises:
            ConfigurationError: it is no answer of this function, so whatever gave it is another contract.
        """
        try:
            return tuple(decode(self.outputs, answer))
        except (DecodingError, ValueError, OverflowError) as error:
            raise ConfigurationError(
                f"the contract does not answer {self.signature} as it should: {error}",
                value="0x" + answer.hex(),
                action="check the contract's address and chain",
            ) from None

    def arguments(self, data: str) -> tuple[object, ...]:
        """The values that a call was made with; the inverse of :meth:`call`.

        Raises:
            InvalidInput: it is no call of this function.
        """
        try:
            raw = bytes.fromhex(data.removeprefix("0x"))
            if raw[:4] == self.selector:
                return tuple(decode(self.inputs, raw[4:]))
        except (DecodingError, ValueError, OverflowError):
            pass
        raise InvalidInput(
            f"not a call of {self.signature}", value=data, expected=f"0x{self.selector.hex()}…"
        )


@dataclass(frozen=True)
class Event:
    """One event: the ABI types of its indexed values, which come first, and of the others."""

    name: str
    indexed: tuple[str, ...] = ()
    others: tuple[str, ...] = ()

    @cached_property
    def topic(self) -> bytes:
        """First topic of its logs."""
        return keccak256(f"{self.name}({','.join(self.indexed + self.others)})".encode())

    def read(self, topics: Sequence[bytes], data: bytes) -> tuple[object, ...] | None:
        """The values of a log: indexed ones first; None where it is another event's, or malformed."""
        if len(topics) != 1 + len(self.indexed) or topics[0] != self.topic:
            return None
        try:
            return tuple(decode(self.indexed, b"".join(topics[1:]))) + tuple(decode(self.others, data))
        except (DecodingError, ValueError, OverflowError):
            return None
