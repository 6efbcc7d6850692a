"""Fuzzes the inference API: requests made from its OpenAPI document, and requests whose bytes were mutated.

``python -m tests.zkml_fuzz --count 20000`` (``make fuzz-zkml``). The API runs in a process of its own, on the workers'
real server and a real ledger; an answer of 500 or above, a connection that hangs or a memory that grows is a failure.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hypothesis
import requests
import schemathesis
from hypothesis import strategies
from schemathesis.core.result import Ok

from tests.support.zkml_served import INPUTS, MODEL, prove_body
from tests.support.zkml_sockets import Said, listening, read, request
from workers import http

ROOT = Path(__file__).parents[1]
HANG_S = 15.0
"""The server gives up on a head or a body after a second here."""
HEAD_S = 1.0
GROWTH_MB = 32
"""That the server's memory may grow by after its first fifth, its bounded caches included."""
AT_ONCE = 32
SETTINGS: dict[str, Any] = {
    "timeout_ms": 2_000, "body_s": 1.0, "max_body_mb": 1, "max_values": 20_000, "cache_memory_mb": 4, "cache_mb": 16,
    "poll_max_s": 1.0, "stream_max_s": 2.0, "queue_limit": 100_000, "webhook_secret": "fuzz" * 8,
    "verify_concurrent": 64,
}  # fmt: skip
TOKENS = [
    b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-0", b"0" * 400, b"null", b"true", b"[", b"]", b"{", b"}", b'"',
    b"\\",
    b"\\u0000", b"\\ud800", b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"../", b"%00", b"%2e%2e%2f", b"\r\n", b"\r\n\r\n",
    b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n", b"Expect: 100-continue\r\n", b"Connection: close\r\n",
    b"Connection: upgrade\r\nUpgrade: websocket\r\n", b"HTTP/1.0", b"HTTP/2.0", b"0x", b"0x" + b"f" * 64,
    MODEL.encode(), b"Authorization: Bearer x\r\n", b"X-Forwarded-For: ::1\r\n", b"Idempotency-Key: a\r\n",
    b"Last-Event-ID: 1\r\n", b"/v1/proofs", b"?wait=1", b"?cursor=1&limit=1", b"[" * 64, b"9" * 5_000,
]  # fmt: skip


@dataclass
class Report:
    """What was found."""

    statuses: Counter[int] = field(default_factory=Counter)
    """0 stands for a connection that was closed without an answer."""
    failures: list[str] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)
    """Of the server, bytes, now and then."""

    def saw(self, status: int, what: object) -> None:
        """An answer."""
        self.statuses[status] += 1
        if status >= 500:
            self.failures.append(f"{status}: {what!r}"[:2_000])

    @property
    def grown_mb(self) -> float:
        """After the first fifth."""
        rest = self.memory[len(self.memory) // 5 :]
        return (rest[-1] - rest[0]) / 2**20 if rest else 0.0


@contextmanager
def server() -> Iterator[tuple[int, int]]:
    """The API in a process of its own: its port and process id."""
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.zkml_fuzz", "--serve"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
    )
    try:
        assert child.stdout is not None
        line = child.stdout.readline()
        if not line:
            raise RuntimeError("the API did not start")
        yield int(line), child.pid
        if child.poll() is not None:
            raise RuntimeError(f"the API ended with status {child.returncode}")
    finally:
        child.terminate()
        child.communicate()


