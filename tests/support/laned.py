"""A system that submits through lanes, and the contract that it submits to, written down as its instructions.

Streams: ``rising`` (ordered: ordinal after ordinal), ``lifting`` (ordered: any higher ordinal), ``free`` (anything,
each call is counted), ``closing`` (refuses calls after a block).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.noop import NoopSystem, noop_work
from provery.chain.signers import keccak256
from provery.core.lanes import Call, Chain, Contract, Policy, Standing, State
from provery.core.ports import Deps, StageContext
from provery.core.types import Json, Stage, Work
from tests.support.anvil import Anvil, account, address

CONTRACT = "0x00000000000000000000000000000000c0ffee00"
ERRORS = ("Outdated()", "Early()", "Closed()")
SENDER = 3
"""Which of anvil's accounts submits."""
STAGES = (Stage.FETCH, Stage.PROVE, Stage.VERIFY, Stage.SUBMIT)
COUNTED = 1 << 128
"""Where the contract counts calls by key."""
_OPCODES = {
    "STOP": 0x00, "ADD": 0x01, "LT": 0x10, "GT": 0x11, "EQ": 0x14, "ISZERO": 0x15, "SHL": 0x1B, "SHR": 0x1C,
    "CALLDATALOAD": 0x35, "NUMBER": 0x43, "MSTORE": 0x52, "SLOAD": 0x54, "SSTORE": 0x55, "JUMP": 0x56,
    "JUMPI": 0x57, "JUMPDEST": 0x5B, "DUP1": 0x80, "DUP2": 0x81, "RETURN": 0xF3, "REVERT": 0xFD,
}  # fmt: skip
_PUSH0 = 0x5F


def selector(signature: str) -> int:
    """The four bytes that a function or error goes by."""
    return int.from_bytes(keccak256(signature.encode())[:4])


