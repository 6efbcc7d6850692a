"""``provery hotshot run``: the state prover in one command, with the flags of the upstream program."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from provery.cli.options import JsonOption
from provery.cli.output import emit_line, say
from provery.core.redact import redactor
from provery.core.types import check_name

if TYPE_CHECKING:
    from provery.local.supervisor import Event


def run(
    stream: Annotated[str, typer.Option(help="Name of the stream.")] = "mainnet",
    daemon: Annotated[
        bool,
        typer.Option("--daemon", "-d", help="Go on looking, until Ctrl-C; without, prove what is due once."),
    ] = False,
    relay_server: Annotated[
        str, typer.Option("--relay-server", envvar="ESPRESSO_STATE_RELAY_SERVER_URL", help="Relay servers.")
    ] = "http://localhost:8083",
    freq: Annotated[
        str,
        typer.Option(
            "--freq", "-u", envvar="ESPRESSO_STATE_PROVER_UPDATE_INTERVAL", help="Time between looks."
        ),
    ] = "10m",
    retry_freq: Annotated[
        str,
        typer.Option(
            "--retry-freq",
            envvar="ESPRESSO_STATE_PROVER_RETRY_INTERVAL",
            help="Time after which a failure is repeated.",
        ),
    ] = "2s",
    retries: Annotated[
        int,
        typer.Option(
            min=0, envvar="ESPRESSO_STATE_PROVER_ONESHOT_RETRIES", help="How often a failure is repeated."
        ),
    ] = 10,
    l1_provider_url: Annotated[
        str,
        typer.Option(
            "--l1-provider-url",
            envvar="ESPRESSO_SEQUENCER_L1_PROVIDER",
            help="JSON-RPC endpoints, comma-separated.",
        ),
    ] = "http://localhost:8545",
    light_client_address: Annotated[
        str,
        typer.Option(
            "--light-client-address",
            envvar="ESPRESSO_SEQUENCER_LIGHT_CLIENT_PROXY_ADDRESS",
            help="The light-client contract's proxy.",
        ),
    ] = "",
    eth_mnemonic: Annotated[
        str,
        typer.Option(
            "--eth-mnemonic",
            envvar="ESPRESSO_SEQUENCER_ETH_MNEMONIC",
            help="BIP-39 words of the submitting account. Other users of the machine see flags: prefer the variable.",
        ),
    ] = "",
    eth_account_index: Annotated[
        int,
        typer.Option(
            "--eth-account-index",
            min=0,
            envvar="ESPRESSO_SEQUENCER_STATE_PROVER_ACCOUNT_INDEX",
            help="Which of the mnemonic's accounts.",
        ),
    ] = 0,
    sequencer_url: Annotated[
        str, typer.Option("--sequencer-url", envvar="ESPRESSO_SEQUENCER_URL", help="Sequencers.")
    ] = "http://localhost:24000",
    port: Annotated[
        int | None,
        typer.Option(
            "--port", "-p", envvar="ESPRESSO_PROVER_SERVICE_PORT", help="Of the HTTP API; none without."
        ),
    ] = None,
    stake_table_capacity: Annotated[
        int,
        typer.Option(
            "--stake-table-capacity",
            "-s",
            envvar="ESPRESSO_SEQUENCER_STAKE_TABLE_CAPACITY",
            help="10, 100 or 200, as on sequencer and relay server.",
        ),
    ] = 200,
    max_gas_price: Annotated[
        str,
        typer.Option(
            "--max-gas-price",
            "-m",
            envvar="ESPRESSO_STATE_PROVER_MAX_GAS_PRICE_IN_GWEI",
            help="Gwei per gas above which nothing is sent.",
        ),
    ] = "",
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="Topology file; temporal-dev.yaml without.")
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Run the HotShot state prover on this machine: Temporal, workers and one stream.

    Everything else about the stream is set by PROVERY_HOTSHOT_… variables. Data and keys are in PROVERY_HOME, or in the
    topology file's home without, as for `provery hotshot deploy`. With several machines, run workers and `provery
    schedule create hotshot/NAME` instead.

    JSON: one line for each event, as for `up`; what is proved is printed by `provery prove`.
    """
    check_name(stream, "stream")
    given = {
        "ESPRESSO_STATE_RELAY_SERVER_URL": relay_server,
        "ESPRESSO_STATE_PROVER_UPDATE_INTERVAL": freq,
        "ESPRESSO_STATE_PROVER_RETRY_INTERVAL": retry_freq,
        "ESPRESSO_STATE_PROVER_ONESHOT_RETRIES": str(retries),
        "ESPRESSO_SEQUENCER_L1_PROVIDER": l1_provider_url,
        "ESPRESSO_SEQUENCER_LIGHT_CLIENT_PROXY_ADDRESS": light_client_address,
        "ESPRESSO_SEQUENCER_ETH_MNEMONIC": eth_mnemonic,
        "ESPRESSO_SEQUENCER_STATE_PROVER_ACCOUNT_INDEX": str(eth_account_index),
        "ESPRESSO_SEQUENCER_URL": sequencer_url,
        "ESPRESSO_PROVER_SERVICE_PORT": "" if port is None else str(port),
        "ESPRESSO_SEQUENCER_STAKE_TABLE_CAPACITY": str(stake_table_capacity),
        "ESPRESSO_STATE_PROVER_MAX_GAS_PRICE_IN_GWEI": max_gas_price,
    }
    # Flags are those variables: the processes that are started read them, and no file has them.
    os.environ.update({name: value for name, value in given.items() if value})
    redactor.learn(os.environ)
    from provery.local import hotshot, supervisor

    every, listen = hotshot.usual(stream)
    topology = hotshot.only_hotshot(
        hotshot.topology_of(file, os.environ),
        stream,
        port=listen,
        follow_s=every if daemon else None,
    )

    def tell(event: Event) -> None:
        if json_:
            emit_line({"event": event.what, "process": event.process, "detail": event.detail})
        else:
            say(f"{event.what:>9}  {event.process}  {event.detail}".rstrip(), style="dim")

    show = None if daemon else hotshot.one_shot(stream, None)
    status = asyncio.run(supervisor.up(topology, demo=show, once=not daemon, listener=tell))
    raise typer.Exit(status)
