"""Calls to the registry of inferences and to generated verifiers, and what they answer, as bytes. No I/O."""

from __future__ import annotations

from provery.core.abi import Event, Function, keccak256

DEPLOY = Function("deploy", ("bytes32", "bytes"), ("address",))
"""Put a verifier on the chain, or find it there."""
ATTEST_PROOF = Function("attestProof", ("bytes32",), ("uint256",))
"""Claim that a proof exists."""
ATTEST_INFERENCE = Function("attestInference", ("address", "bytes"), ("bytes32",))
"""Have a verifier check a call and record that it accepted."""
IS_PROOF_HASH_VALID = Function("isProofHashValid", ("bytes32",), ("bool",))
PROOF_TIMESTAMP = Function("getProofTimestamp", ("bytes32",), ("uint256",))
PROOF_ATTESTER = Function("getProofAttester", ("bytes32",), ("address",))
IS_INFERENCE_VERIFIED = Function("isInferenceVerified", ("address", "bytes32"), ("bool",))
INFERENCE_TIMESTAMP = Function("getInferenceTimestamp", ("address", "bytes32"), ("uint256",))
INFERENCE_ATTESTER = Function("getInferenceAttester", ("address", "bytes32"), ("address",))
VERIFIER_ADDRESS = Function("verifierAddress", ("bytes32", "bytes32"), ("address",))
FUNCTIONS = (
    DEPLOY,
    ATTEST_PROOF,
    ATTEST_INFERENCE,
    IS_PROOF_HASH_VALID,
    PROOF_TIMESTAMP,
    PROOF_ATTESTER,
    IS_INFERENCE_VERIFIED,
    INFERENCE_TIMESTAMP,
    INFERENCE_ATTESTER,
    VERIFIER_ADDRESS,
)
"""Every function of the registry."""

VERIFIER_DEPLOYED = Event("VerifierDeployed", ("address", "bytes32"), ("bytes32",))
PROOF_ATTESTED = Event("ProofAttested", ("bytes32", "address"), ("uint256",))
INFERENCE_ATTESTED = Event("InferenceAttested", ("address", "bytes32", "address"), ("uint256",))
EVENTS = (VERIFIER_DEPLOYED, PROOF_ATTESTED, INFERENCE_ATTESTED)

ERRORS = ("DeploymentFailed()", "NoVerifier(address)", "ProofRejected(address,bytes32)")
"""Custom errors of the registry: ``Contract(errors=ERRORS)`` has a chain name them."""


def call_hash(call: bytes) -> str:
    """Name of an inference on chain: Keccak-256 of the verifier's call data, 0x and 64 digits."""
    return "0x" + keccak256(call).hex()
