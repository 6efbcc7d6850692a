"""Schnorr signatures over the twisted Edwards curve whose base field is BN254's scalar field. Pure.

Curve: x² + y² = 1 + d·x²·y² with d = 168696/168700, cofactor 8 (ark-ed-on-bn254, EIP-2494 in another form). Scheme:
jellyfish's with Rescue: s·G = R + c·K, where c is the hash of a domain name, K, R and the message, cut to 31 bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache, lru_cache

from provery.core.errors import InvalidInput
from provery.systems.hotshot import rescue
from provery.systems.hotshot.model import SchnorrKey, Signature
from provery.systems.hotshot.roots import FIELD

ORDER = 2736030358979909402780800718157159386076813972158567259200215660948447373041
"""Order of the subgroup that G generates, and bound of every scalar."""
D = 168696 * pow(168700, -1, FIELD) % FIELD
GENERATOR: SchnorrKey = (
    19698561148652590122159747500897617769866003486955115824547446575314762165298,
    19298250018296453272277890825869354524455968081175474282777126169995084727839,
)
IDENTITY: SchnorrKey = (0, 1)
DOMAIN = int.from_bytes(b"SCHNORR_WITH_RESCUE_HASH_v01", "big")
"""First element of every challenge."""
CHALLENGE_BYTES = 31
"""Lowest bytes of the hash that are the challenge."""
CACHED_KEYS = 4096
"""Keys whose check and first hash block are remembered: below 4 MB."""
_WINDOW = 8
_DIGITS = 32
"""Windows of a scalar."""

_Point = tuple[int, int, int, int]
"""Extended coordinates X, Y, Z, T: x = X/Z, y = Y/Z, T = X·Y/Z."""
_ZERO: _Point = (0, 1, 1, 0)


def verify(key: SchnorrKey, message: Sequence[int], signature: Signature) -> bool:
    """Whether a signature is that key's over that message of field elements.

    A key that is no point of the subgroup, or its identity, signs nothing. Nor does a signature with the identity as R
    count, although its equation holds: the circuit has no witness for it, so that whoever has a key could make one to
    keep the others' state from being proved.
    """
    commitment = (signature.rx, signature.ry)
    canonical = signature.s < ORDER and max(commitment) < FIELD and min(signature.s, *commitment) >= 0
    if not canonical or commitment == IDENTITY or not is_key(key):
        return False
    challenge = _challenge(key, commitment, message)
    x, y, z, _ = _add(_times_generator(signature.s), _times(_negated(key), challenge))
    return x == signature.rx * z % FIELD and y == signature.ry * z % FIELD


def sign(secret: int, message: Sequence[int]) -> Signature:
    """Sign a message of field elements, with a nonce derived from both.

    Raises:
        InvalidInput: the secret is no scalar between 1 and ``ORDER``.
    """
    key = public_key(secret)
    seed = b"".join(part.to_bytes(32, "little") for part in (secret, *key, *message))
    nonce = int.from_bytes(hashlib.sha512(b"provery hotshot nonce" + seed).digest(), "little") % ORDER
    commitment = _affine(_times_generator(nonce))
    challenge = _challenge(key, commitment, message)
    return Signature((nonce + challenge * secret) % ORDER, *commitment)


@lru_cache(maxsize=CACHED_KEYS)
def public_key(secret: int) -> SchnorrKey:
    """The key of a secret scalar.

    Raises:
        InvalidInput: it is none.
    """
    if not 0 < secret < ORDER:
        raise InvalidInput("a signing scalar is out of range", expected="1 to the group's order")
    return _affine(_times_generator(secret))


@lru_cache(maxsize=CACHED_KEYS)
def is_key(key: SchnorrKey) -> bool:
    """Whether a pair of coordinates can sign: canonical, on the curve, in the subgroup, not the identity."""
    x, y = key
    if key == IDENTITY or not on_curve(key):
        return False
    return _affine(_times((x, y, 1, x * y % FIELD), ORDER)) == IDENTITY


def on_curve(point: SchnorrKey) -> bool:
    """Whether canonical coordinates fulfil the curve's equation."""
    x, y = point
    if not (0 <= x < FIELD and 0 <= y < FIELD):
        return False
    xx, yy = x * x % FIELD, y * y % FIELD
    return (xx + yy - 1 - D * xx * yy) % FIELD == 0


def _challenge(key: SchnorrKey, commitment: SchnorrKey, message: Sequence[int]) -> int:
    digest = rescue.finish(_key_block(key), [*commitment, *message])
    return digest & ((1 << 8 * CHALLENGE_BYTES) - 1)


@lru_cache(maxsize=CACHED_KEYS)
def _key_block(key: SchnorrKey) -> rescue.State:
    """The sponge after its first block, which is the same in every challenge of a key."""
    return rescue.absorb(rescue.EMPTY, [DOMAIN, *key])


# ------------------------------------------------------------ the group


def _add(p: _Point, q: _Point) -> _Point:
    """Complete addition (Hisil, Wong, Carter, Dawson 2008, section 3.1, a = 1)."""
    a, b = p[0] * q[0] % FIELD, p[1] * q[1] % FIELD
    c, d = p[3] * q[3] % FIELD * D % FIELD, p[2] * q[2] % FIELD
    e, f, g, h = (p[0] + p[1]) * (q[0] + q[1]) - a - b, d - c, d + c, b - a
    return e * f % FIELD, g * h % FIELD, f * g % FIELD, e * h % FIELD


def _double(p: _Point) -> _Point:
    """Doubling (the same, section 3.3, a = 1)."""
    a, b = p[0] * p[0] % FIELD, p[1] * p[1] % FIELD
    g = a + b
    e, f, h = 2 * p[0] * p[1] % FIELD, g - 2 * p[2] * p[2], a - b
    return e * f % FIELD, g * h % FIELD, f * g % FIELD, e * h % FIELD


def _negated(key: SchnorrKey) -> _Point:
    x, y = key
    return -x % FIELD, y, 1, -x * y % FIELD


def _affine(p: _Point) -> SchnorrKey:
    inverse = pow(p[2], -1, FIELD)
    return p[0] * inverse % FIELD, p[1] * inverse % FIELD


def _times(p: _Point, scalar: int) -> _Point:
    """A multiple of any point, four bits at a time."""
    table = [_ZERO, p]
    for _ in range(14):
        table.append(_add(table[-1], p))
    total = _ZERO
    for shift in range((scalar.bit_length() + 3) // 4 * 4 - 4, -1, -4):
        total = _double(_double(_double(_double(total))))
        digit = scalar >> shift & 15
        if digit:
            total = _add(total, table[digit])
    return total


@cache
def _generator_table() -> tuple[tuple[_Point, ...], ...]:
    """Multiples d·256^i·G: row i, column d. Made once, in about 40 ms."""
    x, y = GENERATOR
    base: _Point = (x, y, 1, x * y % FIELD)
    rows = []
    for _ in range(_DIGITS):
        row = [_ZERO]
        for _ in range((1 << _WINDOW) - 1):
            row.append(_add(row[-1], base))
        rows.append(tuple(row))
        base = _add(row[-1], base)
    return tuple(rows)


def _times_generator(scalar: int) -> _Point:
    """A multiple of G: no doublings, at most 31 additions."""
    total = _ZERO
    for digit, row in zip(scalar.to_bytes(_DIGITS, "little"), _generator_table(), strict=True):
        if digit:
            total = _add(total, row[digit])
    return total
