"""Run a network: ``python -m provery.systems.hotshot.network``. Its first line of output has the URLs, as JSON."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Sequence

from pydantic import ValidationError

from provery.core.errors import ProveryError
from provery.core.exits import CONFIGURATION, OK
from provery.systems.hotshot.epochs import epoch_root_height
from provery.systems.hotshot.network.chain import Chain
from provery.systems.hotshot.network.faults import Faults
from provery.systems.hotshot.network.server import NetworkServer, describe
from provery.systems.hotshot.network.validators import Changes, Validators


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(
        "python -m provery.systems.hotshot.network",
        description="A small HotShot network: validators with real keys, a relay server and a sequencer.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = found.add_argument
    add("--validators", type=int, default=5, help="validators in a stake table")
    add("--capacity", type=int, default=200, help="rows that stake tables are padded to")
    add("--epoch-height", type=int, default=10, help="blocks of an epoch")
    add("--epoch-start-block", type=int, default=1, help="first block from which epochs matter")
    add("--seed", default="demo", help="the same seed gives the same keys, stakes and states")
    add("--stake-changes", type=Changes, choices=list(Changes), default=Changes.NONE, help="between epochs")
    add("--participation", type=int, default=90, help="per cent of the validators that sign a state")
    add("--height", type=int, default=0, help="height in the beginning")
    add(
        "--pace", type=float, default=0.0, help="blocks per second; 0: only by POST /network/advance?blocks=N"
    )
    add("--epochs", type=int, help="stop at the root of this epoch (default: never)")
    add("--host", default="127.0.0.1", help="address to listen on")
    add("--relay-port", type=int, default=0, help="0 for a free one")
    add("--sequencer-port", type=int, default=0, help="0 for a free one")
    add("--faults", type=json.loads, default={}, help='what goes wrong, as JSON: {"invalid_signatures": 1}')
    return found


def chain_from(arguments: argparse.Namespace) -> Chain:
    """The chain that the command line describes.

    Raises:
        ConfigurationError: its numbers do not fit together.
        ValidationError: there is no such fault.
    """
    last = arguments.epochs and epoch_root_height(arguments.epochs, arguments.epoch_height)
    chain = Chain(
        Validators(arguments.seed, arguments.validators, arguments.capacity, arguments.stake_changes),
        blocks_per_epoch=arguments.epoch_height,
        epoch_start_block=arguments.epoch_start_block,
        height=arguments.height,
        last=last,
        pace=arguments.pace,
        participation=arguments.participation,
    )
    chain.faults = Faults.model_validate(arguments.faults)
    return chain


async def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT."""
    try:
        chain = chain_from(arguments)
    except (ProveryError, ValidationError) as error:
        print(error, file=sys.stderr)
        return CONFIGURATION
    server = NetworkServer(chain)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await server.start(arguments.host, arguments.relay_port, arguments.sequencer_port)
    urls = {"relay_server": server.relay_url, "sequencer_url": server.sequencer_url}
    print(json.dumps({**urls, **await asyncio.to_thread(describe, chain)}), flush=True)
    await stop.wait()
    await server.close()
    return OK


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    return asyncio.run(run(parser().parse_args(argv)))


if __name__ == "__main__":
    sys.exit(main())
