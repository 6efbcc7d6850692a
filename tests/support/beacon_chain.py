"""A chain of one's own behind a real HTTP server: as many periods as a test wants, finalised as far as it says."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from provery.core.types import Json
from provery.systems.beacon import wire
from provery.systems.beacon.chains import chain_from_config
from provery.systems.beacon.containers import (
    _committee_view,
    _header_view,
    beacon_root,
    bootstrap_type,
    committee_root,
)
from provery.systems.beacon.jsonform import _format
from provery.systems.beacon.model import Bootstrap, Update
from provery.systems.beacon.spec import Chain, indices
from tests.support.beacon import Signers, Tree, make_header, make_update
from tests.support.beacon_server import Asked, FakeNode, Reply, serving

CONFIG: dict[str, Json] = {
    "PRESET_BASE": "minimal",
    "SECONDS_PER_SLOT": "1",
    **{f"{fork}_FORK_EPOCH": "0" for fork in ("ALTAIR", "BELLATRIX", "CAPELLA", "DENEB", "ELECTRA")},
    **{
        f"{fork}_FORK_VERSION": f"0x0{number}0000aa"
        for number, fork in enumerate(("ALTAIR", "BELLATRIX", "CAPELLA", "DENEB", "ELECTRA"), 1)
    },
}


def genesis(seed: int = 0, time: int = 1_700_000_000) -> dict[str, Json]:
    return {
        "genesis_time": str(time),
        "genesis_validators_root": "0x" + bytes([seed] * 32).hex(),
        "genesis_fork_version": "0x000000aa",
    }


class ChainNode(FakeNode):
    """A node of a made-up chain, Electra from genesis, 64 slots a period; committee p is ``Signers.of(p + salt)``.

    Args:
        periods: Periods that have an update, from 0 on.
        salt: Other committees for the same chain: a forger's.
        seed: Another genesis: another chain.
    """

    def __init__(self, periods: int, *, salt: int = 0, seed: int = 0) -> None:
        self.genesis = genesis(seed)
        chain = chain_from_config("devnet", CONFIG, self.genesis)
        updates = {period: _update(chain, period, salt) for period in range(periods)}
        super().__init__(chain, updates)
        self.salt = salt
        self.finalized = periods - 1
        """Period that the finalised block is of."""

    @property
    def block(self) -> Bootstrap:
        """The finalised block: the first of its period."""
        return _block(self.chain, self.finalized, self.salt)

    def answer(self, asked: Asked) -> Reply:
        if asked.path.endswith("/config/spec"):
            return Reply(json.dumps({"data": CONFIG}).encode())
        if asked.path.endswith("/beacon/genesis"):
            return Reply(json.dumps({"data": self.genesis}).encode())
        if asked.path.endswith("/finality_checkpoints"):
            return Reply(checkpoints(self.finalized * 8, beacon_root(self.block.header)))
        if "/light_client/bootstrap/" in asked.path:
            for period in range(len(self.updates) + 1):
                block = _block(self.chain, period, self.salt)
                if asked.path.endswith(beacon_root(block.header).hex()):
                    return Reply(json.dumps({"version": "electra", "data": _json(block)}).encode())
        return super().answer(asked)


def checkpoints(epoch: int, root: bytes = bytes(32)) -> bytes:
    one = {"epoch": str(epoch), "root": "0x" + root.hex()}
    data = dict.fromkeys(("finalized", "current_justified", "previous_justified"), one)
    return json.dumps({"data": data}).encode()


@cache
def _update(chain: Chain, period: int, salt: int) -> Update:
    signers, following = Signers.of(period + salt), Signers.of(period + 1 + salt)
    return make_update(chain, signers, following, attested=period * 64 + 40)


@cache
def _block(chain: Chain, period: int, salt: int) -> Bootstrap:
    slot = period * 64
    form = chain.fork_of(slot)
    at = indices(form).current_committee
    committee = Signers.of(period + salt).committee
    state = Tree({at: committee_root(committee)})
    return Bootstrap(form, make_header(chain, form, slot, state.node(1)), committee, state.branch(at))


def _json(block: Bootstrap) -> Json:
    kind = bootstrap_type(block.fork, block.committee.size)
    branch = kind.fields()["current_sync_committee_branch"](*block.branch)
    view = kind(
        header=_header_view(block.fork, block.header),
        current_sync_committee=_committee_view(block.committee),
        current_sync_committee_branch=branch,
    )
    return _format(view)


@contextmanager
def nodes(*made: FakeNode) -> Iterator[str]:
    """Serve nodes; the value of RPC_URL for them, in order."""
    with ExitStack() as held:
        yield ",".join(held.enter_context(serving(node)).url for node in made)


def environment(url: str, home: Path, **more: str) -> dict[str, str]:
    """Settings of one stream over such nodes."""
    return {
        "RPC_URL": url,
        "CHAIN": "devnet",
        "OUTPUT_DIR": str(home / "store"),
        "PROMETHEUS_FILE": str(home / "metrics" / "proof.prom"),
        "PROVERY_HOME": str(home),
        **more,
    }


def published(home: Path) -> Mapping[str, list[str]]:
    """Period → its files."""
    store = home / "store"
    if not store.exists():
        return {}
    return {p.name: sorted(f.name for f in p.iterdir()) for p in store.iterdir() if p.name.isdigit()}


def updates_reply(chain: Chain, updates: list[Update]) -> Reply:
    return Reply(wire.write_stream(chain, updates), kind="application/octet-stream")


def read(path: Path) -> Any:
    return json.loads(path.read_text())
