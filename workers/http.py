"""HTTP/1.1 for clients that nobody vouches for: a request's head has to be complete within a time."""

from __future__ import annotations

import asyncio
import json

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

HEAD_S = 20.0
"""Seconds from a connection's first byte, or its making, to the end of a request's head."""
HEAD_BYTES = 32 * 1024
KEEP_ALIVE_S = 75.0
"""Seconds that a connection may idle between requests: longer than the usual reverse proxy keeps it, so that a proxy
never sends a request on a connection that is being closed."""


class PatientProtocol(H11Protocol):
    """uvicorn's protocol waits for ever for the head of a connection's first request, and of one that drips."""

    _head: asyncio.TimerHandle | None = None
    cycle: RequestResponseCycle | None  # type: ignore[assignment]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a head."""
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Take bytes; a head that they complete ends the wait, one that they begin starts it."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._head_is_there()
        elif self._head is None and self.timeout_keep_alive_task is None:
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._head_is_there()
        super().connection_lost(exc)

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """Who has sent all there is still gets an answer; who stopped in the middle, an error.

        Nothing tells a client that is gone from one that only sends no more. Who reads (long polls, event streams) is
        taken for gone: there is nothing to lose, and a stream would be kept for nobody.
        """
        asked = self.cycle is not None and not self.cycle.response_complete
        self.conn.receive_data(b"")
        reads = asked and self.scope["method"] == "GET"
        if asked and not reads and self.cycle is not None and not self.cycle.more_body:
            self.cycle.keep_alive = False
            return True
        if (asked and not reads) or self.conn.their_state is h11.SEND_BODY:
            self.handle_events()  # h11 finds the request cut off
        return None

    def send_400_response(self, msg: str) -> None:
        """As any other error, for clients that look for a code and for those that look for an error."""
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.close()
            return
        body = json.dumps(
            {"success": False, "error": "bad_http", "code": "bad_http", "message": msg}
        ).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        for event in (
            h11.Response(status_code=400, headers=headers),
            h11.Data(data=body),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _await_head(self) -> None:
        self._head = self.loop.call_later(HEAD_S, self._too_slow)

    def _head_is_there(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def _too_slow(self) -> None:
        self._head = None
        if not self.transport.is_closing():
            self.transport.close()
