"""A signer with Web3Signer's eth1 API over HTTP: its two paths, status codes and forms of keys and signatures."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from coincurve import PrivateKey

from provery.chain.signers import keccak256

Sign = Callable[[PrivateKey, bytes], str]


def signed(key: PrivateKey, data: bytes) -> str:
    """What it answers: r, s and v of 27 or 28 over the data's Keccak-256."""
    signature = key.sign_recoverable(keccak256(data), hasher=None)
    return "0x" + signature[:64].hex() + f"{signature[64] + 27:02x}"


class Web3Signer:
    """Keys by their public key, as 0x and the point's 64 bytes."""

    def __init__(self, *keys: bytes) -> None:
        self.keys = {
            "0x" + PrivateKey(key).public_key.format(compressed=False)[1:].hex(): PrivateKey(key)
            for key in keys
        }
        self.listed: object = list(self.keys)
        self.sign: Sign = signed
        self.status = 0
        """Answer everything with this, where it is not 0."""
        self.asked: list[tuple[str, str]] = []
        """Method and path, and the Authorization header, of each request."""
        self.url = ""

    @contextmanager
    def serving(self) -> Iterator[Web3Signer]:
        """Listen for as long as the context lasts."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()

    def _answer(self, method: str, path: str, body: bytes) -> tuple[int, str, str]:
        if self.status:
            return self.status, "text/plain", "no"
        if (method, path) == ("GET", "/api/v1/eth1/publicKeys"):
            return 200, "application/json", json.dumps(self.listed)
        prefix = "/api/v1/eth1/sign/"
        if method == "POST" and path.startswith(prefix):
            key = self.keys.get(path.removeprefix(prefix))
            if key is None:
                return 404, "text/plain", "Resource not found"
            return (
                200,
                "text/plain; charset=utf-8",
                self.sign(key, bytes.fromhex(json.loads(body)["data"][2:])),
            )
        return 404, "text/plain", "Resource not found"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        signer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", "0")))
                signer.asked.append((f"{self.command} {self.path}", self.headers.get("authorization", "")))
                status, kind, text = signer._answer(self.command, self.path.partition("?")[0], body)
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            do_GET = do_POST = _serve

            def log_message(self, format: str, *args: object) -> None: ...

        return Handler
