"""``provery zkml deploy``: a registry of inferences on a chain."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from provery.chain import open_chain
from provery.cli.deploying import overview, part, told
from provery.cli.options import JsonOption
from provery.cli.output import console, emit, say
from provery.cli.session import Session, run
from provery.core import factory
from provery.core.lanes import Contract

SYSTEM = "zkml"
_BY_SETTINGS = ("chain_rpc", "eth_account_index", "max_gas_price")
"""Options that are fields of the stream's settings."""
StreamOption = Annotated[str, typer.Option(help="Stream whose settings (account, endpoints) count.")]


def _setting(flag: str, text: str) -> Any:
    return typer.Option(flag, help=f"{text}; the stream's setting without.")


def deploy(
    stream: StreamOption = "default",
    chain_rpc: Annotated[str, _setting("--chain-rpc", "JSON-RPC endpoints, by commas")] = "",
    eth_account_index: Annotated[str, _setting("--eth-account-index", "Account of the mnemonic")] = "",
    max_gas_price: Annotated[str, _setting("--max-gas-price", "Most gwei per gas")] = "",
    salt: Annotated[int, typer.Option(min=0, help="Another number makes another registry.")] = 0,
    json_: JsonOption = False,
) -> None:
    """Put a registry of inferences on a chain, or find it there: it deploys verifiers and keeps attestations.

    Safe to repeat: its address follows from its code, the same on every chain, whoever sends it. It belongs to nobody.
    The account's secrets come from the environment (docs/zkml-onchain.md). Nothing else may send from the account
    meanwhile.

    JSON: {"chain_id", "deployer", "registry": address, "contracts": [{"name", "address", "found", "transaction", "gas",
    "fee": wei as a string}], "gas": total, "setting": {"PROVERY_ZKML_REGISTRY": address}}
    """
    given = locals()

    async def go(session: Session) -> dict[str, Any]:
        env = session.env
        reader, contracts, abi = (
            part(SYSTEM, name, env) for name in ("onchain.settings", "contracts", "onchain.abi")
        )
        # A stream's own variable counts before any other.
        own = {reader.variables(stream, name)[0]: given[name] for name in _BY_SETTINGS}
        settings = reader.ChainSettings.load(stream, {**env, **{k: v for k, v in own.items() if v}})
        chain = await open_chain(settings.endpoints, settings.account, Contract(abi.ERRORS))
        try:
            await factory.check(chain)
            one = await factory.create(
                chain,
                "registry",
                contracts.creation_code(contracts.REGISTRY),
                settings.policy,
                salt=salt.to_bytes(32),
                say=lambda text: None if json_ else say(text, stderr=True),
            )
            return {
                "chain_id": chain.chain_id,
                "deployer": chain.sender,
                "registry": one.address,
                "contracts": [told(one)],
                "gas": one.gas,
                "setting": {reader.PREFIX + "REGISTRY": one.address},
            }
        finally:
            await chain.close()

    done = run(go)
    if json_:
        emit(done)
        return
    console().print(overview(done["contracts"]))
    say(f"registry: {done['registry']} on chain {done['chain_id']}, {done['gas']} gas")
    for name, value in done["setting"].items():
        say(f"set {name}={value}")
