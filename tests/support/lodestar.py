"""A real beacon chain on this machine: one Lodestar node with eight validators, minimal preset, Altair from genesis.

Its packages are not part of the set-up: ``make chain`` installs them from ``tools/chain``.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx

from provery.core.errors import ConfigurationError
from provery.local import ROOT
from provery.local.process import free_port
from provery.local.servers import LocalServer

TOOLS = ROOT / "tools/chain"
SLOTS_PER_PERIOD = 64
"""Minimal preset: 8 epochs of 8 slots."""
GENESIS_DELAY_S = 20


def node() -> Path:
    """The Node version that this Lodestar's native parts were built for."""
    found = next(TOOLS.glob("node_modules/node-linux-*/bin/node"), None)
    if found is None:
        raise ConfigurationError("the test chain is not installed", action="run: make chain")
    return found


class BeaconChain(LocalServer):
    """``lodestar dev``. It has one node, which cannot go on after a kill: it would have nobody to catch up from.

    Args:
        home: Where its database and log go.
        slot_s: Seconds per slot.
    """

    name = "lodestar"
    ready_s = 60.0
    poll_s = 0.5
    grace_s = 5.0

    def __init__(self, home: Path, *, slot_s: int = 1, port: int = 0) -> None:
        super().__init__(home, port=port)
        self.slot_s = slot_s
        self.genesis = int(time.time()) + GENESIS_DELAY_S
        self._p2p = free_port()

    def argv(self) -> Sequence[str]:
        """The development chain, whose node signs for its validators itself."""
        options = {
            "genesisValidators": 8,
            "startValidators": "0..7",
            "genesisTime": self.genesis,
            "params.SECONDS_PER_SLOT": self.slot_s,
            "params.ALTAIR_FORK_EPOCH": 0,
            "eth1": "false",
            "dataDir": self.data,
            "rest.namespace": "*",
            "rest.port": self.port,
            "server": self.url,
            "discv5": "false",
            "sync.isSingleNode": "true",
            "port": self._p2p,
            "listenAddress": "127.0.0.1",
            "logLevel": "warn",
        }
        named = [part for name, value in options.items() for part in (f"--{name}", str(value))]
        # It writes genesis.ssz where it stands.
        return [
            "env",
            "-C",
            str(self.data),
            str(node()),
            str(TOOLS / "node_modules/.bin/lodestar"),
            "dev",
            *named,
        ]

    def environment(self) -> Mapping[str, str]:
        """The preset, and pure JavaScript where a native part would have to be compiled."""
        options = f"--require {TOOLS / 'preload.cjs'}"
        return os.environ | {"LODESTAR_PRESET": "minimal", "NODE_BACKEND": "js", "NODE_OPTIONS": options}

    @property
    def url(self) -> str:
        """Its Beacon API."""
        return f"http://{self.address}"

    async def ready(self) -> bool:
        """Whether the API answers."""
        try:
            async with httpx.AsyncClient(base_url=self.url, timeout=2.0) as http:
                return (await http.get("/eth/v1/beacon/genesis")).is_success
        except httpx.HTTPError:
            return False

    @property
    def period_s(self) -> int:
        """Seconds of a sync-committee period."""
        return SLOTS_PER_PERIOD * self.slot_s

    def period(self) -> int:
        """The period that the clock is in."""
        return int(max(0.0, time.time() - self.genesis) // self.period_s)

    async def finalized_epoch(self) -> int:
        """What ``finality_checkpoints`` says."""
        async with httpx.AsyncClient(base_url=self.url, timeout=5.0) as http:
            answer = await http.get("/eth/v1/beacon/states/head/finality_checkpoints")
        return int(json.loads(answer.text)["data"]["finalized"]["epoch"])
