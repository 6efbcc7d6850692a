"""The recorded network as relay server and sequencer: what a real chain of five validators signed in epochs 1 to 3."""

from __future__ import annotations

import json

from provery.core.types import Json
from provery.systems.hotshot import wire
from provery.systems.hotshot.model import Bundle
from tests.support.beacon_server import Asked, FakeNode, Reply
from tests.support.hotshot import recorded_certificates, recorded_config, recorded_tables


class RecordedNetwork(FakeNode):
    """Relay server and sequencer in one."""

    def __init__(self) -> None:
        self.behaviour = lambda asked: None
        self.asked: list[Asked] = []
        self.url = ""

    def answer(self, asked: Asked) -> Reply:
        last = recorded_certificates()[3]
        match asked.path.strip("/").split("/"):
            case ["api", "state"]:
                bundle = Bundle(last.state, last.next_stake, last.signatures, 4)
                return _json(wire.write_bundle(bundle))
            case ["config", "hotshot"]:
                return _json(wire.write_config(recorded_config()))
            case ["node", "stake-table", epoch] if epoch in ("1", "2", "3"):
                return _json(wire.write_stake_table(recorded_tables()[int(epoch)]))
            case ["availability", "state-cert", epoch] if epoch in ("1", "2", "3"):
                return _json(wire.write_certificate(recorded_certificates()[int(epoch)], triples=True))
        return Reply(b'{"status":404,"message":"not there"}', 404)


def _json(value: Json) -> Reply:
    return Reply(json.dumps(value).encode())
