"""``provery contracts …``: the Solidity of systems."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Annotated

import typer

from provery import registry
from provery.chain.solidity import Solidity, manifest, read_sources
from provery.cli.options import JsonOption
from provery.cli.output import emit, say
from provery.core.errors import ConfigurationError
from provery.core.types import Json
from provery.local.toolchain import evm_modules, find

app = typer.Typer(help="Compile the contracts that systems ship with.", no_args_is_help=True)


def compiler() -> Solidity:
    """The compiler of this installation.

    Raises:
        ConfigurationError: there is none.
    """
    return Solidity(find("node"), evm_modules())


@app.command()
def build(
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail where the committed code differs.")
    ] = False,
    json_: JsonOption = False,
) -> None:
    """Compile the contracts of every system into compiled.json beside them.

    JSON: {"compiler", "systems": {system: {contract: {"bytes": size on chain}}}, "changed": [path]}
    """
    done = asyncio.run(_build(check=check))
    changed = done["changed"]
    if check and changed:
        raise ConfigurationError(
            "compiled contracts are not what their sources give",
            value=changed,
            action="run `provery contracts build` and commit the result",
        )
    if json_:
        emit(done)
        return
    systems = done["systems"]
    for system, contracts in systems.items() if isinstance(systems, dict) else ():
        for name, facts in contracts.items() if isinstance(contracts, dict) else ():
            say(f"{system}: {name}, {facts['bytes'] if isinstance(facts, dict) else '?'} bytes")
    for path in changed if isinstance(changed, list) else []:
        say(f"written: {path}")


async def _build(*, check: bool) -> dict[str, Json]:
    systems: dict[str, Json] = {}
    changed: list[Json] = []
    version = ""
    for system in registry.systems(os.environ):
        contracts = registry.part(system, "contracts", os.environ)
        if contracts is None:
            continue
        made = await compiler().compile(read_sources(contracts.FOLDER))
        version = made.compiler
        text = json.dumps(manifest(made, contracts.DEPLOYED), indent=1) + "\n"
        path = contracts.COMPILED
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            changed.append(str(path))
            if not check:
                path.write_text(text, encoding="utf-8")
        systems[system] = {name: {"bytes": made.contracts[name].size} for name in contracts.DEPLOYED}
    return {"compiler": version, "systems": systems, "changed": changed}
