// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title An owner, one initialisation, and upgrades behind an ERC-1967 proxy (ERC-1822).
/// @notice Errors, events and functions are those of the usual libraries, so that their tools work here too.
/// @dev Occupies the first storage slot: a derived contract's variables follow, and an upgrade may only append.
abstract contract Upgradeable {
    /// @notice Version of the upgrade interface: `upgradeToAndCall` alone.
    string public constant UPGRADE_INTERFACE_VERSION = "5.0.0";

    /// @dev keccak256("eip1967.proxy.implementation") - 1.
    bytes32 internal constant IMPLEMENTATION_SLOT =
        0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc;

    /// @dev The implementation's own address: differs from `address(this)` behind a proxy.
    address private immutable _self = address(this);

    /// @notice Who may upgrade; zero once renounced.
    address public owner;
    uint64 private _version;

    event Initialized(uint64 version);
    event OwnershipTransferred(address indexed previousOwner, address indexed newOwner);
    event Upgraded(address indexed implementation);

    error InvalidInitialization();
    error OwnableInvalidOwner(address owner);
    error OwnableUnauthorizedAccount(address account);
    error UUPSUnauthorizedCallContext();
    error UUPSUnsupportedProxiableUUID(bytes32 slot);
    error ERC1967InvalidImplementation(address implementation);
    error ERC1967NonPayable();
    error FailedInnerCall();

    /// @dev An implementation is never used by itself.
    constructor() {
        _version = type(uint64).max;
        emit Initialized(type(uint64).max);
    }

    modifier onlyOwner() {
        if (msg.sender != owner) revert OwnableUnauthorizedAccount(msg.sender);
        _;
    }

    /// @dev Once in a proxy's life.
    modifier initializer() {
        if (_version != 0) revert InvalidInitialization();
        _version = 1;
        _;
        emit Initialized(1);
    }

    /// @notice Hand the contract to another owner.
    function transferOwnership(address newOwner) external onlyOwner {
        if (newOwner == address(0)) revert OwnableInvalidOwner(newOwner);
        _setOwner(newOwner);
    }

    /// @notice Give up the owner's rights for ever: no upgrade is possible afterwards.
    function renounceOwnership() external onlyOwner {
        _setOwner(address(0));
    }

    /// @notice The slot that the proxy keeps its implementation in. Answered by the implementation itself only.
    function proxiableUUID() external view returns (bytes32) {
        if (address(this) != _self) revert UUPSUnauthorizedCallContext();
        return IMPLEMENTATION_SLOT;
    }

    /// @notice Use another implementation from now on.
    /// @param newImplementation Its address; it must answer `proxiableUUID`.
    /// @param data A call to make on it in the proxy's storage; empty for none.
    function upgradeToAndCall(address newImplementation, bytes calldata data) external payable onlyOwner {
        address current;
        assembly ("memory-safe") {
            current := sload(IMPLEMENTATION_SLOT)
        }
        if (address(this) == _self || current != _self) revert UUPSUnauthorizedCallContext();
        (bool ok, bytes memory answer) =
            newImplementation.staticcall(abi.encodeCall(Upgradeable.proxiableUUID, ()));
        // An address without code succeeds with an empty answer.
        if (!ok || answer.length != 32) revert ERC1967InvalidImplementation(newImplementation);
        bytes32 slot = abi.decode(answer, (bytes32));
        if (slot != IMPLEMENTATION_SLOT) revert UUPSUnsupportedProxiableUUID(slot);
        assembly ("memory-safe") {
            sstore(IMPLEMENTATION_SLOT, newImplementation)
        }
        emit Upgraded(newImplementation);
        if (data.length == 0) {
            if (msg.value != 0) revert ERC1967NonPayable();
            return;
        }
        (ok, answer) = newImplementation.delegatecall(data);
        if (ok) return;
        if (answer.length == 0) revert FailedInnerCall();
        assembly ("memory-safe") {
            revert(add(answer, 32), mload(answer))
        }
    }

    function _setOwner(address newOwner) internal {
        emit OwnershipTransferred(owner, newOwner);
        owner = newOwner;
    }
}
