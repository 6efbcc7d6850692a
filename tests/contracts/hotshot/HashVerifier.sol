// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @dev In place of a generated verifier: a proof holds if it is the hash of the public inputs.
contract HashVerifier {
    function verifyProof(bytes calldata proof, uint256[11] calldata input) external pure {
        require(proof.length == 32 && bytes32(proof) == keccak256(abi.encode(input)));
    }
}
