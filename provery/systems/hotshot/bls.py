"""BN254's second group, as far as stake tables need it: validators' BLS keys are committed to, never used. Pure.

Curve: y² = x³ + 3/(9 + u) over Fq² with u² = -1 (EIP-197).
"""

from __future__ import annotations

from provery.systems.hotshot.model import BlsKey

BASE_FIELD = 21888242871839275222246405745257275088696311157297823662689037894645226208583
"""Order of the field that coordinates of BN254's groups are in."""
GENERATOR: BlsKey = (
    10857046999023057135944570762232829481370756359578518086990519993285655852781,
    11559732032986387107991004021392285783925812861821192530917403151452391805634,
    8495653923123431417604973247489272438418190587263600148770280649306958101930,
    4082367875863433681332203403145435568316851327593401208105741076214120093531,
)
SIGN = 255
"""Bit of a key's last 32 bytes that is its sign, in both the compressed and the uncompressed form."""
_Q = BASE_FIELD
Pair = tuple[int, int]
"""An element a + b·u."""


def multiply(x: Pair, y: Pair) -> Pair:
    """Product of two elements of Fq²."""
    low, high = x[0] * y[0], x[1] * y[1]
    return (low - high) % _Q, ((x[0] + x[1]) * (y[0] + y[1]) - low - high) % _Q


def invert(x: Pair) -> Pair:
    """Inverse of an element of Fq² other than zero."""
    norm = pow(x[0] * x[0] + x[1] * x[1], -1, _Q)
    return x[0] * norm % _Q, -x[1] * norm % _Q


_NINE = invert((9, 1))
_B: Pair = (3 * _NINE[0] % _Q, 3 * _NINE[1] % _Q)


def on_curve(key: BlsKey) -> bool:
    """Whether canonical coordinates fulfil the curve's equation."""
    if not all(0 <= part < _Q for part in key):
        return False
    x, y = key[:2], key[2:]
    square, cube = multiply(y, y), multiply(multiply(x, x), x)
    return square == ((cube[0] + _B[0]) % _Q, (cube[1] + _B[1]) % _Q)


def sign(key: BlsKey) -> bool:
    """The sign bit: whether y is lexicographically larger than -y, the coefficient of u compared first."""
    y0, y1 = key[2:]
    return (y1, y0) > (-y1 % _Q, -y0 % _Q)


def elements(key: BlsKey) -> list[int]:
    """A key as three field elements: its compressed form of 64 bytes in pieces of 31, 31 and 2, little-endian."""
    x0, x1 = key[:2]
    packed = x0.to_bytes(32, "little") + (x1 | sign(key) << SIGN).to_bytes(32, "little")
    return [int.from_bytes(packed[at : at + 31], "little") for at in range(0, 64, 31)]


def add(p: BlsKey, q: BlsKey) -> BlsKey:
    """Sum of two points whose sum is not the identity, which has no coordinates."""
    px, py, qx, qy = p[:2], p[2:], q[:2], q[2:]
    if p == q:
        square = multiply(px, px)
        slope = multiply((3 * square[0], 3 * square[1]), invert((2 * py[0], 2 * py[1])))
    else:
        slope = multiply((qy[0] - py[0], qy[1] - py[1]), invert((qx[0] - px[0], qx[1] - px[1])))
    square = multiply(slope, slope)
    x = ((square[0] - px[0] - qx[0]) % _Q, (square[1] - px[1] - qx[1]) % _Q)
    y = multiply(slope, (px[0] - x[0], px[1] - x[1]))
    return *x, (y[0] - py[0]) % _Q, (y[1] - py[1]) % _Q


def multiple(scalar: int) -> BlsKey:
    """A positive multiple of the generator."""
    total, bits = GENERATOR, bin(scalar)[3:]
    for bit in bits:
        total = add(total, total)
        if bit == "1":
            total = add(total, GENERATOR)
    return total
