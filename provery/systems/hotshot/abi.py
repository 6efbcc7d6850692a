"""Calls to a light-client contract, and what it answers, as bytes. No I/O.

The reads, events and errors are those of the deployed light client, version 2 (``vectors/LightClientV2.abi.json``), and
of the one in ``contract/``. Proofs are submitted in two shapes: :func:`submit_call` for ours, :func:`submit_plonk_call`
for the deployed one. On chain a stake table's threshold comes first, in a proof's public inputs last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from provery.core.abi import Event, Function, keccak256, selector
from provery.core.errors import InvalidInput
from provery.systems.hotshot.model import LightClientState, StakeTableState

STATE = "(uint64,uint64,uint256)"
STAKE_TABLE = "(uint256,uint256,uint256,uint256)"
_POINT = "(uint256,uint256)"
PLONK_POINTS = 13
"""Commitments of a PlonkProof: wire0 to wire4, prodPerm, split0 to split4, zeta, zetaOmega."""
PLONK_SCALARS = 10
"""Its evaluations: wireEval0 to 4, sigmaEval0 to 3, prodPermZetaOmegaEval."""
PLONK_WORDS = 2 * PLONK_POINTS + PLONK_SCALARS
PLONK_PROOF = f"({','.join([_POINT] * PLONK_POINTS + ['uint256'] * PLONK_SCALARS)})"
BASE_FIELD = 21888242871839275222246405745257275088696311157297823662689037894645226208583
"""Order of the field that BN254's points have their coordinates in."""
SCALAR_FIELD = 21888242871839275222246405745257275088548364400416034343698204186575808495617
"""Order of the field of BN254's scalars, and of public inputs."""


SUBMIT = Function("newFinalizedState", (STATE, STAKE_TABLE, "bytes"))
"""Submit to our light client."""
SUBMIT_PLONK = Function("newFinalizedState", (STATE, STAKE_TABLE, PLONK_PROOF))
"""Submit to the deployed light client, version 2."""
SUBMIT_V1 = Function("newFinalizedState", (STATE, PLONK_PROOF))
"""Submit to version 1; both light clients of version 2 answer DeprecatedApi."""
SETUP = f"({STATE},{STAKE_TABLE},uint64,uint64,uint32,address,address)"
INITIALIZE = Function("initialize", (SETUP,))
"""Start our light client; part of its proxy's creation."""

_STATE_FIELDS = ("uint64", "uint64", "uint256")
_TABLE_FIELDS = ("uint256",) * 4
FINALIZED_STATE = Function("finalizedState", (), _STATE_FIELDS)
GENESIS_STATE = Function("genesisState", (), _STATE_FIELDS)
VOTING_STAKE_TABLE = Function("votingStakeTableState", (), _TABLE_FIELDS)
GENESIS_STAKE_TABLE = Function("genesisStakeTableState", (), _TABLE_FIELDS)
BLOCKS_PER_EPOCH = Function("blocksPerEpoch", (), ("uint64",))
EPOCH_START_BLOCK = Function("epochStartBlock", (), ("uint64",))
CURRENT_EPOCH = Function("currentEpoch", (), ("uint64",))
PERMISSIONED = Function("isPermissionedProverEnabled", (), ("bool",))
PERMISSIONED_PROVER = Function("permissionedProver", (), ("address",))
VERSION = Function("getVersion", (), ("uint8", "uint8", "uint8"))
IS_EPOCH_ROOT = Function("isEpochRoot", ("uint64",), ("bool",))
IS_PAST_EPOCH_ROOT = Function("isGtEpochRoot", ("uint64",), ("bool",))
EPOCH_OF = Function("epochFromBlockNumber", ("uint64", "uint64"), ("uint64",))
OWNER = Function("owner", (), ("address",))
HISTORY_COUNT = Function("getStateHistoryCount", (), ("uint256",))
HISTORY_ENTRY = Function("stateHistoryCommitments", ("uint256",), ("uint64", "uint64", "uint64", "uint256"))
HISTORY_FIRST = Function("stateHistoryFirstIndex", (), ("uint64",))
HISTORY_RETENTION = Function("stateHistoryRetentionPeriod", (), ("uint32",))
COMMITMENT_OF = Function("getHotShotCommitment", ("uint256",), ("uint256", "uint64"))
LAGS = Function("lagOverEscapeHatchThreshold", ("uint256", "uint256"), ("bool",))
L1_BLOCK = Function("currentBlockNumber", (), ("uint256",))
UPGRADE_INTERFACE = Function("UPGRADE_INTERFACE_VERSION", (), ("string",))
PROXIABLE = Function("proxiableUUID", (), ("bytes32",))
VERIFIER = Function("verifier", (), ("address",))
"""Where our light client has its proofs checked; the deployed one does it by itself, and has no such function."""
READS = (
    FINALIZED_STATE,
    GENESIS_STATE,
    VOTING_STAKE_TABLE,
    GENESIS_STAKE_TABLE,
    BLOCKS_PER_EPOCH,
    EPOCH_START_BLOCK,
    CURRENT_EPOCH,
    PERMISSIONED,
    PERMISSIONED_PROVER,
    VERSION,
    IS_EPOCH_ROOT,
    IS_PAST_EPOCH_ROOT,
    EPOCH_OF,
    OWNER,
    HISTORY_COUNT,
    HISTORY_ENTRY,
    HISTORY_FIRST,
    HISTORY_RETENTION,
    COMMITMENT_OF,
    LAGS,
    L1_BLOCK,
    UPGRADE_INTERFACE,
    PROXIABLE,
)
"""Every read of the deployed light client but the verifying key of its own circuit, and all that ours answers to."""

