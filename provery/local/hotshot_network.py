"""A small HotShot network as a process: validators with real keys, a relay server and a sequencer."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from provery.core.errors import TransientError
from provery.local.process import Process, answers, free_port
from provery.registry import SYSTEMS


@dataclass(frozen=True)
class Shape:
    """What the network is like."""

    validators: int = 7
    capacity: int = 10
    epochs: int | None = None
    """It stops at the root of this epoch; None for never."""
    pace: float = 1.0
    """Blocks per second."""
    blocks_per_epoch: int = 10
    epoch_start_block: int = 1
    stake_changes: str = "none"
    seed: str = "demo"


class HotShotNetwork(Process):
    """The network of one demo.

    Args:
        home: Where its log goes.
        shape: What it is like.
    """

    name = "hotshot-network"
    ready_s = 120.0

    def __init__(self, home: Path, shape: Shape) -> None:
        super().__init__(log=home / "logs" / f"{self.name}.log")
        self.shape = shape
        self._relay, self._sequencer = free_port(), free_port()

    @property
    def relay_url(self) -> str:
        """Where signatures are."""
        return f"http://127.0.0.1:{self._relay}"

    @property
    def sequencer_url(self) -> str:
        """Where stake tables and certificates are."""
        return f"http://127.0.0.1:{self._sequencer}"

    def argv(self) -> Sequence[str]:
        """``python -m provery.systems.hotshot.network``."""
        shape = self.shape
        options = {
            "validators": shape.validators,
            "capacity": shape.capacity,
            "epoch-height": shape.blocks_per_epoch,
            "epoch-start-block": shape.epoch_start_block,
            "seed": shape.seed,
            "stake-changes": shape.stake_changes,
            "pace": shape.pace,
            "relay-port": self._relay,
            "sequencer-port": self._sequencer,
            **({"epochs": shape.epochs} if shape.epochs is not None else {}),
        }
        given = [part for name, value in options.items() for part in (f"--{name}", str(value))]
        return [sys.executable, "-m", f"{SYSTEMS['hotshot']}.network", *given]

    async def ready(self) -> bool:
        """Whether it answers."""
        request = b"GET /healthcheck HTTP/1.0\r\nHost: localhost\r\n\r\n"
        return await answers("127.0.0.1", self._sequencer, request, b" 200 ")

    async def status(self) -> dict[str, Any]:
        """Where it is: ``height``, ``epoch``, ``state``, ``next_stake_table`` and what it began with.

        Raises:
            TransientError: it does not answer.
        """
        try:
            async with httpx.AsyncClient(trust_env=False, timeout=30.0) as http:
                answer = await http.get(f"{self.sequencer_url}/network")
                found: dict[str, Any] = answer.raise_for_status().json()
        except (httpx.HTTPError, ValueError) as error:
            raise TransientError(f"the network does not answer ({type(error).__name__})") from error
        return found
