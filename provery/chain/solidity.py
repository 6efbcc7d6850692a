"""Solidity to bytecode: the one compiler, with the one set of settings, for every contract of ours.

The same sources give the same bytes on every machine: the compiler is the locked npm package, and no metadata is
appended to the code. ``node/solc.cjs`` puts it behind the native compiler's command line, so that forge uses it too.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from provery.core.contracts import CompiledContract
from provery.core.errors import ConfigurationError, InvalidInput
from provery.core.types import Json

PROGRAM = Path(__file__).with_name("node") / "solc.cjs"
SETTINGS: dict[str, Json] = {
    "optimizer": {"enabled": True, "runs": 1_000},
    "evmVersion": "cancun",  # what the chains that Provery submits to have run since 2024
    "metadata": {"bytecodeHash": "none", "appendCBOR": False},
}
"""Compiler settings; tests/contracts/foundry.toml repeats them for forge."""
OUTPUTS: list[Json] = ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"]
TIMEOUT_S = 120.0
"""For one compilation; our contracts take three seconds."""


@dataclass(frozen=True)
class Build:
    """What one run of the compiler gave."""

    compiler: str
    """Its version, such as ``0.8.37+commit.f401782d.Emscripten.clang``."""
    contracts: Mapping[str, CompiledContract]
    """By name; interfaces and abstract contracts are left out."""
    warnings: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class Solidity:
    """The compiler."""

    node: Path
    """Node.js."""
    modules: Path
    """``node_modules`` with solc."""

    async def compile(self, sources: Mapping[str, str]) -> Build:
        """Compile sources that import one another by name.

        Args:
            sources: Text by name, such as ``LightClient.sol``, imported as ``./LightClient.sol``.

        Raises:
            ConfigurationError: there is no compiler.
            InvalidInput: they do not compile, or two contracts have one name; with the compiler's message.
        """
        order = {
            "language": "Solidity",
            "sources": {name: {"content": text} for name, text in sources.items()},
            "settings": {**SETTINGS, "outputSelection": {"*": {"*": OUTPUTS}}},
        }
        told = json.loads(await self._run("--standard-json", json.dumps(order).encode()))
        messages = told.get("errors", [])
        errors = [m["formattedMessage"] for m in messages if m["severity"] == "error"]
        if errors:
            raise InvalidInput(
                f"the contract does not compile: {errors[0].strip()}", value=", ".join(sources)
            )
        contracts: dict[str, CompiledContract] = {}
        for name, made in ((n, c) for file in told.get("contracts", {}).values() for n, c in file.items()):
            code = made["evm"]["bytecode"]["object"]
            if not code:
                continue
            if name in contracts:
                raise InvalidInput("two contracts have one name", value=name)
            size = len(made["evm"]["deployedBytecode"]["object"]) // 2
            contracts[name] = CompiledContract(name, made["abi"], bytes.fromhex(code), size)
        warnings = tuple(m["formattedMessage"].strip() for m in messages if m["severity"] == "warning")
        return Build(await self.version(), contracts, warnings)

    async def contracts(self, sources: Mapping[str, str]) -> Mapping[str, CompiledContract]:
        """The contracts of :meth:`compile`: a :data:`~provery.core.contracts.CompileContracts`."""
        return (await self.compile(sources)).contracts

    async def version(self) -> str:
        """The compiler's version."""
        lines = (await self._run("--version", b"")).decode().split()
        return lines[-1]

    async def _run(self, argument: str, given: bytes) -> bytes:
        if not self.node.is_file():
            raise ConfigurationError(
                "Node.js, which the Solidity compiler runs on, is not there",
                value=self.node,
                action="run `make setup`, or set PROVERY_NODE_BIN",
            )
        if not (self.modules / "solc").is_dir():
            raise ConfigurationError(
                "the Solidity compiler is not installed",
                value=self.modules,
                expected="a folder with solc in it",
                action="run `make setup`, or set PROVERY_EVM_MODULES",
            )
        environment = {**os.environ, "PROVERY_EVM_MODULES": str(self.modules)}
        child = await asyncio.create_subprocess_exec(
            self.node,
            PROGRAM,
            argument,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment,
        )
        try:
            async with asyncio.timeout(TIMEOUT_S):
                out, err = await child.communicate(given)
        except TimeoutError:
            raise ConfigurationError(
                f"the Solidity compiler took longer than {TIMEOUT_S:.0f} s",
                action="see what else this machine does",
            ) from None
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
        if child.returncode:
            said = err.decode(errors="replace").strip()[-2000:]
            raise ConfigurationError(f"the Solidity compiler ended with status {child.returncode}: {said}")
        return out


def read_sources(folder: Path) -> dict[str, str]:
    """Every Solidity file of a folder, by name.

    Raises:
        ConfigurationError: it has none.
    """
    found = {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.sol"))}
    if not found:
        raise ConfigurationError("there are no contracts", value=folder, expected="a folder with .sol files")
    return found


def manifest(build: Build, wanted: Sequence[str]) -> dict[str, Json]:
    """A build as the JSON that is committed beside the sources.

    Args:
        build: What the compiler gave.
        wanted: Names of the contracts to keep.
    """
    contracts: dict[str, Json] = {
        name: {"abi": (made := build.contracts[name]).abi, "bytecode": "0x" + made.creation.hex()}
        for name in wanted
    }
    return {"compiler": build.compiler, "settings": SETTINGS, "contracts": contracts}
