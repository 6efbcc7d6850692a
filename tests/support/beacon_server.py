"""A beacon node on a local port that answers from recorded data, and misbehaves on request."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from provery.systems.beacon import wire
from provery.systems.beacon.model import Update
from provery.systems.beacon.spec import Chain
from tests.support.beacon import VECTORS, recorded

SSZ, JSON = "application/octet-stream", "application/json"


@dataclass
class Reply:
    """What the server sends."""

    body: bytes = b""
    status: int = 200
    kind: str = JSON
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    """Before the first byte."""
    drip_s: float = 0.0
    """Between single bytes of the body."""
    cut: int | None = None
    """Bytes of the body after which the connection is closed."""
    endless: bool = False
    """Repeat the body until the client leaves; no length is announced."""


@dataclass
class Asked:
    path: str
    query: dict[str, str]
    accept: str
    authorization: str


Behaviour = Callable[[Asked], Reply | None]
"""Answers instead of the node; None leaves it to the node."""


class FakeNode:
    """Light-client data of one chain, as a node serves it: one missing period fails the whole range."""

    def __init__(self, chain: Chain, updates: dict[int, Update]) -> None:
        self.chain, self.updates = chain, updates
        self.behaviour: Behaviour = lambda asked: None
        self.speaks_ssz = True
        self.asked: list[Asked] = []
        self.url = ""

    @property
    def ranges(self) -> list[tuple[int, int]]:
        """Ranges that were asked for, as (first, count)."""
        return [
            (int(a.query["start_period"]), int(a.query["count"]))
            for a in self.asked
            if a.path.endswith("/updates")
        ]

    def reply(self, asked: Asked) -> Reply:
        self.asked.append(asked)
        given = self.behaviour(asked)
        return given if given is not None else self.answer(asked)

    def answer(self, asked: Asked) -> Reply:
        if asked.path.endswith("/light_client/updates"):
            return self._updates(asked)
        if asked.path.endswith("/finality_checkpoints"):
            return Reply(recorded("mainnet/finality_checkpoints.json"))
        if asked.path.endswith("/beacon/genesis"):
            root = "0x" + self.chain.genesis_validators_root.hex()
            return Reply(json.dumps({"data": {"genesis_validators_root": root}}).encode())
        name = {"spec": "devnet/spec.json"}.get(asked.path.rsplit("/", 1)[-1])
        if name and (VECTORS / name).exists():
            return Reply(recorded(name))
        return Reply(b'{"code":404,"message":"no such route"}', 404)

    def _updates(self, asked: Asked) -> Reply:
        first, count = int(asked.query["start_period"]), int(asked.query["count"])
        wanted = range(first, first + count)
        missing = [period for period in wanted if period not in self.updates]
        if missing:
            text = f"No partialUpdate available for period {missing[0]}"
            body = {"statusCode": 500, "error": "Internal Server Error", "message": text}
            return Reply(json.dumps(body).encode(), 500)
        found = [self.updates[period] for period in wanted]
        if SSZ in asked.accept and self.speaks_ssz:
            return Reply(wire.write_stream(self.chain, found), kind=SSZ)
        if JSON not in asked.accept:
            return Reply(status=406)
        return Reply(json.dumps(wire.write_json(found)).encode(), kind="application/json; charset=utf-8")


@contextmanager
def serving(node: FakeNode) -> Iterator[FakeNode]:
    """Serve a node on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {key: values[0] for key, values in parse_qs(parts.query).items()}
            headers = self.headers
            asked = Asked(parts.path, query, headers.get("accept", ""), headers.get("authorization", ""))
            with suppress(BrokenPipeError, ConnectionResetError):
                self._send(node.reply(asked))

        def _send(self, reply: Reply) -> None:
            self.close_connection = reply.cut is not None or reply.endless or bool(reply.drip_s)
            time.sleep(reply.delay_s)
            self.send_response(reply.status)
            if reply.kind:
                self.send_header("Content-Type", reply.kind)
            if not reply.endless and "Content-Length" not in reply.headers:
                self.send_header("Content-Length", str(len(reply.body)))
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.end_headers()
            while reply.endless:
                self.wfile.write(reply.body)
            body = reply.body if reply.cut is None else reply.body[: reply.cut]
            if not reply.drip_s:
                self.wfile.write(body)
                return
            for at in range(len(body)):
                self.wfile.write(body[at : at + 1])
                self.wfile.flush()
                time.sleep(reply.drip_s)

        def log_message(self, format: str, *args: object) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    node.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield node
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
