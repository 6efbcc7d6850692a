"""Powers in BN254's scalar field with the exponent of Rescue's inverse S-box, where nearly all of its time goes.

Python's own ``pow`` takes about 0.1 ms for one, and a certificate of 200 validators about 60,000 of them. The integers
of pycryptodome do it five times faster where the machine has GMP; elsewhere they would be slower, and are not used.
"""

from __future__ import annotations

from collections.abc import Callable

from Crypto.Math import Numbers

FIELD = 21888242871839275222246405745257275088548364400416034343698204186575808495617
"""Order of BN254's scalar field."""
FIFTH_ROOT = pow(5, -1, FIELD - 1)
"""x to this power is the element whose fifth power is x."""
_BYTES = 32


def python_root(element: int) -> int:
    """The fifth root of an element, in Python alone."""
    return pow(element, FIFTH_ROOT, FIELD)


def _gmp_root() -> Callable[[int], int] | None:
    if getattr(Numbers, "_implementation", {}).get("library") != "gmp":
        return None
    make, modulus, exponent = Numbers.Integer.from_bytes, Numbers.Integer(FIELD), Numbers.Integer(FIFTH_ROOT)

    def root(element: int) -> int:
        # The stubs want plain integers; those are converted at every call, which takes as long as the power.
        power = make(element.to_bytes(_BYTES, "big")).inplace_pow(exponent, modulus)  # type: ignore[arg-type]
        return int.from_bytes(power.to_bytes(_BYTES), "big")

    return root


fifth_root: Callable[[int], int] = _gmp_root() or python_root
"""The fifth root of an element below ``FIELD``."""
