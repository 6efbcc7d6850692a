"""Random sequences of calls to a light client, with what the model of its rules answers, as words for the replay.

A file is a run of sequences. A sequence is 12 words of set-up (view, height, root, threshold, three commitments, blocks
of an epoch, start block, permissioned prover, selector of the expected error or 0, number of steps) and its steps, of
12 words each: kind (0 submit, 1 set the prover, 2 disable it), sender, view (or the prover to set), height, root,
threshold, three commitments, proof, selector of the expected error or 0, digest of the state afterwards. A proof is
right where it is the hash of the public inputs that the contract hands to its verifier, so that their order and origin
are checked too.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

from provery.core.abi import keccak256, selector
from provery.systems.hotshot import epochs
from provery.systems.hotshot.abi import ERRORS, public_inputs, stake_table_words
from provery.systems.hotshot.contract_rules import LightClientContract, Refused
from provery.systems.hotshot.model import U64_MAX, LightClientState, StakeTableState

STEPS = 20
PER_FILE = 100
OWNER = 0x0123
PROVERS = (0xA11CE, 0xB0B, 0xCA401)
LENGTHS = (0, 0, 6, 7, 10, 10, 12, 50, 200, 200, 3000, U64_MAX)
"""Blocks of an epoch: none, the shortest, what tests and networks use, and "never"."""
_SELECTORS = {s.partition("(")[0]: int.from_bytes(selector(s)) for s in ERRORS}


@dataclass
class Drawn:
    """What was drawn."""

    sequences: int = 0
    steps: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    """Steps and set-ups by the error they met; ``""`` for those that were taken."""
    longest: int = 0
    """Most changes of the table in one sequence."""
    switches: int = 0
    """Changes of the stake table."""


def write(folder: Path, sequences: int, seed: int, *, first: int = 0) -> tuple[int, Drawn]:
    """Draw sequences and write them.

    Args:
        folder: Where to; the files are named 0, 1, …
        sequences: How many.
        seed: Each sequence depends on it and its own number alone.
        first: Number of the first sequence.

    Returns:
        How many files there are, and what was drawn.
    """
    drawn = Drawn()
    files = 0
    for start in range(first, first + sequences, PER_FILE):
        numbers = range(start, min(start + PER_FILE, first + sequences))
        words = [word for number in numbers for word in _sequence(random.Random(f"{seed}/{number}"), drawn)]
        (folder / str(files)).write_bytes(_packed(words))
        files += 1
    return files, drawn


def _packed(words: list[int]) -> bytes:
    return b"".join(word.to_bytes(32) for word in words)


def _sequence(rng: random.Random, drawn: Drawn) -> list[int]:
    drawn.sequences += 1
    contract = _contract(rng)
    prover = int(contract.permissioned_prover, 16)
    head = [
        contract.finalized.view,
        contract.finalized.height,
        contract.finalized.block_comm_root,
        *stake_table_words(contract.voting),
        contract.blocks_per_epoch,
        contract.epoch_start_block,
        prover,
    ]
    try:
        contract.check_setup()
    except Refused as refused:
        drawn.answers[refused.error] += 1
        return [*head, _SELECTORS[refused.error], 0]
    begun = drawn.switches
    steps: list[int] = []
    for _ in range(STEPS):
        drawn.steps += 1
        before = contract.voting
        contract, words = _step(rng, contract, drawn)
        drawn.switches += contract.voting != before
        steps += words
    drawn.longest = max(drawn.longest, drawn.switches - begun)
    return [*head, 0, STEPS, *steps]


def _contract(rng: random.Random) -> LightClientContract:
    per_epoch = rng.choice(LENGTHS) if rng.random() > 0.02 else rng.randint(1, 5)
    unit = per_epoch if 0 < per_epoch < U64_MAX else 50
    start = rng.choice(
        (0, 1, rng.randint(0, 4 * unit), unit * rng.randint(0, 4), max(0, unit * 2 - 5), unit * 2 + 1)
    )
    if rng.random() < 0.05:
        start = U64_MAX
    height = rng.choice((0, 0, 0, rng.randint(0, 5 * unit), max(0, unit * rng.randint(1, 5) - 5)))
    table = _table(rng)
    if rng.random() < 0.02:
        table = replace(table, **{rng.choice(("threshold", "schnorr", "amount")): 0})
    prover = rng.choice(PROVERS) if rng.random() < 0.3 else 0
    state = LightClientState(rng.choice((0, height, rng.randint(0, 9))), height, rng.getrandbits(250))
    return LightClientContract(state, table, per_epoch, start, f"0x{prover:040x}")


def _table(rng: random.Random) -> StakeTableState:
    bls, schnorr, amount = (rng.getrandbits(250) or 1 for _ in range(3))
    return StakeTableState(bls, schnorr, amount, rng.getrandbits(60) + 1)


def _step(
    rng: random.Random, contract: LightClientContract, drawn: Drawn
) -> tuple[LightClientContract, list[int]]:
    prover = int(contract.permissioned_prover, 16)
    kind = rng.choices((0, 1, 2), (95, 3, 2))[0]
    sender = OWNER if kind else prover or rng.choice(PROVERS)
    if rng.random() < 0.05:
        sender = rng.choice((*PROVERS, OWNER, 0xBAD))
    words, proof = [0] * 7, 0
    try:
        if kind == 0:
            state, table, proof, proved = _submission(rng, contract)
            words = [state.view, state.height, state.block_comm_root, *stake_table_words(table)]
            contract = contract.submit(f"0x{sender:040x}", state, table, proved=proved)
        else:
            words[0] = wanted = rng.choice((*PROVERS, prover, 0)) if kind == 1 else 0
            if sender != OWNER:
                raise Refused("OwnableUnauthorizedAccount")
            if wanted == prover and (kind == 2 or wanted):
                raise Refused("NoChangeRequired")
            if kind == 1 and not wanted:
                raise Refused("InvalidAddress")
            contract = replace(contract, permissioned_prover=f"0x{wanted:040x}")
        error = ""
    except Refused as refused:
        error = refused.error
    drawn.answers[error] += 1
    return contract, [kind, sender, *words, proof, _SELECTORS[error] if error else 0, _digest(contract)]


def _submission(
    rng: random.Random, contract: LightClientContract
) -> tuple[LightClientState, StakeTableState, int, bool]:
    """A submission, mostly near what the contract would take."""
    last = contract.finalized
    height = _height(rng, contract)
    view = last.view + rng.choice((*[1] * 12, rng.randint(1, 1000), 0))
    state = LightClientState(min(view, U64_MAX), height, rng.getrandbits(250))
    # At heights where the table switches a new one is usual, and elsewhere the old one.
    root = epochs.is_epoch_root(height, contract.blocks_per_epoch) and height >= contract.epoch_start_block
    new = rng.random() < (0.8 if root else 0.07)
    table = _table(rng) if new else contract.voting
    if new and rng.random() < 0.2:
        table = replace(contract.voting, threshold=contract.voting.threshold + 1)
    if rng.random() < (0.08 if root else 0.02):
        table = replace(table, **{rng.choice(("threshold", "threshold", "schnorr", "amount")): 0})
    proof = int.from_bytes(keccak256(_packed(list(public_inputs(state, contract.voting, table)))))
    proved = rng.random() > 0.06
    return state, table, proof if proved else proof ^ (1 << rng.randrange(256)), proved


def _height(rng: random.Random, contract: LightClientContract) -> int:
    last, per_epoch = contract.finalized.height, contract.blocks_per_epoch
    if not 0 < per_epoch < U64_MAX or rng.random() < 0.1:
        far = U64_MAX if rng.random() < 0.02 else 1
        return min(last + rng.choice((0, 1, 1, 2, rng.randint(0, 400), far)), U64_MAX)
    end = epochs.epoch_from_block_number(last, per_epoch) * per_epoch
    root = end - epochs.ROOT_OFFSET
    nearest = root if last < root else root + per_epoch
    drawn = (
        *[nearest] * 6,
        *[rng.randint(last + 1, max(last + 1, nearest))] * 4,
        last + 1,
        last,
        max(0, last - rng.randint(1, per_epoch)),
        nearest - 1,
        nearest + 1,
        end,
        end + 1,
        nearest + per_epoch,
        end + rng.randint(1, 2 * per_epoch),
        max(0, contract.epoch_start_block + rng.randint(-2, 2)),
    )
    return min(max(0, rng.choice(drawn)), U64_MAX)


def _digest(contract: LightClientContract) -> int:
    state = contract.finalized
    words = [state.view, state.height, state.block_comm_root, *stake_table_words(contract.voting)]
    return int.from_bytes(keccak256(_packed([*words, int(contract.permissioned_prover, 16)])))
