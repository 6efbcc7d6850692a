"""``provery demo …``: systems at work on this machine, with everything around them."""

from __future__ import annotations

import asyncio
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from provery.cli.output import say
from provery.core.redact import redactor

if TYPE_CHECKING:
    from provery.local.supervisor import Event

app = typer.Typer(help="Show systems at work on this machine.", no_args_is_help=True)


@app.command()
def hotshot(
    epochs: Annotated[int, typer.Option(min=1, max=10_000, help="Epochs after which the network stops.")] = 5,
    validators: Annotated[int, typer.Option(min=1, max=200, help="Validators in a stake table.")] = 7,
    capacity: Annotated[int, typer.Option(help="Seats of a stake table: 10, 100 or 200.")] = 10,
    scheme: Annotated[str, typer.Option(help="groth16 or plonk.")] = "groth16",
    pace: Annotated[float, typer.Option(help="Blocks that the network makes in a second.")] = 0.5,
    changes: Annotated[
        str, typer.Option(help="What changes between epochs: none, amounts or members.")
    ] = "members",
    timeout: Annotated[float, typer.Option(help="Seconds until it counts as failed.")] = 900.0,
    result: Annotated[Path | None, typer.Option(help="File for the figures, as JSON.")] = None,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="Topology file; temporal-dev.yaml without.")
    ] = None,
) -> None:
    """A HotShot network, an Ethereum node, the light client, and the prover that carries it from epoch to epoch.

    JSON: none; `--result` writes the figures.
    """
    redactor.learn(os.environ)
    from provery.local import config
    from provery.local.hotshot_demo import Options, demo
    from provery.local.hotshot_network import Shape

    shape = Shape(
        validators=validators,
        capacity=capacity,
        epochs=epochs,
        pace=pace,
        stake_changes=changes,
        seed=secrets.token_hex(8),  # a network of its own each time, and so a contract of its own
    )
    options = Options(shape, scheme, timeout, result=result)
    topology = config.load_topology(file or config.DEFAULT_FILE)

    def tell(event: Event) -> None:
        say(f"{event.what:>9}  {event.process}  {event.detail}".rstrip(), style="dim")

    raise typer.Exit(asyncio.run(demo(topology, options, Console(), tell)))


@app.command()
def zkml(
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Port of the API and its page.")] = 3001,
    once: Annotated[bool, typer.Option("--once", help="End after the first request.")] = False,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="Topology file; temporal-dev.yaml without.")
    ] = None,
) -> None:
    """The inference API with two models and its page: one request is proved and verified, then it serves yours.

    JSON: none.
    """
    redactor.learn(os.environ)
    from provery.local import config
    from provery.local.zkml_demo import demo

    topology = config.load_topology(file or config.DEFAULT_FILE)

    def tell(event: Event) -> None:
        say(f"{event.what:>9}  {event.process}  {event.detail}".rstrip(), style="dim")

    raise typer.Exit(asyncio.run(demo(topology, Console(), tell, port=port, once=once)))
