// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Verifiers of models, and who showed this chain which proofs.
/// @notice Two kinds of attestation, kept apart. By hash (`attestProof`): somebody claims that a proof exists, and when;
/// nothing is checked. By proof (`attestInference`): a verifier contract accepted the proof with its public values, here.
/// @dev Nobody owns the registry and nobody is trusted by it: anyone may deploy anything and have it accept anything.
/// What an attestation by proof is worth is what its verifier is worth, so it counts for that verifier alone. Readers
/// name the verifier that they trust; its address follows from its creation code (`verifierAddress`). Random
/// sequences of calls are replayed against a model of these rules (tests/contracts).
contract InferenceRegistry {
    /// @dev One word of storage.
    struct Attestation {
        address attester;
        uint64 timestamp;
    }

    mapping(bytes32 proofHash => Attestation) private _proofs;
    mapping(address verifier => mapping(bytes32 callHash => Attestation)) private _inferences;

    /// @notice A verifier is at this address from now on.
    /// @param codeHash Keccak-256 of its creation code.
    event VerifierDeployed(address indexed verifier, bytes32 indexed salt, bytes32 codeHash);
    /// @notice An account claims that it has a proof with this hash.
    event ProofAttested(bytes32 indexed proofHash, address indexed attester, uint256 timestamp);
    /// @notice A verifier accepted a call.
    /// @param callHash Keccak-256 of the call data: selector, proof and public values.
    event InferenceAttested(
        address indexed verifier, bytes32 indexed callHash, address indexed attester, uint256 timestamp
    );

    /// @notice The creation code reverts, or leaves no code behind.
    error DeploymentFailed();
    /// @notice There is no contract at this address: silence would look like acceptance.
    error NoVerifier(address verifier);
    /// @notice The verifier does not accept the call.
    error ProofRejected(address verifier, bytes32 callHash);

    /// @notice Put a verifier on this chain, or find it there. Its address depends on salt and code, not on the sender.
    /// @param salt Another one makes another instance of the same code.
    /// @param code Creation code, constructor arguments included.
    /// @return verifier Its address, as `verifierAddress` tells beforehand.
    function deploy(bytes32 salt, bytes calldata code) external returns (address verifier) {
        bytes32 codeHash = keccak256(code);
        verifier = verifierAddress(salt, codeHash);
        if (verifier.code.length != 0) return verifier;
        bytes memory creation = code;
        address made;
        assembly ("memory-safe") {
            made := create2(0, add(creation, 32), mload(creation), salt)
        }
        // Nothing has code at the zero address, where a failed creation leads.
        if (made.code.length == 0) revert DeploymentFailed();
        emit VerifierDeployed(verifier, salt, codeHash);
    }

    /// @notice Claim that a proof exists. The first claim counts; a later one changes nothing and succeeds, so that a
    /// transaction which lost a race is not a failure.
    /// @param proofHash Keccak-256 of the proof.
    /// @return timestamp When it was first claimed.
    function attestProof(bytes32 proofHash) external returns (uint256 timestamp) {
        timestamp = _proofs[proofHash].timestamp;
        if (timestamp != 0) return timestamp;
        timestamp = block.timestamp;
        _proofs[proofHash] = Attestation(msg.sender, uint64(timestamp));
        emit ProofAttested(proofHash, msg.sender, timestamp);
    }

    /// @notice Have a verifier check a proof and record that it accepted. The first time counts; a call that was accepted
    /// before is not run again.
    /// @dev The call is static: a verifier changes nothing. It accepts by answering `true` in exactly one word, or by
    /// answering nothing at all, as verifiers do that revert otherwise; anything else is a refusal.
    /// @param verifier Contract that checks.
    /// @param call Its call data: selector, proof and public values.
    /// @return callHash Keccak-256 of `call`, the inference's name from now on.
    function attestInference(address verifier, bytes calldata call) external returns (bytes32 callHash) {
        callHash = keccak256(call);
        Attestation storage held = _inferences[verifier][callHash];
        if (held.timestamp != 0) return callHash;
        if (verifier.code.length == 0) revert NoVerifier(verifier);
        if (!_accepts(verifier, call)) revert ProofRejected(verifier, callHash);
        held.attester = msg.sender;
        held.timestamp = uint64(block.timestamp);
        emit InferenceAttested(verifier, callHash, msg.sender, block.timestamp);
    }

    /// @notice Whether somebody claimed a proof with this hash. It says nothing about what the proof shows.
    function isProofHashValid(bytes32 proofHash) external view returns (bool) {
        return _proofs[proofHash].timestamp != 0;
    }

    /// @notice When a proof was first claimed, in seconds since 1970; 0 where it never was.
    function getProofTimestamp(bytes32 proofHash) external view returns (uint256) {
        return _proofs[proofHash].timestamp;
    }

    /// @notice Who first claimed a proof; 0 where nobody did.
    function getProofAttester(bytes32 proofHash) external view returns (address) {
        return _proofs[proofHash].attester;
    }

    /// @notice Whether a verifier accepted a call.
    /// @param verifier The verifier that the reader trusts.
    /// @param callHash Keccak-256 of the call data.
    function isInferenceVerified(address verifier, bytes32 callHash) external view returns (bool) {
        return _inferences[verifier][callHash].timestamp != 0;
    }

    /// @notice When a verifier first accepted a call, in seconds since 1970; 0 where it never did.
    function getInferenceTimestamp(address verifier, bytes32 callHash) external view returns (uint256) {
        return _inferences[verifier][callHash].timestamp;
    }

    /// @notice Who first had a verifier accept a call; 0 where nobody did.
    function getInferenceAttester(address verifier, bytes32 callHash) external view returns (address) {
        return _inferences[verifier][callHash].attester;
    }

    /// @notice Where `deploy` puts creation code (EIP-1014).
    /// @param codeHash Keccak-256 of the creation code.
    function verifierAddress(bytes32 salt, bytes32 codeHash) public view returns (address) {
        return address(
            uint160(uint256(keccak256(abi.encodePacked(bytes1(0xff), address(this), salt, codeHash))))
        );
    }

    /// @dev Whether a contract answers a call with acceptance. Of a longer answer nothing is copied.
    function _accepts(address verifier, bytes calldata call) private view returns (bool accepted) {
        assembly ("memory-safe") {
            let start := mload(0x40)
            calldatacopy(start, call.offset, call.length)
            let ok := staticcall(gas(), verifier, start, call.length, 0, 32)
            switch returndatasize()
            case 0 { accepted := ok }
            case 32 { accepted := and(ok, eq(mload(0), 1)) }
        }
    }
}
