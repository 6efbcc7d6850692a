"""Why a contract refuses a call: custom errors by selector, ``Error(string)``, ``Panic(uint256)`` (Solidity ABI)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from eth_abi.abi import decode, is_encodable_type
from eth_abi.grammar import ABIType, TupleType, parse

from provery.chain.endpoint import Failure
from provery.chain.shapes import Malformed, data
from provery.chain.signers import keccak256
from provery.core.errors import ConfigurationError, shorten

_ERROR = bytes.fromhex("08c379a0")
_PANIC = bytes.fromhex("4e487b71")
_DATA_LIMIT = 16_384
"""Bytes of revert data that are decoded."""
_SHOWN = 600
"""Characters of a reason that are shown."""
_PANICS = {
    0x01: "assertion failed",
    0x11: "arithmetic overflow",
    0x12: "division by zero",
    0x21: "no value of the enumeration",
    0x22: "malformed storage array",
    0x31: "pop of an empty array",
    0x32: "index out of bounds",
    0x41: "out of memory",
    0x51: "call of an uninitialised function",
}
_SIGNATURE = re.compile(r"([A-Za-z_$][A-Za-z0-9_$]*)\((.*)\)", re.DOTALL)
_HALTS = (
    "revert",
    "out of gas",
    "outofgas",
    "invalid opcode",
    "bad instruction",
    "opcode not found",
    "invalid jump",
    "bad jump",
    "stack underflow",
    "stack overflow",
    "stacklimit",
    "vm execution error",
    "vm exception",
    "gas required exceeds allowance",
    "write protection",
)
"""In lower case: what nodes say of a call that halts, in messages of geth, reth, anvil, Nethermind, Erigon and Besu."""
_CODE_REVERTED = 3
"""JSON-RPC error code of a revert (EIP-1474's successor in execution-apis; geth, reth, anvil, Erigon)."""


class ErrorNames:
    """A contract's custom errors.

    Args:
        signatures: Such as ``InsufficientBalance(uint256,uint256)``; names of parameters are allowed.

    Raises:
        ConfigurationError: one is no signature.
    """

    def __init__(self, signatures: Sequence[str] = ()) -> None:
        self._known = dict(map(_parsed, signatures))

    def name(self, revert: bytes) -> str:
        """What revert data say, for people; bounded, and safe to print."""
        if not revert:
            return "no reason given"
        selector, body = revert[:4], revert[4:_DATA_LIMIT]
        if selector == _ERROR:
            return _text(body)
        if selector == _PANIC and len(body) >= 32:
            code = int.from_bytes(body[:32])
            return f"Panic(0x{code:02x}): {_PANICS.get(code, 'unknown')}"
        if selector not in self._known:
            return f"unknown custom error 0x{selector.hex()} with {len(body)} bytes"
        name, types = self._known[selector]
        try:
            values = decode(types, body)
        except Exception:  # hostile data make the decoder raise whatever it likes
            return f"{name} with {len(body)} bytes that do not decode"
        return f"{name}({', '.join(_shown(value) for value in values)})"

    def of_failure(self, failure: Failure) -> str | None:
        """What an error to ``eth_call`` or ``eth_estimateGas`` says of a refusal; None where it is another."""
        found = revert_data(failure)
        if found is None:
            return None
        if not found and "revert" not in failure.message.lower():
            return shorten(failure.message, 200)
        return self.name(found)


def revert_data(failure: Failure) -> bytes | None:
    """Revert data in an error, empty where the call failed without any; None where it was not executed."""
    halted = failure.code == _CODE_REVERTED or any(word in failure.message.lower() for word in _HALTS)
    for text in _texts(failure.data):
        # Nethermind and OpenEthereum write "Reverted 0x…".
        found = re.fullmatch(r"(?:Reverted )?(0x[0-9a-fA-F]*)", text.strip())
        if found and (halted or text.startswith("Reverted")):
            try:
                return data(found[1])
            except Malformed:
                return b""
    return b"" if halted else None


def _texts(value: object) -> list[str]:
    """Strings in an error's data: the data itself, or a field of it (Ganache, Hardhat and others nest it)."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for key in ("data", "result", "output") for text in _texts(value.get(key))]
    return []


def _parsed(signature: str) -> tuple[bytes, tuple[str, list[str]]]:
    text = signature.strip().removeprefix("error ").removesuffix(";").strip()
    try:
        found = _SIGNATURE.fullmatch(text)
        if found is None:
            raise ValueError("no name and parentheses")
        name = found[1]
        parameters = [part.split()[0] for part in found[2].split(",")] if found[2].strip() else []
        types = _components(f"({','.join(parameters)})") if parameters else []
    except Exception as error:  # the grammar raises errors of its parser
        raise ConfigurationError(
            "a custom error's signature is malformed",
            value=signature,
            expected="a name and types, as in Insufficient(uint256,address)",
        ) from error
    return keccak256(f"{name}({','.join(types)})".encode())[:4], (name, types)


def _components(text: str) -> list[str]:
    parsed: ABIType = parse(text)
    if not isinstance(parsed, TupleType):
        raise TypeError("no tuple")
    types = [component.to_type_str() for component in parsed.components]
    if not all(map(is_encodable_type, types)):
        raise TypeError("no type of the ABI")
    return types


def _text(body: bytes) -> str:
    try:
        (reason,) = decode(["string"], body)
    except Exception:  # as above
        return "a reason that does not decode"
    return shorten(str(reason), _SHOWN)


def _shown(value: object) -> str:
    if isinstance(value, bytes):
        return shorten("0x" + value.hex(), 80).strip("'")
    return str(value) if isinstance(value, int) else shorten(str(value), 120)
