"""What is signed, what stake tables are committed to, and what makes a certificate count. Pure.

Reference behaviour: the light client of EspressoSystems/espresso-network. Every rule here reproduces data of its
chains, which ``vectors`` has.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from provery.systems.hotshot import bls, rescue, schnorr
from provery.systems.hotshot.epochs import epoch_from_block_number, is_epoch_root
from provery.systems.hotshot.errors import InvalidState, StakeTableMismatch
from provery.systems.hotshot.model import (
    Bundle,
    LightClientState,
    SchnorrKey,
    Signature,
    Signatures,
    StakeTable,
    StakeTableState,
    StateCertificate,
)

STAKE_BITS = 120
STAKE_LIMIT = 2**STAKE_BITS
"""The circuit's limit: what signers have beyond the threshold is below 2^128. No token has so many units."""
CACHED_COLUMNS = 64
"""Commitments that are remembered: a stake table rarely changes, and with it mostly the amounts alone."""


# ------------------------------------------------------------ messages


def message_v1(state: LightClientState) -> list[int]:
    """Field elements that are signed before there are epochs."""
    return [state.view, state.height, state.block_comm_root]


def message_v2(state: LightClientState, next_stake: StakeTableState) -> list[int]:
    """Field elements that are signed with epochs: the state and the stake table of what comes next."""
    return [*message_v1(state), next_stake.bls, next_stake.schnorr, next_stake.amount, next_stake.threshold]


def message_v3(state_digest: int) -> list[int]:
    """Field elements that are signed where the state is signed as one digest."""
    return [state_digest]


# ------------------------------------------------------------ stake tables


def total_stake(table: StakeTable) -> int:
    """Stake of all validators."""
    return sum(entry.stake for entry in table)


def threshold(table: StakeTable) -> int:
    """Least stake of which some must be honest, if less than a third is not."""
    return total_stake(table) // 3 + 1


def commitment(table: StakeTable, capacity: int) -> StakeTableState:
    """Commitments to a stake table's columns, padded to a capacity, and its threshold.

    Args:
        table: Validators, in the network's order.
        capacity: Rows of the padded table; another capacity gives other commitments.

    Raises:
        InvalidState: there are more validators than rows, or a stake is absurd.
    """
    if len(table) > capacity:
        raise InvalidState(
            "the stake table has more validators than its capacity",
            value=len(table),
            expected=f"at most {capacity}",
            action="configure the network's stake table capacity, and a circuit of that capacity",
        )
    for entry in table:
        if not 0 <= entry.stake < STAKE_LIMIT:
            raise InvalidState(
                "a validator's stake is absurd", value=entry.stake, expected=f"0 to 2^{STAKE_BITS} - 1"
            )
    spare = capacity - len(table)
    points = [part for entry in table for part in bls.elements(entry.bls)]
    keys = [part for entry in table for part in entry.schnorr]
    return StakeTableState(
        bls=_column(tuple(points + [0] * 3 * spare)),
        schnorr=_column(tuple(keys + [*schnorr.IDENTITY] * spare)),
        amount=_column(tuple([entry.stake for entry in table] + [0] * spare)),
        threshold=threshold(table),
    )


@lru_cache(maxsize=CACHED_COLUMNS)
def _column(elements: tuple[int, ...]) -> int:
    return rescue.crhf(elements)


def check_table(table: StakeTable, capacity: int, expected: StakeTableState) -> None:
    """Compare a stake table with the commitment that a contract or a certificate has of it.

    Raises:
        StakeTableMismatch: they differ; it names the columns.
        InvalidState: the table cannot be committed to.
    """
    compare(commitment(table, capacity), expected)


def compare(found: StakeTableState, expected: StakeTableState) -> None:
    """Compare two commitments.

    Raises:
        StakeTableMismatch: they differ; it names the columns.
    """
    mismatch = StakeTableMismatch.between(found, expected)
    if mismatch is not None:
        raise mismatch


# ------------------------------------------------------------ signatures