IMPLEMENTATION_SLOT = int.from_bytes(keccak256(b"eip1967.proxy.implementation")) - 1
"""Storage slot of an ERC-1967 proxy's implementation: zero where a contract is no such proxy."""

ERRORS = (
    "OutdatedState()",
    "MissingEpochRootUpdate()",
    "InvalidProof()",
    "ProverNotPermissioned()",
    "InvalidArgs()",
    "DeprecatedApi()",
    "WrongStakeTableUsed()",
    "InvalidAddress()",
    "NoChangeRequired()",
    "InsufficientSnapshotHistory()",
    "InvalidHotShotBlockForCommitmentCheck()",
    "InvalidMaxStateHistory()",
    "InvalidInitialization()",
    "NotInitializing()",
    "OwnableInvalidOwner(address)",
    "OwnableUnauthorizedAccount(address)",
    "UUPSUnauthorizedCallContext()",
    "UUPSUnsupportedProxiableUUID(bytes32)",
    "ERC1967InvalidImplementation(address)",
    "ERC1967NonPayable()",
    "AddressEmptyCode(address)",
    "FailedInnerCall()",
)
"""Custom errors of both light clients: ``Contract(errors=ERRORS)`` has a chain name them."""
_ERRORS = {selector(signature): signature for signature in ERRORS}


NEW_STATE = Event("NewState", ("uint64", "uint64"), ("uint256",))
"""A state was proved: view, height, root."""
NEW_EPOCH = Event("NewEpoch", (), ("uint64",))
"""The stake table of this epoch signs from now on."""
PROVER_REQUIRED = Event("PermissionedProverRequired", (), ("address",))
PROVER_NOT_REQUIRED = Event("PermissionedProverNotRequired")
UPGRADED = Event("Upgraded", ("address",))
INITIALIZED = Event("Initialized", (), ("uint64",))
OWNERSHIP_TRANSFERRED = Event("OwnershipTransferred", ("address", "address"))
EVENTS = (
    NEW_STATE,
    NEW_EPOCH,
    PROVER_REQUIRED,
    PROVER_NOT_REQUIRED,
    UPGRADED,
    INITIALIZED,
    OWNERSHIP_TRANSFERRED,
)


def error_name(data: bytes) -> str:
    """Name of the custom error in a revert's data; empty for any other."""
    return _ERRORS.get(data[:4], "").partition("(")[0]


def state_of(values: Sequence[object]) -> LightClientState:
    """A state from three words: view, height, root."""
    view, height, root = values
    return LightClientState(_int(view), _int(height), _int(root))


def stake_table_of(values: Sequence[object]) -> StakeTableState:
    """A stake table's state from four words, the threshold first."""
    threshold, bls, schnorr, amount = values
    return StakeTableState(_int(bls), _int(schnorr), _int(amount), _int(threshold))


def state_words(state: LightClientState) -> tuple[int, int, int]:
    """A state as the contract takes it."""
    return state.view, state.height, state.block_comm_root


def stake_table_words(table: StakeTableState) -> tuple[int, int, int, int]:
    """A stake table's state as the contract takes it: the threshold first."""
    return table.threshold, table.bls, table.schnorr, table.amount


def public_inputs(
    state: LightClientState, voting: StakeTableState, next_stake: StakeTableState
) -> tuple[int, ...]:
    """The eleven public inputs of a proof, as our light client hands them to its verifier: thresholds last."""
    tables = (t for s in (voting, next_stake) for t in (s.bls, s.schnorr, s.amount, s.threshold))
    return (*state_words(state), *tables)


def _int(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError(f"not an integer: {value!r}")
    return value


@dataclass(frozen=True)
class Submission:
    """What a call of :data:`SUBMIT` says."""

    state: LightClientState
    next_stake: StakeTableState
    proof: bytes


def submit_call(state: LightClientState, next_stake: StakeTableState, proof: bytes) -> str:
    """Call data that submits a proof to our light client.

    Args:
        state: The new state.
        next_stake: At an epoch's root the table of the next epoch, else the voting table.
        proof: As the circuit's verifier contract takes it (Groth16: 256 bytes).
    """
    return SUBMIT.call(state_words(state), stake_table_words(next_stake), proof)


def read_submission(data: str) -> Submission:
    """What a call of :func:`submit_call` says.

    Raises:
        InvalidInput: it is none.
    """
    state, table, proof = SUBMIT.arguments(data)
    if not (isinstance(state, tuple) and isinstance(table, tuple) and isinstance(proof, bytes)):
        raise InvalidInput("not a submission", value=data)
    return Submission(state_of(state), stake_table_of(table), proof)


def submit_plonk_call(state: LightClientState, next_stake: StakeTableState, words: Sequence[int]) -> str:
    """Call data that submits a PlonkProof, which a prover of its circuit made, to the deployed light client.

    Args:
        state: The new state.
        next_stake: At an epoch's root the table of the next epoch, else the voting table.
        words: The proof's 36 words in the ABI's order: x and y of thirteen points, then ten scalars.

    Raises:
        InvalidInput: there are not 36, or one is not in its field.
    """
    if len(words) != PLONK_WORDS:
        raise InvalidInput(
            "a PlonkProof of another length", value=len(words), expected=f"{PLONK_WORDS} words"
        )
    for place, word in enumerate(words):
        order = BASE_FIELD if place < 2 * PLONK_POINTS else SCALAR_FIELD
        if not 0 <= word < order:
            raise InvalidInput(
                f"word {place} of a PlonkProof is not in its field", value=word, expected=f"0 to {order - 1}"
            )
    points = [(words[2 * i], words[2 * i + 1]) for i in range(PLONK_POINTS)]
    proof = (*points, *words[2 * PLONK_POINTS :])
    return SUBMIT_PLONK.call(state_words(state), stake_table_words(next_stake), proof)
