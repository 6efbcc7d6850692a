"""From a checked state to the circuit's input. Pure.

One JSON object; every number is a string of ``0x`` and lower-case hexadecimal digits without leading zeros:

    {"state": {"view", "height", "block_comm_root"},
     "voting": {"bls", "schnorr", "amount", "threshold"},
     "next": {"bls", "schnorr", "amount", "threshold"},
     "stake_table": [{"x", "y", "stake"}, …],
     "signatures": [{"s", "rx", "ry"} or null, …]}

``stake_table`` is unpadded and has the Schnorr keys; ``signatures`` has an entry for each of its rows.
"""

from __future__ import annotations

from collections.abc import Sequence

from provery.core.errors import InvalidInput
from provery.core.types import Json, canonical_json
from provery.systems.hotshot.model import LightClientState, Signature, StakeTable, StakeTableState


def document(
    state: LightClientState,
    voting: StakeTableState,
    following: StakeTableState,
    table: StakeTable,
    signatures: Sequence[Signature | None],
) -> bytes:
    """The circuit's input.

    Args:
        state: What is proved.
        voting: Commitment to ``table``, at the circuit's capacity.
        following: The stake table that signs next: another one only where ``state`` is an epoch's root.
        table: Who may sign.
        signatures: One per validator, in the table's order, checked; None for who did not sign.

    Raises:
        InvalidInput: there is not one signature or None for every validator.
    """
    if len(signatures) != len(table):
        raise InvalidInput(
            "signatures and stake table differ in length", value=len(signatures), expected=str(len(table))
        )
    return canonical_json(
        {
            "state": {
                "view": hex(state.view),
                "height": hex(state.height),
                "block_comm_root": hex(state.block_comm_root),
            },
            "voting": _commitment(voting),
            "next": _commitment(following),
            "stake_table": [
                {"x": hex(entry.schnorr[0]), "y": hex(entry.schnorr[1]), "stake": hex(entry.stake)}
                for entry in table
            ],
            "signatures": [
                None if each is None else {"s": hex(each.s), "rx": hex(each.rx), "ry": hex(each.ry)}
                for each in signatures
            ],
        }
    )


def _commitment(state: StakeTableState) -> Json:
    return {
        "bls": hex(state.bls),
        "schnorr": hex(state.schnorr),
        "amount": hex(state.amount),
        "threshold": hex(state.threshold),
    }
