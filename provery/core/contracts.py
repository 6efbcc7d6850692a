"""Contracts as code: what a compiler makes of sources, and what is shipped compiled beside them."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from provery.core.errors import ConfigurationError
from provery.core.types import Json

LARGEST_CODE = 24_576
"""Bytes of a contract's code on chain at most (EIP-170)."""
LARGEST_CREATION = 49_152
"""Bytes of creation code at most (EIP-3860)."""


@dataclass(frozen=True)
class CompiledContract:
    """One contract."""

    name: str
    abi: list[Json]
    creation: bytes
    """Code that creates it; its constructor's arguments follow, ABI-encoded."""
    size: int
    """Bytes of the code that stays on chain: at most :data:`LARGEST_CODE`."""


CompileContracts = Callable[[Mapping[str, str]], Awaitable[Mapping[str, CompiledContract]]]
"""Compiles sources (text by name) to contracts by name, without interfaces. Injected as ``Deps.compile_contracts``.

Raises ConfigurationError where there is no compiler, InvalidInput where they do not compile.
"""


@cache
def shipped(compiled: Path) -> Mapping[str, Mapping[str, Json]]:
    """Contracts by name that ``provery contracts build`` compiled: ``abi``, and ``bytecode`` in 0x form.

    Args:
        compiled: A slice's ``compiled.json``.

    Raises:
        ConfigurationError: it is not there.
    """
    try:
        found: dict[str, dict[str, Json]] = json.loads(compiled.read_text(encoding="utf-8"))["contracts"]
    except FileNotFoundError:
        raise ConfigurationError(
            "the contracts are not compiled", value=compiled, action="run `provery contracts build`"
        ) from None
    return found


def creation_code(compiled: Path, name: str) -> bytes:
    """Creation code of a shipped contract, without constructor arguments."""
    return bytes.fromhex(str(shipped(compiled)[name]["bytecode"]).removeprefix("0x"))
