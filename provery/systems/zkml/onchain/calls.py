"""What a model's workflow and an inference's want done on chain, and what the chain says of it.

Everything goes to one registry (``contract/InferenceRegistry.sol``) and through the account's lane:

    call = onchain.deploy_call(registry, creation_code)               # a model's verifier
    call = onchain.attest_call(registry, proof_hash)                  # a proof's hash, unchecked
    call = onchain.attest_inference_call(registry, verifier, data)    # a proof, checked by the verifier
    standing = await onchain.standing(chain, call)

A call is a pure function of its arguments. Every one may be repeated: the registry does nothing the second time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from provery.core.abi import Function, keccak256
from provery.core.contracts import LARGEST_CREATION
from provery.core.errors import ConfigurationError, InvalidInput
from provery.core.factory import NO_SALT, address_of
from provery.core.lanes import Call, Chain, Standing, State
from provery.systems.zkml.model import ATTEST_HASH, ATTEST_PROOF, Answer
from provery.systems.zkml.onchain import abi

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_HASH = re.compile(r"0x[0-9a-fA-F]{64}")
_BYTES = re.compile(r"0x(?:[0-9a-fA-F]{2})+")


@dataclass(frozen=True)
class Attestation:
    """What the registry holds."""

    attester: str
    """Who sent it first, checksummed or in lower case."""
    timestamp: int
    """Seconds since 1970, of the block."""


def verifier_address(registry: str, code: bytes, salt: bytes = NO_SALT) -> str:
    """Where the registry puts a verifier, known before it is there.

    Args:
        registry: The registry's address.
        code: The verifier's creation code.
        salt: 32 bytes.

    Returns:
        0x and 40 digits, with a checksum.
    """
    return address_of(code, salt, _matching(_ADDRESS, registry, "the registry's address"))


# ------------------------------------------------------------ calls


def deploy_call(registry: str, code: bytes, salt: bytes = NO_SALT) -> Call:
    """Put a verifier on the chain.

    Raises:
        InvalidInput: no chain would take so much code, or none at all.
    """
    if not 0 < len(code) <= LARGEST_CREATION:
        raise InvalidInput(
            "not the creation code of a contract", value=f"{len(code)} bytes", expected="1 to 49,152 bytes"
        )
    return _call(registry, abi.DEPLOY, salt, code)


def attest_call(registry: str, proof_hash: str) -> Call:
    """Claim that a proof with this Keccak-256 exists.

    Raises:
        InvalidInput: it is no hash.
    """
    given = _matching(_HASH, proof_hash, "the proof's hash")
    return _call(registry, abi.ATTEST_PROOF, bytes.fromhex(given[2:]))


def attest_inference_call(registry: str, verifier: str, data: str) -> Call:
    """Have a verifier check a proof on chain.

    Args:
        registry: The registry's address.
        verifier: The model's verifier, where :func:`verifier_address` says.
        data: Its call data, 0x and digits: what the prover wrote as ``calldata.bin``.

    Raises:
        InvalidInput: an address or the call data are malformed.
    """
    return _call(
        registry,
        abi.ATTEST_INFERENCE,
        _matching(_ADDRESS, verifier, "the verifier's address").lower(),
        bytes.fromhex(_matching(_BYTES, data, "the verifier's call data")[2:]),
    )


def attesting_call(registry: str, attest: str, answer: Answer) -> Call:
    """The call that attests an inference.

    Args:
        registry: The registry's address.
        attest: ``hash``: the proof's hash alone; ``proof``: all of it, for the verifier contract to check.
        answer: The inference.

    Raises:
        InvalidInput: there is no such way, or the model has no verifier contract.
    """
    if attest == ATTEST_HASH:
        return attest_call(registry, answer.proof_hash)
    if attest != ATTEST_PROOF:
        expected = f"{ATTEST_HASH} or {ATTEST_PROOF}"
        raise InvalidInput("not a way to attest", value=attest or "nothing", expected=expected)
    if not answer.verifier:
        raise InvalidInput(
            "the model has no verifier contract",
            value=answer.model,
            action="add it again with a chain configured, or attest the hash",
        )
    return attest_inference_call(registry, answer.verifier, answer.calldata)


def _call(registry: str, function: Function, *values: object) -> Call:
    to = _matching(_ADDRESS, registry, "the registry's address")
    return Call(to, function.call(*values), method=function.name)


def _matching(form: re.Pattern[str], text: str, what: str) -> str:
    if not form.fullmatch(text):
        raise InvalidInput(f"not {what}", value=text or "nothing", expected=form.pattern)
    return text


# ------------------------------------------------------------ the chain


async def check(chain: Chain, registry: str) -> None:
    """Find out whether a registry is where it is said to be.

    Raises:
        ConfigurationError: there is no contract, or another one.
        SinkUnavailable: no endpoint answers.
    """
    if not await chain.code(registry):
        raise ConfigurationError(
            f"chain {chain.chain_id} has no contract at the registry's address",
            value=registry,
            action="deploy one by `provery zkml deploy`, and set PROVERY_ZKML_REGISTRY",
        )
    probe = address_of(b"", NO_SALT, registry)
    said = await chain.read(registry, abi.VERIFIER_ADDRESS.call(NO_SALT, keccak256(b"")))
    if abi.VERIFIER_ADDRESS.read(said) != (probe.lower(),):
        raise ConfigurationError("the contract is no registry of inferences", value=registry)


async def standing(chain: Chain, call: Call) -> Standing:
    """What the registry says of a call now.

    A deployment is superseded where the verifier is there already, by whomever: nothing is left to do. An attestation
    never is: whoever sees one on its way can be faster with the same, and the unit that pays for it has to end with
    its answer and a receipt all the same; the registry does nothing the second time, for half the gas. An inference is
    early while its verifier is not on the chain.

    Raises:
        ConfigurationError: there is no registry at the call's address.
        InvalidInput: it is none of this module's calls.
        SinkUnavailable: no endpoint answers.
    """
    function, values = _read(call)
    if not await chain.code(call.to):
        await check(chain, call.to)
    if function is abi.DEPLOY:
        salt, code = _bytes(values[0]), _bytes(values[1])
        address = verifier_address(call.to, code, salt)
        if await chain.code(address):
            return Standing(State.SUPERSEDED, f"the verifier is at {address} already")
    elif function is abi.ATTEST_INFERENCE and not await chain.code(str(values[0])):
        return Standing(State.EARLY, f"there is no verifier at {values[0]} yet")
    return Standing(State.READY)


async def attestation(chain: Chain, call: Call, *, block: str = "latest") -> Attestation | None:
    """What the registry holds of an attesting call; None where it was never attested.

    Raises:
        ConfigurationError: the contract is no registry.
        InvalidInput: it is no attesting call.
        SinkUnavailable: no endpoint answers.
    """
    function, values = _read(call)
    if function is abi.ATTEST_PROOF:
        when, who, key = abi.PROOF_TIMESTAMP, abi.PROOF_ATTESTER, (_bytes(values[0]),)
        return await _held(chain, call.to, when, who, key, block)
    if function is abi.ATTEST_INFERENCE:
        verified = (values[0], keccak256(_bytes(values[1])))
        return await _held(chain, call.to, abi.INFERENCE_TIMESTAMP, abi.INFERENCE_ATTESTER, verified, block)
    raise InvalidInput("not an attestation", value=call.method or function.name)


async def _held(
    chain: Chain, registry: str, when: Function, who: Function, key: tuple[object, ...], block: str
) -> Attestation | None:
    (timestamp,) = when.read(await chain.read(registry, when.call(*key), block=block))
    if not isinstance(timestamp, int) or not timestamp:
        return None
    (attester,) = who.read(await chain.read(registry, who.call(*key), block=block))
    return Attestation(str(attester), timestamp)


def _read(call: Call) -> tuple[Function, tuple[object, ...]]:
    """Function and arguments of a call of this module."""
    for function in (abi.DEPLOY, abi.ATTEST_PROOF, abi.ATTEST_INFERENCE):
        if call.data[2:10].lower() == function.selector.hex():
            return function, function.arguments(call.data)
    raise InvalidInput("not a call of the registry", value=call.data[:10])


def _bytes(value: object) -> bytes:
    if not isinstance(value, bytes):
        raise InvalidInput("not bytes", value=type(value).__name__)
    return value
