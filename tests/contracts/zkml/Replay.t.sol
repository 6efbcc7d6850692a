// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {InferenceRegistry} from "contract/InferenceRegistry.sol";

interface Vm {
    function envString(string calldata name) external view returns (string memory);
    function envUint(string calldata name) external view returns (uint256);
    function etch(address target, bytes calldata code) external;
    function prank(address sender) external;
    function readFileBinary(string calldata path) external view returns (bytes memory);
    function toString(uint256 value) external pure returns (string memory);
    function warp(uint256 timestamp) external;
}

/// @title Replays sequences of calls that a model of the registry has answered, byte for byte. The files are written by
/// tests/contracts/registry.py, which says what is in them.
contract ReplayTest {
    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    uint256 public accepted;
    uint256 public refused;
    uint256 public attested;

    event Counted(uint256 accepted, uint256 refused, uint256 attested);

    function testReplay() public {
        string memory folder = vm.envString("PROVERY_REPLAY");
        uint256 files = vm.envUint("PROVERY_REPLAY_FILES");
        uint256 free;
        assembly {
            free := mload(0x40)
        }
        for (uint256 i = 0; i < files; ++i) {
            _file(vm.readFileBinary(string.concat(folder, "/", vm.toString(i))));
            assembly {
                mstore(0x40, free) // memory that costs more the more there is
            }
        }
        emit Counted(accepted, refused, attested);
        require(accepted > 0 && refused > 0 && attested > 0, "the sequences show nothing");
    }

    function _file(bytes memory data) private {
        uint256 free;
        assembly {
            free := mload(0x40)
        }
        uint256 place = 0;
        while (place < data.length / 32) {
            place = _sequence(data, place);
            assembly {
                mstore(0x40, free) // what a sequence allocated is used no more
            }
        }
    }

    function _word(bytes memory data, uint256 place) private pure returns (uint256 value) {
        assembly {
            value := mload(add(add(data, 32), mul(place, 32)))
        }
    }

    function _address(bytes memory data, uint256 place) private pure returns (address) {
        return address(uint160(_word(data, place)));
    }

    function _blob(bytes memory data, uint256 place, uint256 length) private pure returns (bytes memory blob) {
        blob = new bytes(length);
        for (uint256 i = 0; i < (length + 31) / 32; ++i) {
            uint256 word = _word(data, place + i);
            assembly {
                mstore(add(add(blob, 32), mul(i, 32)), word)
            }
        }
    }

    function _sequence(bytes memory data, uint256 place) private returns (uint256) {
        InferenceRegistry registry = InferenceRegistry(_address(data, place));
        require(address(registry).code.length == 0, "two sequences have one registry");
        vm.etch(address(registry), type(InferenceRegistry).runtimeCode);
        uint256 steps = _word(data, place + 1);
        place += 2;
        for (uint256 i = 0; i < steps; ++i) {
            place = _step(registry, data, place);
        }
        return _end(registry, data, place);
    }

    function _step(InferenceRegistry registry, bytes memory data, uint256 place) private returns (uint256) {
        uint256 length = _word(data, place + 7);
        uint256 kind = _word(data, place);
        bytes memory blob = _blob(data, place + 8, length);
        vm.warp(_word(data, place + 2));
        vm.prank(_address(data, place + 1));
        bytes memory call = _call(registry, kind, _word(data, place + 3), blob);
        // A bound, as some of what is called uses up all that there is.
        (bool ok, bytes memory answer) = address(registry).call{gas: 10_000_000}(call);
        require(ok == (_word(data, place + 4) == 1), ok ? "taken, not by the model" : "refused, not by the model");
        require(keccak256(answer) == bytes32(_word(data, place + 5)), "another answer than the model's");
        if (ok) ++accepted;
        else ++refused;
        bytes32 held;
        if (kind == 1) {
            held = _proof(registry, bytes32(_word(data, place + 3)));
        } else if (kind == 2) {
            held = _inference(registry, _address(data, place + 3), keccak256(blob));
            if (ok) ++attested;
        } else {
            held = ok ? keccak256(abi.decode(answer, (address)).code) : bytes32(0);
        }
        require(held == bytes32(_word(data, place + 6)), "the registry holds another thing than the model");
        return place + 8 + (length + 31) / 32;
    }

    function _call(InferenceRegistry registry, uint256 kind, uint256 word, bytes memory blob)
        private
        pure
        returns (bytes memory)
    {
        if (kind == 0) return abi.encodeCall(registry.deploy, (bytes32(word), blob));
        if (kind == 1) return abi.encodeCall(registry.attestProof, (bytes32(word)));
        return abi.encodeCall(registry.attestInference, (address(uint160(word)), blob));
    }

    /// @dev After a sequence: everything that it could have touched, so that nothing else was.
    function _end(InferenceRegistry registry, bytes memory data, uint256 place) private view returns (uint256) {
        uint256 proofs = _word(data, place);
        uint256 verifiers = _word(data, place + 1);
        uint256 calls = _word(data, place + 2);
        bytes32 whole = bytes32(_word(data, place + 3));
        place += 4;
        bytes32 seen;
        for (uint256 i = 0; i < proofs; ++i) {
            seen = keccak256(abi.encode(seen, _proof(registry, bytes32(_word(data, place + i)))));
        }
        place += proofs;
        for (uint256 i = 0; i < verifiers; ++i) {
            address verifier = _address(data, place + i);
            for (uint256 j = 0; j < calls; ++j) {
                bytes32 callHash = bytes32(_word(data, place + verifiers + j));
                seen = keccak256(abi.encode(seen, _inference(registry, verifier, callHash)));
            }
        }
        require(seen == whole, "the registry holds another thing in the end");
        return place + verifiers + calls;
    }

    function _proof(InferenceRegistry registry, bytes32 proofHash) private view returns (bytes32) {
        uint256 timestamp = registry.getProofTimestamp(proofHash);
        address attester = registry.getProofAttester(proofHash);
        require(registry.isProofHashValid(proofHash) == (timestamp != 0), "valid without a time");
        return keccak256(abi.encode(timestamp, attester));
    }

    function _inference(InferenceRegistry registry, address verifier, bytes32 callHash) private view returns (bytes32) {
        uint256 timestamp = registry.getInferenceTimestamp(verifier, callHash);
        address attester = registry.getInferenceAttester(verifier, callHash);
        require(registry.isInferenceVerified(verifier, callHash) == (timestamp != 0), "verified without a time");
        return keccak256(abi.encode(timestamp, attester));
    }
}
