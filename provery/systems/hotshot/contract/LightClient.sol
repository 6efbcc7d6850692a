// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {History} from "./History.sol";
import {ILightClient} from "./ILightClient.sol";

/// @title HotShot's newest finalised state, proved to this chain.
/// @notice Views and heights only grow. From the epoch of `epochStartBlock` on every epoch's root (five blocks before
/// its end) has to be proved, in order: it brings the next epoch's stake table, signed by the table of its own.
/// @dev The rules are modelled in ../contract_rules.py, against which random sequences of calls are replayed.
abstract contract LightClient is History {
    /// @dev Order of the scalar field of BN254, in which public inputs are.
    uint256 private constant SCALAR_FIELD =
        21888242871839275222246405745257275088548364400416034343698204186575808495617;
    /// @dev Blocks from an epoch's root to its end.
    uint64 private constant ROOT_LEAD = 5;
    /// @dev `newFinalizedState` of version 1, without stake tables.
    bytes4 private constant VERSION_1_SUBMIT = 0x2063d4f7;

    /// @notice Blocks of an epoch; 0 where there are none.
    uint64 public blocksPerEpoch;
    /// @notice Height from which stake tables change with the epochs.
    uint64 public epochStartBlock;
    /// @notice The only account that may submit states; 0 for everybody.
    address public permissionedProver;
    /// @inheritdoc ILightClient
    LightClientState public override finalizedState;
    /// @inheritdoc ILightClient
    StakeTableState public override votingStakeTableState;
    /// @notice The state that needed no proof.
    LightClientState public genesisState;
    /// @notice The table that signed the first states after it.
    StakeTableState public genesisStakeTableState;

    /// @notice Contract that checks proofs; another key takes another implementation.
    address public immutable verifier;

    /// @param verifier_ Generated from a verifying key of the circuit.
    constructor(address verifier_) {
        if (verifier_.code.length == 0) revert InvalidAddress();
        verifier = verifier_;
    }

    /// @notice Start. Called by the proxy's constructor.
    function initialize(Setup calldata setup) external initializer {
        StakeTableState calldata table = setup.stakeTable;
        if (setup.blocksPerEpoch != 0 && setup.blocksPerEpoch <= ROOT_LEAD) revert InvalidArgs();
        // Values outside the field could never be proved.
        _checkElement(setup.genesis.blockCommRoot);
        _checkElement(table.threshold);
        _checkElement(table.blsKeyComm);
        _checkElement(table.schnorrKeyComm);
        _checkElement(table.amountComm);
        _checkQuorum(table);
        if (setup.owner == address(0)) revert OwnableInvalidOwner(setup.owner);
        blocksPerEpoch = setup.blocksPerEpoch;
        epochStartBlock = setup.epochStartBlock;
        // From past an epoch's root no state could ever follow.
        if (_inEpochs(setup.genesis.blockHeight) && isGtEpochRoot(setup.genesis.blockHeight)) revert InvalidArgs();
        finalizedState = setup.genesis;
        genesisState = setup.genesis;
        votingStakeTableState = table;
        genesisStakeTableState = table;
        _setRetention(setup.stateHistoryRetentionPeriod);
        _setOwner(setup.owner);
        if (setup.permissionedProver != address(0)) _setProver(setup.permissionedProver);
    }

    /// @inheritdoc ILightClient
    function newFinalizedState(
        LightClientState calldata newState,
        StakeTableState calldata nextStakeTable,
        bytes calldata proof
    ) external override {
        if (isPermissionedProverEnabled() && msg.sender != permissionedProver) revert ProverNotPermissioned();
        LightClientState memory last = finalizedState;
        if (newState.viewNum <= last.viewNum || newState.blockHeight <= last.blockHeight) revert OutdatedState();
        bool switches = _switchesTable(last.blockHeight, newState.blockHeight);
        StakeTableState memory voting = votingStakeTableState;
        if (!switches && !_same(voting, nextStakeTable)) revert WrongStakeTableUsed();
        if (switches) _checkQuorum(nextStakeTable);
        uint256[11] memory inputs = [
            newState.viewNum,
            newState.blockHeight,
            newState.blockCommRoot,
            voting.blsKeyComm,
            voting.schnorrKeyComm,
            voting.amountComm,
            voting.threshold,
            nextStakeTable.blsKeyComm,
            nextStakeTable.schnorrKeyComm,
            nextStakeTable.amountComm,
            nextStakeTable.threshold
        ];
        if (!_verifies(proof, inputs)) revert InvalidProof();
        finalizedState = newState;
        _record(newState.blockHeight, newState.blockCommRoot);
        if (switches) {
            votingStakeTableState = nextStakeTable;
            emit NewEpoch(epochFromBlockNumber(newState.blockHeight, blocksPerEpoch) + 1);
        }
        emit NewState(newState.viewNum, newState.blockHeight, newState.blockCommRoot);
    }

    /// @notice Let only one account submit states from now on.
    function setPermissionedProver(address prover) external onlyOwner {
        if (prover == address(0)) revert InvalidAddress();
        if (prover == permissionedProver) revert NoChangeRequired();
        _setProver(prover);
    }

    /// @notice Let everybody submit states from now on.
    function disablePermissionedProverMode() external onlyOwner {
        if (!isPermissionedProverEnabled()) revert NoChangeRequired();
        permissionedProver = address(0);
        emit PermissionedProverNotRequired();
    }

    /// @notice Version of the interface: 2, stake tables change with the epochs.
    function getVersion() external pure returns (uint8 majorVersion, uint8 minorVersion, uint8 patchVersion) {
        return (2, 0, 0);
    }

    /// @notice Whether only `permissionedProver` may submit states.
    function isPermissionedProverEnabled() public view returns (bool) {
        return permissionedProver != address(0);
    }

    /// @notice Epoch of the finalised state.
    function currentEpoch() external view returns (uint64) {
        return epochFromBlockNumber(finalizedState.blockHeight, blocksPerEpoch);
    }

    /// @notice Epoch of a block: counted from 1, the last of an epoch's blocks divisible by its length; 0 without epochs.
    function epochFromBlockNumber(uint64 blockNum, uint64 perEpoch) public pure returns (uint64) {
        if (perEpoch == 0) return 0;
        if (blockNum == 0) return 1;
        return blockNum % perEpoch == 0 ? blockNum / perEpoch : blockNum / perEpoch + 1;
    }

    /// @notice Whether a block is its epoch's root: five before the last.
    function isEpochRoot(uint64 blockHeight) public view returns (bool) {
        uint64 perEpoch = blocksPerEpoch;
        if (perEpoch == 0 || blockHeight == 0) return false;
        return (uint256(blockHeight) + ROOT_LEAD) % perEpoch == 0;
    }

    /// @notice Whether a block comes after its epoch's root.
    function isGtEpochRoot(uint64 blockHeight) public view returns (bool) {
        uint64 perEpoch = blocksPerEpoch;
        if (perEpoch == 0 || blockHeight == 0) return false;
        uint64 place = blockHeight % perEpoch;
        return place == 0 || place > perEpoch - ROOT_LEAD;
    }

    /// @dev Anything else that is called.
    fallback() external {
        if (msg.sig == VERSION_1_SUBMIT) revert DeprecatedApi();
        revert();
    }

    /// @dev Whether a proof holds for these public inputs. Must not fail otherwise than by answering.
    function _verifies(bytes calldata proof, uint256[11] memory inputs) internal view virtual returns (bool);

    /// @dev Whether the step from one finalised height to another brings a new stake table; reverts where it may not
    /// be made.
    function _switchesTable(uint64 from, uint64 to) private view returns (bool) {
        if (!_inEpochs(to)) return false;
        // Blocks after the root are signed by this epoch's table, which the root has replaced.
        if (isGtEpochRoot(to)) revert InvalidArgs();
        uint64 epoch = epochFromBlockNumber(to, blocksPerEpoch);
        uint64 last = epochFromBlockNumber(from, blocksPerEpoch);
        uint64 first = epochFromBlockNumber(epochStartBlock, blocksPerEpoch);
        if (last < first) {
            if (epoch > first) revert MissingEpochRootUpdate();
        } else if (epoch > last) {
            if (epoch > last + 1 || !isEpochRoot(from)) revert MissingEpochRootUpdate();
        }
        return to >= epochStartBlock && isEpochRoot(to);
    }

    /// @dev Whether a height is in the epoch of `epochStartBlock` or a later one.
    function _inEpochs(uint64 height) private view returns (bool) {
        uint64 perEpoch = blocksPerEpoch;
        return perEpoch != 0
            && epochFromBlockNumber(height, perEpoch) >= epochFromBlockNumber(epochStartBlock, perEpoch);
    }

    function _setProver(address prover) private {
        permissionedProver = prover;
        emit PermissionedProverRequired(prover);
    }

    function _checkElement(uint256 value) private pure {
        if (value >= SCALAR_FIELD) revert InvalidArgs();
    }

    /// @dev Refuse a table whose quorum is nobody: whatever it signs would need no signature.
    function _checkQuorum(StakeTableState calldata table) private pure {
        if (table.threshold == 0 || table.schnorrKeyComm == 0 || table.amountComm == 0) revert InvalidArgs();
    }

    function _same(StakeTableState memory a, StakeTableState calldata b) private pure returns (bool) {
        return a.threshold == b.threshold && a.blsKeyComm == b.blsKeyComm
            && a.schnorrKeyComm == b.schnorrKeyComm && a.amountComm == b.amountComm;
    }
}