def memory(pid: int) -> int:
    """Resident bytes of a process."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in text.splitlines() if line.startswith("VmRSS:"))) * 1_024


def by_schema(port: int, pid: int, count: int, seed: int, report: Report) -> None:
    """Requests that fit the OpenAPI document, and others that just do not."""
    url = f"http://127.0.0.1:{port}"
    document = requests.get(f"{url}/openapi.json", timeout=10).json()
    schema = schemathesis.openapi.from_dict(document)
    operations = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
    modes = (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)
    cases = strategies.one_of([operation.as_strategy(mode) for operation in operations for mode in modes])
    session = requests.Session()
    left, rng = [count], random.Random(seed)
    asked = session.post(f"{url}/v1/proofs", json=prove_body(), timeout=10)
    known = str(asked.json()["id"])

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(case=cases)
    def ask(case: schemathesis.Case[Any]) -> None:
        if left[0] <= 0:
            return
        left[0] -= 1
        _aim(case, rng, known)
        try:
            answer = case.call(base_url=url, session=session, timeout=HANG_S)
        except requests.Timeout:
            report.failures.append(f"hangs: {case.as_curl_command()}"[:2_000])
            return
        except (requests.RequestException, ValueError, UnicodeError):
            report.statuses[0] += 1  # its client cannot say it, or the server closed on it
            return
        report.saw(answer.status_code, case.as_curl_command())
        if left[0] % 200 == 0:
            report.memory.append(memory(pid))

    while left[0] > 0:
        ask()


def _aim(case: schemathesis.Case[Any], rng: random.Random, known: str) -> None:
    """Let most requests come further than a key, a model or an id that nobody knows."""
    if rng.random() < 0.9:
        for name in ("Authorization", "X-API-Key"):
            case.headers.pop(name, None)
    if "id" in case.path_parameters and rng.random() < 0.7:
        case.path_parameters["id"] = MODEL if "models" in case.path else known
    if isinstance(case.body, dict) and rng.random() < 0.7:
        if "model_id" in case.body:
            case.body["model_id"] = MODEL
        inputs = case.body.get("inputs")
        if isinstance(inputs, list) and rng.random() < 0.5:
            case.body["inputs"] = [*inputs, *INPUTS][:8]
        if "webhook" in case.body and rng.random() < 0.7:
            del case.body["webhook"]


def templates() -> list[bytes]:
    """Good requests to begin from."""
    body = json.dumps(prove_body()).encode()
    proof = "0" * 64
    claim = {"proof": "0x" + "ab" * 64, "model_hash": "0x" + "cd" * 32, "input_hash": "0x" + "ef" * 32}
    claim_more = {**claim, "expected_output": [1, 87, 12], "program_io": "0x7b7d", "model_id": MODEL}
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    return [
        request("/health"),
        request("/models"),
        request("/metrics"),
        request("/prove", body),
        request("/prove", json.dumps({"model_id": MODEL, "inputs": [INPUTS]}).encode()),
        request("/prove", b"", "Transfer-Encoding: chunked", "Content-Type: application/json") + chunks,
        request("/verify", json.dumps(claim).encode()),
        request("/verify", json.dumps(claim_more).encode()),
        request(
            "/v1/proofs",
            json.dumps(prove_body(webhook={"url": "https://127.0.0.1/"})).encode(),
            "X-API-Key: k",
        ),
        request("/v1/proofs", body) + request("/v1/proofs?limit=1"),
        request(f"/v1/proofs/{proof}?wait=0.1"),
        request(f"/v1/proofs/{proof}/events", None, "Last-Event-ID: 3"),
        request(f"/v1/proofs/{proof}", method="DELETE"),
        request(f"/v1/models/{MODEL}?version={proof}"),
        request("/v1/webhook-secret", None, "Authorization: Bearer x"),
    ]


def mutated(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """A request with a few of its bytes changed. Half of them keep a right length, so that the body is looked at."""
    head, _, body = data.partition(b"\r\n\r\n")
    whole = rng.random() < 0.5 or not body
    text = bytearray(data if whole else body)
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        at, end = sorted((rng.randrange(len(text) + 1), rng.randrange(len(text) + 1)))
        act = rng.randrange(7)
        if act == 0 and text:
            text[rng.randrange(len(text))] ^= 1 << rng.randrange(8)
        elif act == 1:
            text[at:at] = rng.randbytes(rng.randrange(1, 9))
        elif act == 2:
            del text[at : min(end, at + rng.randrange(1, 40))]
        elif act == 3:
            text[at:at] = rng.choice(TOKENS)
        elif act == 4:
            text[at : at + rng.randrange(0, 8)] = rng.choice(TOKENS)
        elif act == 5:
            text[at:at] = text[at : min(end, at + 200)] * rng.randrange(1, 4)
        else:
            other = rng.choice(others)
            text[at:] = other[rng.randrange(len(other)) :]
    if whole:
        return bytes(text)
    lines = [
        line for line in head.split(b"\r\n") if not line.lower().startswith((b"content-length", b"transfer-"))
    ]
    return b"\r\n".join([*lines, b"Content-Length: %d" % len(text)]) + b"\r\n\r\n" + bytes(text)


async def by_bytes(port: int, pid: int, count: int, seed: int, report: Report) -> None:
    """Requests whose bytes were mutated, over sockets, a few at a time."""
    rng, good = random.Random(seed), templates()
    sent = iter(range(count))

    async def client() -> None:
        for number in sent:
            data = mutated(rng.choice(good), good, rng)
            try:
                async with asyncio.timeout(HANG_S):
                    said = await _exchange(port, data)
            except TimeoutError:
                report.failures.append(f"hangs: {data!r}"[:2_000])
                continue
            report.saw(said.status if said is not None else 0, data)
            if number % 200 == 0:
                report.memory.append(memory(pid))

    await asyncio.gather(*(client() for _ in range(AT_ONCE)))


async def _exchange(port: int, data: bytes) -> Said | None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        await writer.drain()
        return await read(reader)
    except (ConnectionResetError, BrokenPipeError, asyncio.IncompleteReadError):
        return None
    finally:
        writer.close()


def fuzz(count: int, seed: int) -> Report:
    """Send ``count`` requests, half of each kind."""
    report = Report()
    with server() as (port, pid):
        by_schema(port, pid, count // 2, seed, report)
        asyncio.run(by_bytes(port, pid, count - count // 2, seed, report))
        healthy = requests.get(f"http://127.0.0.1:{port}/health", timeout=10)
        report.memory.append(memory(pid))
    if healthy.status_code != 200:
        report.failures.append("it does not answer any more")
    if report.grown_mb > GROWTH_MB:
        report.failures.append(f"its memory grew by {report.grown_mb:.1f} MiB")
    return report


async def serve() -> None:
    """The API, until it is told to end; its port on standard output."""
    http.HEAD_S = HEAD_S
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # it warns of each malformed request
    with tempfile.TemporaryDirectory() as folder:
        async with listening(Path(folder), **SETTINGS) as (_, port):
            print(port, flush=True)
            await asyncio.to_thread(sys.stdin.read)


def main() -> int:
    """Status 1 where anything was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=6)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        asyncio.run(serve())
        return 0
    began = time.monotonic()
    report = fuzz(given.count, given.seed)
    print(
        json.dumps(
            {
                "requests": report.statuses.total(),
                "statuses": dict(sorted(report.statuses.items())),
                "failures": len(report.failures),
                "memory_mb": [round(report.memory[0] / 2**20), round(report.memory[-1] / 2**20)],
                "grown_mb": round(report.grown_mb, 1),
                "seconds": round(time.monotonic() - began),
            }
        )
    )
    for failure in report.failures[:20]:
        print(failure)
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
