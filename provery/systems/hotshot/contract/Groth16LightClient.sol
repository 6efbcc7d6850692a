// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {LightClient} from "./LightClient.sol";

/// @notice The verifier that gnark (0.16) generates from a Groth16 key of a circuit without commitments.
interface IGroth16Verifier {
    /// @dev Reverts where the proof does not hold, is not 256 bytes long, or an input is not in the field.
    function verifyProof(bytes calldata proof, uint256[11] calldata input) external view;
}

/// @title A light client whose proofs are Groth16: the points A, B and C, uncompressed, in 256 bytes.
contract Groth16LightClient is LightClient {
    constructor(address verifier_) LightClient(verifier_) {}

    function _verifies(bytes calldata proof, uint256[11] memory inputs) internal view override returns (bool) {
        try IGroth16Verifier(verifier).verifyProof(proof, inputs) {
            return true;
        } catch {
            return false;
        }
    }
}
