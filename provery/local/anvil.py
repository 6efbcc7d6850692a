"""A local Ethereum node (anvil), with ten rich accounts of a well-known mnemonic. For development and tests only."""

from __future__ import annotations

import json
import os
import shutil
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from provery.core.errors import TransientError, shorten
from provery.local.process import answers
from provery.local.servers import LocalServer
from provery.local.toolchain import find

MNEMONIC = "test test test test test test test test test test test junk"
"""Of the accounts that have money, as everybody's development nodes have it; never for anything of value."""
CHAIN_ID = 31_337
STATE_INTERVAL_S = 1
"""Seconds between writings of the state: what a killed node loses at most."""

_PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Without certificates, which take long to load: the node speaks plain HTTP."""


class AnvilServer(LocalServer):
    """An Ethereum node that keeps its chain in a file.

    Args:
        home: See ``LocalServer``.
        block_time_s: Seconds between blocks; 0 makes one of each transaction.
        chain_id: Chain id.
        options: Further arguments, such as ``--hardfork berlin``.
    """

    name = "anvil"
    grace_s = 10.0

    def __init__(
        self,
        home: Path,
        *,
        port: int = 0,
        host: str = "127.0.0.1",
        block_time_s: int = 0,
        chain_id: int = CHAIN_ID,
        options: Sequence[str] = (),
    ) -> None:
        super().__init__(home, port=port, host=host)
        self.block_time_s = block_time_s
        self.chain_id = chain_id
        self.options = tuple(options)

    @property
    def url(self) -> str:
        """JSON-RPC over HTTP."""
        return f"http://{self.address}"

    @property
    def state(self) -> Path:
        """The file with the whole chain, written every second and at the end."""
        return self.data / "state.json"

    def argv(self) -> Sequence[str]:
        """``anvil`` with its state in a file."""
        where = ["--host", self.host, "--port", str(self.port), "--chain-id", str(self.chain_id)]
        blocks = ["--block-time", str(self.block_time_s)] if self.block_time_s else []
        # Historical states: a revert is explained by repeating the call in its block, after a restart too.
        kept = ["--state", str(self.state), "--state-interval", str(STATE_INTERVAL_S)]
        kept.append("--preserve-historical-states")
        return [
            str(find("anvil")), "--quiet", *where, *blocks, "--mnemonic", MNEMONIC, *kept, *self.options,
        ]  # fmt: skip

    def environment(self) -> Mapping[str, str]:
        """The caller's, with caches of its own: the node writes under HOME."""
        return {**os.environ, "HOME": str(self.data)}

    async def prepare(self) -> None:
        """Keep a copy of a good state; where a kill tore the file in the middle of a write, go back to the copy."""
        await super().prepare()
        good = self.data / "state.good.json"
        if self.saved() is not None:
            shutil.copyfile(self.state, self.data / "state.new.json")
            (self.data / "state.new.json").replace(good)
        elif self.state.exists():
            self.state.replace(self.data / "state.torn.json")
            if good.exists():
                shutil.copyfile(good, self.state)

    def saved(self) -> dict[str, Any] | None:
        """The state in the file; None where there is none, or half of one."""
        try:
            document = json.loads(self.state.read_bytes())
        except (OSError, ValueError):
            return None
        return document if isinstance(document, dict) else None

    async def ready(self) -> bool:
        """Whether it answers."""
        if not await answers(self.host, self.port):
            return False
        try:
            return bool(await self.call("eth_chainId") == hex(self.chain_id))
        except TransientError:
            return False

    async def call(self, method: str, *params: object) -> Any:
        """Call a method, ``anvil_*`` and ``evm_*`` included.

        Raises:
            TransientError: it does not answer, or answers with an error.
        """
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        try:
            async with httpx.AsyncClient(trust_env=False, timeout=20.0, verify=_PLAIN) as http:
                answer = (await http.post(self.url, json=request)).json()
        except (httpx.HTTPError, ValueError) as error:
            raise TransientError(f"anvil does not answer {method} ({type(error).__name__})") from error
        if "error" in answer:
            raise TransientError(f"anvil refuses {method}: {shorten(str(answer['error']), 500)}")
        return answer.get("result")
