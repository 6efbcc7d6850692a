// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ILightClient} from "./ILightClient.sol";
import {Upgradeable} from "./Upgradeable.sol";

/// @title The states that were proved, with when this chain learnt of each.
/// @notice Rollups look up here which root covers a HotShot block, and whether HotShot's states stopped coming.
/// @dev Follows `Upgradeable` in storage.
abstract contract History is ILightClient, Upgradeable {
    /// @notice One proved state.
    struct StateHistoryCommitment {
        uint64 l1BlockHeight;
        uint64 l1BlockTimestamp;
        uint64 hotShotBlockHeight;
        uint256 hotShotBlockCommRoot;
    }

    uint32 private constant SHORTEST = 1 hours;
    uint32 private constant LONGEST = 365 days;

    /// @notice Every proved state in order; those before `stateHistoryFirstIndex` have been cleared.
    StateHistoryCommitment[] public stateHistoryCommitments;
    /// @notice Index of the oldest state that is kept.
    uint64 public stateHistoryFirstIndex;
    /// @notice Seconds for which a state is kept at least.
    uint32 public stateHistoryRetentionPeriod;

    /// @notice Keep history longer; what readers rely on is never taken from them.
    function setStateHistoryRetentionPeriod(uint32 historySeconds) external onlyOwner {
        if (historySeconds <= stateHistoryRetentionPeriod) revert InvalidMaxStateHistory();
        _setRetention(historySeconds);
    }

    /// @notice States proved so far, cleared ones included.
    function getStateHistoryCount() external view returns (uint256) {
        return stateHistoryCommitments.length;
    }

    /// @notice Height of this chain.
    function currentBlockNumber() public view virtual returns (uint256) {
        return block.number;
    }

    /// @notice The first proved root that covers a HotShot block, and the height it is of.
    /// @param hotShotBlockHeight Height of the block: below the newest proved state's.
    function getHotShotCommitment(uint256 hotShotBlockHeight)
        external
        view
        returns (uint256 hotShotBlockCommRoot, uint64 hotshotBlockHeight)
    {
        uint256 low = stateHistoryFirstIndex;
        uint256 high = stateHistoryCommitments.length;
        // A root covers the blocks below its height.
        if (high == 0 || hotShotBlockHeight >= stateHistoryCommitments[high - 1].hotShotBlockHeight) {
            revert InvalidHotShotBlockForCommitmentCheck();
        }
        while (low < high) {
            uint256 middle = (low + high) / 2;
            if (stateHistoryCommitments[middle].hotShotBlockHeight > hotShotBlockHeight) high = middle;
            else low = middle + 1;
        }
        StateHistoryCommitment storage found = stateHistoryCommitments[low];
        return (found.hotShotBlockCommRoot, found.hotShotBlockHeight);
    }

    /// @notice Whether at a block of this chain the newest state was more than so many blocks old.
    /// @param blockNumber Block of this chain, not in the future.
    /// @param blockThreshold Blocks that may pass between two states.
    function lagOverEscapeHatchThreshold(uint256 blockNumber, uint256 blockThreshold)
        external
        view
        returns (bool)
    {
        uint256 low = stateHistoryFirstIndex;
        uint256 high = stateHistoryCommitments.length;
        // Two states may be the genesis and its first successor, which say nothing about how often states come.
        if (blockNumber > currentBlockNumber() || high < 3) revert InsufficientSnapshotHistory();
        while (low < high) {
            uint256 middle = (low + high) / 2;
            if (stateHistoryCommitments[middle].l1BlockHeight > blockNumber) high = middle;
            else low = middle + 1;
        }
        if (low == stateHistoryFirstIndex) revert InsufficientSnapshotHistory();
        return blockNumber - stateHistoryCommitments[low - 1].l1BlockHeight > blockThreshold;
    }

    function _setRetention(uint32 historySeconds) internal {
        if (historySeconds < SHORTEST || historySeconds > LONGEST) revert InvalidMaxStateHistory();
        stateHistoryRetentionPeriod = historySeconds;
    }

    /// @dev Appends a state and clears at most one that is old enough: the storage in use stays bounded.
    function _record(uint64 height, uint256 root) internal {
        uint64 first = stateHistoryFirstIndex;
        if (first < stateHistoryCommitments.length) {
            uint256 age = block.timestamp - stateHistoryCommitments[first].l1BlockTimestamp;
            if (age >= stateHistoryRetentionPeriod) {
                delete stateHistoryCommitments[first];
                stateHistoryFirstIndex = first + 1;
            }
        }
        stateHistoryCommitments.push(
            StateHistoryCommitment(uint64(currentBlockNumber()), uint64(block.timestamp), height, root)
        );
    }
}
