"""``provery hotshot deploy``: a light client of our own on an L1."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from provery.chain import open_chain
from provery.cli.contracts import compiler
from provery.cli.deploying import overview, part, told
from provery.cli.options import JsonOption
from provery.cli.output import console, emit, say
from provery.cli.progress import bar
from provery.cli.session import Session, run
from provery.core.contracts import LARGEST_CODE
from provery.core.errors import InvalidInput
from provery.core.lanes import Contract

SYSTEM = "hotshot"
_BY_SETTINGS = (
    "l1_provider_url",
    "sequencer_url",
    "stake_table_capacity",
    "scheme",
    "eth_account_index",
    "max_gas_price",
)
"""Options that are fields of the stream's settings."""
StreamOption = Annotated[str, typer.Option(help="Stream whose settings (account, endpoints, circuit) count.")]


def _setting(flag: str, text: str) -> Any:
    return typer.Option(flag, help=f"{text}; the stream's setting without.")


def deploy(
    stream: StreamOption = "mainnet",
    l1_provider_url: Annotated[str, _setting("--l1-provider-url", "JSON-RPC endpoints, by commas")] = "",
    sequencer_url: Annotated[str, _setting("--sequencer-url", "Sequencers of the network, by commas")] = "",
    stake_table_capacity: Annotated[
        str, _setting("--stake-table-capacity", "Rows of the stake table: 10, 100 or 200")
    ] = "",
    scheme: Annotated[str, _setting("--scheme", "plonk or groth16")] = "",
    eth_account_index: Annotated[str, _setting("--eth-account-index", "Account of the mnemonic")] = "",
    max_gas_price: Annotated[str, _setting("--max-gas-price", "Most gwei per gas")] = "",
    setup: Annotated[
        str, typer.Option(help="Digest of the circuit's verifying key; the one in use without.")
    ] = "",
    genesis_state: Annotated[
        str, typer.Option(help="LIGHT_CLIENT_STATE~… to start from; the network's beginning without.")
    ] = "",
    genesis_stake_table: Annotated[
        str, typer.Option(help="STAKE_TABLE_STATE~… that signs next; the network's first validators without.")
    ] = "",
    blocks_per_epoch: Annotated[
        int | None, typer.Option(min=0, help="0 for no epochs; the network's setting without.")
    ] = None,
    epoch_start_block: Annotated[
        int | None,
        typer.Option(min=0, help="Height from which tables change; the network's setting without."),
    ] = None,
    permissioned_prover: Annotated[
        str, typer.Option(help="Only account that may submit, or `self`; everybody without.")
    ] = "",
    owner: Annotated[str, typer.Option(help="Who may upgrade; the deploying account without.")] = "",
    history_days: Annotated[
        int, typer.Option(min=1, max=365, help="Days for which proved states are kept on chain.")
    ] = 8,
    salt: Annotated[
        int, typer.Option(min=0, help="Another number makes another light client of the same set-up.")
    ] = 0,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file", "-f", help="Topology file whose home has the keys; temporal-dev.yaml without."
        ),
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Put a light client on an L1: the verifier of the stream's circuit, the code, and its proxy.

    Safe to repeat: addresses follow from code and set-up, and what is there is found. The account's secrets come from
    the environment (docs/contracts.md). Nothing else may send from the account meanwhile. The key is PROVERY_HOME's, or
    that of the topology file's home without, as for `provery hotshot run`.

    JSON: {"chain_id", "deployer", "circuit", "verifying_key", "insecure", "proxy": address, "contracts": [{"name",
    "address", "found", "transaction", "gas", "fee": wei as a string}], "gas": total, "implementation": where the proxy
    points, "upgraded", "finalized": {"view", "height", "block_comm_root"}}
    """
    given = locals()
    if not os.environ.get("PROVERY_HOME"):
        from provery.local.config import DEFAULT_FILE
        from provery.local.hotshot import topology_of

        if file is not None or DEFAULT_FILE.exists():
            os.environ["PROVERY_HOME"] = str(topology_of(file, os.environ).home_path)

    async def go(session: Session) -> dict[str, Any]:
        env = session.env
        deploying, genesis, reader = (
            part(SYSTEM, name, env) for name in ("deploying", "genesis", "settings")
        )
        # A stream's own variable counts before any other.
        own = {reader.variables(stream, name, alone=False)[0]: given[name] for name in _BY_SETTINGS}
        settings = reader.HotShotSettings.load(stream, {**env, **{k: v for k, v in own.items() if v}})
        errors = Contract(part(SYSTEM, "abi", env).ERRORS)
        # First what is quick to fail: making keys of a large circuit takes a minute.
        chain = await open_chain(settings.l1_provider_url, settings.account, errors)
        try:
            start = await genesis.genesis(
                settings.sequencer_url,
                settings.stake_table_capacity,
                state=genesis_state,
                stake_table=genesis_stake_table,
                blocks_per_epoch=blocks_per_epoch,
                epoch_start_block=epoch_start_block,
            )
            prover = chain.sender if permissioned_prover == "self" else permissioned_prover
            wanted = deploying.Setup(
                start.state,
                start.stake_table,
                start.blocks_per_epoch,
                start.epoch_start_block,
                owner or chain.sender,
                prover or deploying.NOBODY,
                history_days * 86_400,
            )
            await deploying.check(chain, wanted)
            code, key = await _code(session, settings.circuit, setup, env, quiet=json_)
            done = await deploying.deploy(
                chain,
                code,
                wanted,
                policy=settings.policy,
                salt=salt.to_bytes(32),
                say=lambda text: None if json_ else say(text, stderr=True),
            )
            about = {"chain_id": chain.chain_id, "deployer": chain.sender, "circuit": settings.circuit}
        finally:
            await chain.close()
        return {**about, **key, **_object(done)}

    done = run(go)
    if json_:
        emit(done)
        return
    console().print(overview(done["contracts"]))
    say(f"light client: {done['proxy']} on chain {done['chain_id']}, {done['gas']} gas")
    say(f"it stands at view {done['finalized']['view']}, height {done['finalized']['height']}")
    if done["upgraded"]:
        say(f"it was upgraded since: its code is at {done['implementation']}", style="yellow", stderr=True)
    if done["insecure"]:
        say("INSECURE development key: whoever made it can forge states", style="yellow", stderr=True)


async def _code(
    session: Session, circuit: str, setup: str, env: Mapping[str, str], *, quiet: bool
) -> tuple[Any, dict[str, Any]]:
    """Creation codes: the verifier's from the circuit's key, the others as they are shipped."""
    contracts = part(SYSTEM, "contracts", env)
    native = session.native()
    with bar(f"verifier of {circuit}", quiet=quiet) as progress, tempfile.TemporaryDirectory() as folder:
        key = await native.prepare(circuit, progress, setup)
        told = await native.order("circuit_export", circuit, progress, setup=key, out=folder)
        source = (Path(folder) / "verifier.sol").read_text(encoding="utf-8")
        build = await compiler().compile({"verifier.sol": source})
    name, client = contracts.client_for({n: c.abi for n, c in build.contracts.items()})
    verifier = build.contracts[name]
    if verifier.size > LARGEST_CODE:
        raise InvalidInput(
            "the verifier is too large for a contract",
            value=verifier.size,
            expected=f"{LARGEST_CODE:,} bytes",
        )
    code = part(SYSTEM, "deploying", env).Code(
        verifier.creation, contracts.creation_code(client), contracts.creation_code(contracts.PROXY)
    )
    return code, {"verifying_key": key, "insecure": told.get("insecure") is not False}


def _object(done: Any) -> dict[str, Any]:
    return {
        "proxy": done.proxy,
        "contracts": [told(one) for one in done.contracts],
        "gas": sum(one.gas for one in done.contracts),
        "implementation": done.implementation,
        "upgraded": done.upgraded,
        "finalized": {
            "view": done.finalized.view,
            "height": done.finalized.height,
            "block_comm_root": hex(done.finalized.block_comm_root),
        },
    }
