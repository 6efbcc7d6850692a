// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {LightClient} from "./LightClient.sol";

/// @notice The verifier that gnark (0.16) generates from a PLONK key.
interface IPlonkVerifier {
    /// @dev Answers false where the proof does not hold, and reverts where it, or an input, is malformed.
    function Verify(bytes calldata proof, uint256[] calldata publicInputs) external view returns (bool success);
}

/// @title A light client whose proofs are PLONK: 768 bytes.
contract PlonkLightClient is LightClient {
    constructor(address verifier_) LightClient(verifier_) {}

    function _verifies(bytes calldata proof, uint256[11] memory inputs) internal view override returns (bool) {
        uint256[] memory publicInputs = new uint256[](11);
        for (uint256 i = 0; i < 11; ++i) {
            publicInputs[i] = inputs[i];
        }
        try IPlonkVerifier(verifier).Verify(proof, publicInputs) returns (bool success) {
            return success;
        } catch {
            return false;
        }
    }
}
