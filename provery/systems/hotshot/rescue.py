"""Rescue, the sponge that stake-table commitments and signature challenges are made with. Pure.

State of four elements of BN254's scalar field, rate three, twelve rounds of an inverse and a forward S-box of degree
five. Sources: Aly, Ashur, Ben-Sasson, Dhooghe, Szepieniec, "Design of symmetric-key primitives for advanced
cryptographic protocols" (2019), and jellyfish, whose variable-length hash this is: a one is appended, zeros fill the
last block, and the first element of the final state is the digest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from provery.systems.hotshot.rescue_constants import KEYS, MATRIX
from provery.systems.hotshot.roots import FIELD, fifth_root

RATE = 3
State = tuple[int, int, int, int]
EMPTY: State = (0, 0, 0, 0)


def permutation(state: State) -> State:
    """One application of the permutation."""
    a, b, c, d = ((x + key) % FIELD for x, key in zip(state, KEYS[0], strict=True))
    for at in range(1, len(KEYS), 2):
        a, b, c, d = _mix(fifth_root(a), fifth_root(b), fifth_root(c), fifth_root(d), KEYS[at])
        a, b, c, d = _mix(
            pow(a, 5, FIELD), pow(b, 5, FIELD), pow(c, 5, FIELD), pow(d, 5, FIELD), KEYS[at + 1]
        )
    return a, b, c, d


def _mix(a: int, b: int, c: int, d: int, key: Sequence[int]) -> State:
    (p, q, r, s) = MATRIX
    return (
        (p[0] * a + p[1] * b + p[2] * c + p[3] * d + key[0]) % FIELD,
        (q[0] * a + q[1] * b + q[2] * c + q[3] * d + key[1]) % FIELD,
        (r[0] * a + r[1] * b + r[2] * c + r[3] * d + key[2]) % FIELD,
        (s[0] * a + s[1] * b + s[2] * c + s[3] * d + key[3]) % FIELD,
    )


def absorb(state: State, elements: Sequence[int]) -> State:
    """Take whole blocks of three elements into a state."""
    for at in range(0, len(elements), RATE):
        x, y, z = elements[at : at + RATE]
        state = permutation((state[0] + x, state[1] + y, state[2] + z, state[3]))
    return state


def finish(state: State, elements: Sequence[int]) -> int:
    """Digest of what a state has taken in, and of the last elements."""
    padded = [*elements, 1]
    padded += [0] * (-len(padded) % RATE)
    return absorb(state, padded)[0]


def crhf(elements: Iterable[int]) -> int:
    """Hash of any number of field elements to one (jellyfish's VariableLengthRescueCRHF)."""
    return finish(EMPTY, list(elements))