@dataclass(frozen=True)
class Tally:
    """Signatures of a state, counted against a stake table."""

    signatures: tuple[Signature | None, ...]
    """One per validator, in the table's order; None for those who did not sign validly."""
    weight: int
    """Stake of those who did."""
    threshold: int
    invalid: tuple[SchnorrKey, ...] = ()
    """Validators whose signature was dropped because it does not verify."""
    unknown: tuple[SchnorrKey, ...] = ()
    """Signers who were dropped because the stake table has no such key."""

    @property
    def signers(self) -> int:
        """Validators who signed validly."""
        return sum(signature is not None for signature in self.signatures)

    @property
    def dropped(self) -> int:
        """Signatures that do not count."""
        return len(self.invalid) + len(self.unknown)


def tally(message: Sequence[int], signatures: Signatures, table: StakeTable) -> Tally:
    """Check every signature and count the stake behind the valid ones; the others are dropped, and named."""
    known = {entry.schnorr for entry in table}
    valid: dict[SchnorrKey, Signature] = {}
    invalid: list[SchnorrKey] = []
    for key, signature in signatures:
        if key in known and key not in valid:
            if schnorr.verify(key, message, signature):
                valid[key] = signature
            else:
                invalid.append(key)
    return Tally(
        signatures=tuple(valid.get(entry.schnorr) for entry in table),
        weight=sum(entry.stake for entry in table if entry.schnorr in valid),
        threshold=threshold(table),
        invalid=tuple(invalid),
        unknown=tuple(key for key, _ in signatures if key not in known),
    )


def check_certificate(certificate: StateCertificate, table: StakeTable, blocks_per_epoch: int) -> Tally:
    """Check a certificate against the stake table of its epoch.

    Raises:
        InvalidState: its state is not its epoch's root, its next table has no quorum, or too little stake has validly
            signed.
    """
    height, epoch = certificate.state.height, certificate.epoch
    if (
        not is_epoch_root(height, blocks_per_epoch)
        or epoch_from_block_number(height, blocks_per_epoch) != epoch
    ):
        raise InvalidState(
            f"the state certificate of epoch {epoch} is not of that epoch's root",
            value=f"height {height}",
            expected=f"{epoch} · {blocks_per_epoch} - 5",
            action="check the sequencer, and that its network is the contract's",
        )
    what = f"the state certificate of epoch {epoch}"
    check_quorum(certificate.next_stake, what)
    counted = tally(message_v2(certificate.state, certificate.next_stake), certificate.signatures, table)
    return _heavy_enough(counted, what)


def check_bundle(bundle: Bundle, table: StakeTable) -> Tally:
    """Check a relay server's bundle against the stake table of its state's epoch.

    Raises:
        InvalidState: its next table has no quorum, or too little stake has validly signed.
    """
    what = f"the relay server's state at height {bundle.state.height}"
    check_quorum(bundle.next_stake, what)
    return _heavy_enough(tally(message_v2(bundle.state, bundle.next_stake), bundle.signatures, table), what)


def check_quorum(next_stake: StakeTableState, what: str) -> None:
    """Refuse a next stake table whose quorum is nobody: whatever it signs would need no signature.

    Raises:
        InvalidState: its threshold, or its column of keys or of stakes, is 0. The contract never takes it.
    """
    for name, value in (
        ("threshold", next_stake.threshold), ("schnorr", next_stake.schnorr), ("amount", next_stake.amount)
    ):  # fmt: skip
        if value == 0:
            raise InvalidState(
                f"{what} names a next stake table without a quorum",
                value=f"{name} 0",
                expected="a threshold, keys and stakes other than 0",
                action="check the sequencers and relay servers: no network of honest validators signs this",
            )


def _heavy_enough(counted: Tally, what: str) -> Tally:
    if counted.weight < counted.threshold:
        raise InvalidState(
            f"too little stake has signed {what}",
            value=f"{counted.weight} of {counted.signers} validators, {len(counted.invalid)} invalid and "
            f"{len(counted.unknown)} unknown signers dropped",
            expected=f"at least {counted.threshold}",
            action="check that stake table and capacity are the same on sequencer, relay server and prover",
        )
    return counted


def elements(state: StakeTableState) -> Iterator[int]:
    """The four elements of a commitment, in the order of the circuit's public inputs."""
    yield from (state.bls, state.schnorr, state.amount, state.threshold)