def assembled(words: Sequence[str | int]) -> str:
    """Instructions as code: numbers are pushed, ``:name`` is a place and ``@name`` pushes it."""
    code, places, wanted = bytearray(), dict[str, int](), list[tuple[int, str]]()
    for word in words:
        if isinstance(word, int):
            data = word.to_bytes((word.bit_length() + 7) // 8)
            code += bytes([_PUSH0 + len(data)]) + data
        elif word.startswith(":"):
            places[word[1:]] = len(code)
            code.append(_OPCODES["JUMPDEST"])
        elif word.startswith("@"):
            wanted.append((len(code) + 1, word[1:]))
            code += bytes([_PUSH0 + 2, 0, 0])
        else:
            code.append(_OPCODES[word])
    for at, name in wanted:
        code[at : at + 2] = places[name].to_bytes(2)
    return "0x" + code.hex()


def _code() -> str:
    functions = ("advance(uint256)", "lift(uint256)", "count(uint256)", "until(uint256)", "height()",
                 "counted(uint256)")  # fmt: skip
    words: list[str | int] = [0, "CALLDATALOAD", 0xE0, "SHR"]
    for name in functions:
        words += ["DUP1", selector(name), "EQ", f"@{name}", "JUMPI"]
    words += [0, 0, "REVERT"]
    higher: list[str | int] = [
        4,
        "CALLDATALOAD",
        0,
        "SLOAD",
        "DUP2",
        "DUP2",
        "LT",
        "ISZERO",
        "@Outdated()",
        "JUMPI",
    ]
    next_: list[str | int] = [1, "ADD", "DUP2", "EQ", "ISZERO", "@Early()", "JUMPI", 0, "SSTORE", "STOP"]
    words += [":advance(uint256)", *higher, *next_]
    words += [":lift(uint256)", *higher, 4, "CALLDATALOAD", 0, "SSTORE", "STOP"]
    slot: list[str | int] = [4, "CALLDATALOAD", COUNTED, "ADD"]
    words += [":count(uint256)", *slot, "DUP1", "SLOAD", 1, "ADD", *slot, "SSTORE", "STOP"]
    words += [":until(uint256)", 4, "CALLDATALOAD", "NUMBER", "GT", "@Closed()", "JUMPI", "STOP"]
    answer: list[str | int] = ["SLOAD", 0, "MSTORE", 0x20, 0, "RETURN"]
    words += [":height()", 0, *answer, ":counted(uint256)", *slot, *answer]
    for name in ERRORS:
        words += [f":{name}", selector(name), 0xE0, "SHL", 0, "MSTORE", 4, 0, "REVERT"]
    return assembled(words)


CODE = _code()
_METHODS = {
    "rising": "advance(uint256)",
    "lifting": "lift(uint256)",
    "free": "count(uint256)",
    "closing": "until(uint256)",
}


def data(signature: str, value: int = 0) -> str:
    """A call with one number."""
    return f"0x{selector(signature):08x}{value:064x}"


async def read(chain: Chain, signature: str, value: int = 0) -> int:
    """What the contract answers."""
    return int.from_bytes(await chain.read(CONTRACT, data(signature, value)))


def laned_work(stream: str, n: int, *, key: str = "", **more: Any) -> Work:
    """A unit whose call carries a number; ``params`` as for the no-op system."""
    params: dict[str, Json] = {"bytes": 8, "number": n, **more.pop("params", {})}
    work = noop_work(key or str(n), stream=stream, ordinal=n, params=params, stages=STAGES, **more)
    stages = tuple(replace(s, lane=s.stage is Stage.SUBMIT) for s in work.plan.stages)
    return Work(replace(work.unit, system="laned"), replace(work.plan, stages=stages))


class LanedSystem(NoopSystem):
    """See the module. ``LANED_POLICY`` is a file with fields of :class:`Policy` by stream, read anew each time."""

    name = "laned"

    def __init__(self, deps: Deps) -> None:
        super().__init__(deps)
        self._env = deps.env
        self._open = deps.open_chain
        self._chain: Chain | None = None
        self._opening = asyncio.Lock()

    async def chain(self, stream: str) -> Chain:
        """The account."""
        async with self._opening:
            if self._chain is None:
                assert self._open is not None
                urls = self._env["LANED_RPC"].split(",")
                self._chain = await self._open(urls, account(SENDER), Contract(ERRORS))
            return self._chain

    async def policy(self, stream: str) -> Policy:
        """What the file says."""
        said = json.loads(Path(self._env["LANED_POLICY"]).read_text())
        ordered = stream in ("rising", "lifting")
        return Policy(**{"ordered": ordered, **said.get("all", {}), **said.get(stream, {})})

    async def call(self, context: StageContext) -> Call:
        """The number of the unit."""
        number = int(str(context.unit.params["number"]))
        method = _METHODS[context.unit.stream]
        gas = int(str(context.unit.params.get("gas", 0)))
        return Call(CONTRACT, data(method, number), method=method.partition("(")[0], gas=gas)

    async def standing(self, stream: str, ordinal: int | None, call: Call) -> Standing:
        """By the height that the contract has."""
        if stream not in ("rising", "lifting"):
            return Standing(State.READY)
        height, n = await read(await self.chain(stream), "height()"), int(call.data[10:], 16)
        if n <= height:
            return Standing(State.SUPERSEDED, f"the contract is at {height}")
        if stream == "rising" and n > height + 1:
            return Standing(State.EARLY, f"the contract is at {height}")
        return Standing(State.READY)

    async def close(self) -> None:
        """Close the account."""
        if self._chain is not None:
            await self._chain.close()


def build(deps: Deps) -> LanedSystem:
    """The registry's entry."""
    return LanedSystem(deps)


async def prepared(anvil: Anvil) -> None:
    """Put the contract on a chain."""
    await anvil.put_code(CONTRACT, CODE)


def environment(rpc: str, policy: Path, **policies: dict[str, Any]) -> dict[str, str]:
    """Settings of the system; ``policies`` are written to the file."""
    policy.write_text(json.dumps(policies))
    return {
        "PROVERY_EXTRA_SYSTEMS": "laned=tests.support.laned,noop=bench.noop",
        "LANED_RPC": rpc,
        "LANED_POLICY": str(policy),
    }


def lane_of(chain_id: int = 31_337) -> str:
    """The lane of the account that submits."""
    return f"lane/{chain_id}/{address(SENDER).lower()}"
