// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Groth16LightClient} from "contract/Groth16LightClient.sol";
import {ILightClient} from "contract/ILightClient.sol";
import {Proxy} from "contract/Proxy.sol";
import {HashVerifier} from "./HashVerifier.sol";

interface Vm {
    function envString(string calldata name) external view returns (string memory);
    function envUint(string calldata name) external view returns (uint256);
    function prank(address sender) external;
    function readFileBinary(string calldata path) external view returns (bytes memory);
    function toString(uint256 value) external pure returns (string memory);
}

/// @title Replays sequences of calls that a model of the rules has answered, and holds each step to what must always
/// be so. The files are written by tests/contracts/sequences.py, which says what is in them.
contract ReplayTest {
    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    address private constant OWNER = address(0x0123);
    uint256 private constant SETUP_WORDS = 12;
    uint256 private constant STEP_WORDS = 12;

    struct Seen {
        uint64 viewNum;
        uint64 height;
        uint256 root;
        uint64 epoch;
        bool atRoot;
        bytes32 table;
        address prover;
    }

    Groth16LightClient private implementation;
    uint256 public accepted;
    uint256 public refused;
    uint256 public switched;

    function setUp() public {
        implementation = new Groth16LightClient(address(new HashVerifier()));
    }

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
        emit Counted(accepted, refused, switched);
        require(accepted > 0 && refused > 0 && switched > 0, "the sequences show nothing");
    }

    event Counted(uint256 accepted, uint256 refused, uint256 switched);

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

    function _sequence(bytes memory data, uint256 place) private returns (uint256) {
        ILightClient.Setup memory setup;
        setup.genesis.viewNum = uint64(_word(data, place));
        setup.genesis.blockHeight = uint64(_word(data, place + 1));
        setup.genesis.blockCommRoot = _word(data, place + 2);
        setup.stakeTable.threshold = _word(data, place + 3);
        setup.stakeTable.blsKeyComm = _word(data, place + 4);
        setup.stakeTable.schnorrKeyComm = _word(data, place + 5);
        setup.stakeTable.amountComm = _word(data, place + 6);
        setup.blocksPerEpoch = uint64(_word(data, place + 7));
        setup.epochStartBlock = uint64(_word(data, place + 8));
        setup.permissionedProver = address(uint160(_word(data, place + 9)));
        setup.stateHistoryRetentionPeriod = 1 hours;
        setup.owner = OWNER;
        bytes4 expected = bytes4(bytes32(_word(data, place + 10) << 224));
        uint256 steps = _word(data, place + 11);
        place += SETUP_WORDS;
        try new Proxy(address(implementation), abi.encodeCall(implementation.initialize, (setup))) returns (
            Proxy made
        ) {
            require(expected == 0, "a setup was taken that the model refuses");
            Groth16LightClient client = Groth16LightClient(payable(address(made)));
            for (uint256 i = 0; i < steps; ++i) {
                _step(client, data, place);
                place += STEP_WORDS;
            }
        } catch (bytes memory reason) {
            require(bytes4(reason) == expected && expected != 0, "a setup was refused otherwise than in the model");
            require(steps == 0);
        }
        return place;
    }

    function _step(Groth16LightClient client, bytes memory data, uint256 place) private {
        Seen memory before = _look(client);
        address sender = address(uint160(_word(data, place + 1)));
        (bool ok, bytes memory answer) = _call(client, data, place, sender);
        uint256 expected = _word(data, place + 10);
        if (expected == 0) {
            require(ok, "the contract refuses what the model takes");
            ++accepted;
        } else {
            require(!ok, "the contract takes what the model refuses");
            require(bytes4(answer) == bytes4(bytes32(expected << 224)), "another error than the model's");
            ++refused;
        }
        Seen memory afterwards = _look(client);
        require(_digest(client) == bytes32(_word(data, place + 11)), "another state than the model's");
        _invariants(client, before, afterwards, sender, _word(data, place) == 0);
    }

    function _call(Groth16LightClient client, bytes memory data, uint256 place, address sender)
        private
        returns (bool, bytes memory)
    {
        uint256 kind = _word(data, place);
        bytes memory call;
        if (kind == 0) {
            call = abi.encodeCall(
                client.newFinalizedState,
                (
                    ILightClient.LightClientState(
                        uint64(_word(data, place + 2)), uint64(_word(data, place + 3)), _word(data, place + 4)
                    ),
                    ILightClient.StakeTableState(
                        _word(data, place + 5), _word(data, place + 6), _word(data, place + 7), _word(data, place + 8)
                    ),
                    abi.encode(_word(data, place + 9))
                )
            );
        } else if (kind == 1) {
            call = abi.encodeCall(client.setPermissionedProver, (address(uint160(_word(data, place + 2)))));
        } else {
            call = abi.encodeCall(client.disablePermissionedProverMode, ());
        }
        vm.prank(sender);
        return address(client).call(call);
    }

    function _look(Groth16LightClient client) private view returns (Seen memory seen) {
        (seen.viewNum, seen.height, seen.root) = client.finalizedState();
        seen.epoch = client.currentEpoch();
        seen.atRoot = client.isEpochRoot(seen.height);
        (uint256 t, uint256 b, uint256 s, uint256 a) = client.votingStakeTableState();
        seen.table = keccak256(abi.encode(t, b, s, a));
        seen.prover = client.permissionedProver();
    }

    function _digest(Groth16LightClient client) private view returns (bytes32) {
        (uint64 v, uint64 h, uint256 r) = client.finalizedState();
        (uint256 t, uint256 b, uint256 s, uint256 a) = client.votingStakeTableState();
        return keccak256(abi.encode(v, h, r, t, b, s, a, client.permissionedProver()));
    }

    /// @dev What must hold between any two moments of a light client's life, whatever the model says.
    function _invariants(
        Groth16LightClient client,
        Seen memory a,
        Seen memory b,
        address sender,
        bool submission
    ) private {
        bool moved = b.height != a.height;
        if (b.prover != a.prover) require(!submission && sender == OWNER, "the prover changed by a stranger");
        if (!moved) {
            require(a.viewNum == b.viewNum && a.root == b.root && a.table == b.table, "half a state changed");
            return;
        }
        require(submission, "a state changed without a proof");
        require(b.height > a.height && b.viewNum > a.viewNum, "height or view went back");
        require(a.prover == address(0) || sender == a.prover, "a stranger's proof was taken");
        uint64 perEpoch = client.blocksPerEpoch();
        uint64 start = client.epochStartBlock();
        uint64 first = client.epochFromBlockNumber(start, perEpoch);
        if (perEpoch != 0 && b.epoch >= first) {
            uint64 from = a.epoch < first ? first : a.epoch;
            require(b.epoch == from || (a.epoch >= first && b.epoch == from + 1 && a.atRoot), "an epoch was skipped");
            require(b.height <= uint256(b.epoch) * perEpoch - 5, "a height past its epoch's root");
        }
        if (a.table != b.table) {
            ++switched;
            require(b.atRoot && b.height >= start && b.epoch >= first, "the table changed between roots");
        }
    }
}
