"""A beacon node that has one thing to say: recorded answers about a period of mainnet, for the demo without a network.

The answers are those of a real node (``vectors/beacon/README.md``); whoever fetches them checks them as always.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from provery.core.errors import ConfigurationError
from provery.local import ROOT

VECTORS = ROOT / "vectors/beacon/mainnet"
PERIOD = 1601
"""The period that can be proved: its committee was announced in the period before."""
CHECKPOINT = "0x201a1d12d634bcf8de5a9281d8cf5974cb775be0f8741a1cf0123e0383878599"
"""Root of the first block of the period before, slot 13,107,200."""
GENESIS = {
    "genesis_time": "1606824023",
    "genesis_validators_root": "0x4b363db94e286120d76eb905340fdd4e54bfe9f06bf33ff6cf5ad27f511bfe95",
    "genesis_fork_version": "0x00000000",
}
_SSZ, _JSON = "application/octet-stream", "application/json"


def answer(path: str, query: Mapping[str, str]) -> tuple[int, str, bytes]:
    """Status, content type and body, as the Beacon API has them."""
    match path.removeprefix("/eth/v1/beacon/"):
        case "genesis":
            return 200, _JSON, json.dumps({"data": GENESIS}).encode()
        case "states/head/finality_checkpoints":
            return 200, _JSON, (VECTORS / "finality_checkpoints.json").read_bytes()
        case "light_client/updates" if (query.get("start_period"), query.get("count")) == ("1600", "1"):
            return 200, _SSZ, (VECTORS / "updates_1600_1.ssz").read_bytes()
        case name if name == f"light_client/bootstrap/{CHECKPOINT}":
            return 200, _SSZ, (VECTORS / "bootstrap_1600.ssz").read_bytes()
    return 404, _JSON, json.dumps({"code": 404, "message": "not among the recorded answers"}).encode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Give the recorded answer."""
        parts = urlsplit(self.path)
        status, kind, body = answer(parts.path, {k: v[0] for k, v in parse_qs(parts.query).items()})
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if kind == _SSZ:
            self.send_header("Eth-Consensus-Version", "electra")
        self.end_headers()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet: the terminal belongs to the demo."""


@contextlib.contextmanager
def recorded_node(url: str) -> Iterator[None]:
    """Answer at ``url`` for as long as the block lasts.

    Raises:
        ConfigurationError: nothing can listen there.
    """
    parts = urlsplit(url)
    try:
        server = ThreadingHTTPServer((parts.hostname or "127.0.0.1", parts.port or 80), _Handler)
    except OSError as error:
        raise ConfigurationError(
            f"the recorded beacon node cannot listen: {error.strerror}",
            value=url,
            action="change RPC_URL of beacon/recorded in temporal-dev.yaml",
        ) from error
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
