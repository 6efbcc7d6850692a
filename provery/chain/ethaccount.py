"""eth-account, without what loading it does to the interpreter.

A library below it (py_ecc) raises the recursion limit to 100,000. Deeply nested input, such as ``[[[[…`` in place of
JSON, then no longer ends in a RecursionError but overflows the C stack: the process dies.
"""

from __future__ import annotations

import sys

_limit = sys.getrecursionlimit()

from eth_account import Account as Accounts  # noqa: E402

sys.setrecursionlimit(_limit)

__all__ = ["Accounts"]
