// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title What a HotShot light client tells and takes.
/// @notice The reads, events and errors have the signatures of the deployed light client, version 2, so that whoever
/// reads that one reads this one. Heights and views are HotShot's, never this chain's.
interface ILightClient {
    /// @notice A state that HotShot has finalised.
    /// @param viewNum View in which it was finalised.
    /// @param blockHeight Height of its newest block.
    /// @param blockCommRoot Root of the Merkle tree over the commitments of all blocks below that height: an element
    /// of the scalar field of BN254.
    struct LightClientState {
        uint64 viewNum;
        uint64 blockHeight;
        uint256 blockCommRoot;
    }

    /// @notice Commitments to a stake table, column by column, and what a quorum of it weighs.
    /// @dev The threshold comes first here and last among a proof's public inputs.
    /// @param threshold Least total stake whose signatures finalise a state.
    /// @param blsKeyComm Commitment to the BLS keys.
    /// @param schnorrKeyComm Commitment to the Schnorr keys, with which states are signed.
    /// @param amountComm Commitment to the stakes.
    struct StakeTableState {
        uint256 threshold;
        uint256 blsKeyComm;
        uint256 schnorrKeyComm;
        uint256 amountComm;
    }

    /// @notice What a light client starts from.
    /// @param genesis State that needs no proof.
    /// @param stakeTable Table that signs the first states after it.
    /// @param blocksPerEpoch Blocks of an epoch, more than 5; 0 where there are no epochs.
    /// @param epochStartBlock Height from which stake tables change with the epochs.
    /// @param stateHistoryRetentionPeriod Seconds for which the history of states is kept.
    /// @param owner Who may upgrade and name the permissioned prover.
    /// @param permissionedProver The only account that may submit states; 0 for everybody.
    struct Setup {
        LightClientState genesis;
        StakeTableState stakeTable;
        uint64 blocksPerEpoch;
        uint64 epochStartBlock;
        uint32 stateHistoryRetentionPeriod;
        address owner;
        address permissionedProver;
    }

    /// @notice A state was proved.
    event NewState(uint64 indexed viewNum, uint64 indexed blockHeight, uint256 blockCommRoot);
    /// @notice The stake table of this epoch has been proved and signs from now on.
    event NewEpoch(uint64 epoch);
    /// @notice Only this account may submit states from now on.
    event PermissionedProverRequired(address permissionedProver);
    /// @notice Everybody may submit states from now on.
    event PermissionedProverNotRequired();

    /// @notice View or height is not above the finalised state's.
    error OutdatedState();
    /// @notice The root of an epoch before this state's has to be proved first.
    error MissingEpochRootUpdate();
    /// @notice The proof does not show what it should.
    error InvalidProof();
    /// @notice The sender is not the permissioned prover.
    error ProverNotPermissioned();
    /// @notice No state of this kind, no such setting, and no stake table whose quorum is nobody, is ever taken.
    error InvalidArgs();
    /// @notice A function of an earlier version.
    error DeprecatedApi();
    /// @notice A state that is not an epoch's root names another next stake table than the voting one.
    error WrongStakeTableUsed();
    /// @notice The address is zero.
    error InvalidAddress();
    /// @notice It is so already.
    error NoChangeRequired();
    /// @notice History has not been kept that far, or is too short to tell.
    error InsufficientSnapshotHistory();
    /// @notice No proved state covers this HotShot block.
    error InvalidHotShotBlockForCommitmentCheck();
    /// @notice The retention period is under an hour, over a year, or not longer than now.
    error InvalidMaxStateHistory();

    /// @notice Prove a state, and at an epoch's root the next epoch's stake table with it.
    /// @param newState The state, of a higher view and height than the finalised one.
    /// @param nextStakeTable At an epoch's root the table of the next epoch; else the voting table.
    /// @param proof What the prover wrote, as the verifier takes it.
    function newFinalizedState(
        LightClientState calldata newState,
        StakeTableState calldata nextStakeTable,
        bytes calldata proof
    ) external;

    /// @notice The newest proved state.
    function finalizedState()
        external
        view
        returns (uint64 viewNum, uint64 blockHeight, uint256 blockCommRoot);

    /// @notice The table whose signatures count now.
    function votingStakeTableState()
        external
        view
        returns (uint256 threshold, uint256 blsKeyComm, uint256 schnorrKeyComm, uint256 amountComm);
}
