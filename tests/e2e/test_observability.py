"""What can be seen from outside: one trace from client to child prover, metrics on one page, health and readiness."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from temporalio.testing import WorkflowEnvironment

from provery.local.servers import TemporalServer
from provery.local.toolchain import find
from tests.e2e.provers_support import jobs
from tests.support.circuits import give_membership
from tests.support.engine import environ, worker_process
from tests.support.queue import shared_redis

pytestmark = pytest.mark.asyncio(loop_scope="session")


@dataclass(frozen=True)
class Span:
    name: str
    trace: str
    id: str
    parent: str
    role: str
    start: int
    end: int
    attributes: dict[str, str]


@dataclass
class Collector:
    """An OTLP/HTTP endpoint that keeps the spans it is sent."""

    port: int = 0
    spans: dict[str, Span] = field(default_factory=dict)

    def take(self, body: bytes) -> None:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            role = _texts(resource.resource.attributes).get("provery.role", "")
            for scope in resource.scope_spans:
                for s in scope.spans:
                    self.spans[s.span_id.hex()] = Span(
                        s.name, s.trace_id.hex(), s.span_id.hex(), s.parent_span_id.hex(), role,
                        s.start_time_unix_nano, s.end_time_unix_nano, _texts(s.attributes),
                    )  # fmt: skip

    def named(self, name: str) -> list[Span]:
        return [span for span in list(self.spans.values()) if span.name == name]

    def line(self, span: Span) -> list[str]:
        """Names from the root of the trace to ``span``."""
        names = [span.name]
        while span.parent in self.spans:
            span = self.spans[span.parent]
            names.insert(0, span.name)
        return names


def _texts(attributes: Any) -> dict[str, str]:
    return {a.key: a.value.string_value or str(a.value.int_value) for a in attributes}


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                import gzip

                body = gzip.decompress(body)
            if self.path == "/v1/traces":
                made.take(body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield made
    server.shutdown()
    server.server_close()
    thread.join()


@dataclass
class Running:
    """A worker process and the address of its pages."""

    process: asyncio.subprocess.Process
    url: str

    async def get(self, path: str) -> httpx.Response:
        async with httpx.AsyncClient(trust_env=False, timeout=10.0) as http:
            return await http.get(self.url + path)

    async def until(self, path: str, status: int, timeout: float = 60.0) -> httpx.Response:
        async with asyncio.timeout(timeout):
            while True:
                assert self.process.returncode is None, "the worker ended"
                try:
                    answer = await self.get(path)
                except httpx.HTTPError:
                    answer = None
                if answer is not None and answer.status_code == status:
                    return answer
                await asyncio.sleep(0.1)


@asynccontextmanager
async def worker(env: Mapping[str, str], *args: str) -> AsyncIterator[Running]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with worker_process(env, *args, "--port", str(port)) as process:
        running = Running(process, f"http://127.0.0.1:{port}")
        await running.until("/ready", 200)
        yield running


async def stopped(*workers: Running) -> None:
    """Drain: what a worker has not exported yet is exported before it ends."""
    for each in workers:
        each.process.terminate()
    for each in workers:
        async with asyncio.timeout(30):
            assert await each.process.wait() == 0


@pytest.fixture
def queue_env(server: WorkflowEnvironment, tmp_path: Path, collector: Collector) -> dict[str, str]:
    name = f"q{os.urandom(4).hex()}"
    return environ(
        server,
        tmp_path,
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{collector.port}",
        REDIS_URL=shared_redis().url,
        QUEUE_NAME=name,
        PROVERY_PROVER_BIN=str(find("provery-prover")),
        PROVERY_NODE_BIN=str(find("node")),
    )


async def prove_one(env: Mapping[str, str], home: Path) -> tuple[str, Running]:
    """One job through the ingress of one process and the workers of another; returns the ended worker."""
    await give_membership(home)
    stream = f"queue/{env['QUEUE_NAME']}"
    async with (
        worker(env, "--queue", "orchestrate,io,cpu") as proving,
        worker(env, "--ingress", stream) as feeding,
    ):
        async with httpx.AsyncClient(trust_env=False, timeout=10.0) as http:
            asked = await http.post(f"{feeding.url}/proofs", json={"id": "traced", **jobs()[0]})
        assert asked.status_code == 202, asked.text
        async with asyncio.timeout(60):
            while (row := (await feeding.get("/proofs/traced")).json())["status"] != "done":
                assert row["status"] != "failed", row
                await asyncio.sleep(0.1)
        page = (await proving.get("/metrics")).text
        await stopped(feeding, proving)
    return page, proving


async def test_one_trace_spans_ingress_workflow_stages_and_child_prover(
    queue_env: dict[str, str], tmp_path: Path, collector: Collector
) -> None:
    await prove_one({**queue_env, "PROVERY_QUEUE_EXPRESS": "0"}, tmp_path)
    (root,) = collector.named("StartWorkflow:ProveUnit")
    assert root.role.startswith("ingress")
    (proof,) = collector.named("the native prover: prove")
    assert collector.line(proof) == [
        "StartWorkflow:ProveUnit", "StartActivity:fused", "RunActivity:fused", "the native prover: prove"
    ]  # fmt: skip
    stages = {
        s.name.removeprefix("RunActivity:") for s in collector.spans.values() if "RunActivity" in s.name
    }
    assert stages == {"fetch", "fused", "submit"}
    others = {span.name for span in collector.spans.values() if span.trace != root.trace}
    assert others == {"POST /proofs", "GET /proofs/{id}"}, "one unit, one trace; requests have their own"
    assert collector.named("RunWorkflow:ProveUnit")
    (activity,) = collector.named("RunActivity:fused")
    assert activity.start <= proof.start <= proof.end <= activity.end
    assert activity.attributes["temporalWorkflowID"] == f"prove/queue/{queue_env['QUEUE_NAME']}/traced"
    assert int(proof.attributes["process.pid"]) > 0


async def test_an_express_batch_is_one_trace_too(
    queue_env: dict[str, str], tmp_path: Path, collector: Collector
) -> None:
    await prove_one(queue_env, tmp_path)
    (activity,) = collector.named("RunActivity:express")
    for step in ("witness", "prove", "verify"):
        (span,) = collector.named(f"the native prover: {step}")
        assert activity.name in collector.line(span)
        assert span.trace == activity.trace
    (root,) = [s for s in collector.spans.values() if s.trace == activity.trace and not s.parent]
    assert root.name.startswith("StartWorkflow:Prove")


async def test_nothing_is_exported_unless_asked_for(
    queue_env: dict[str, str], tmp_path: Path, collector: Collector
) -> None:
    env = {k: v for k, v in queue_env.items() if not k.startswith("OTEL_")}
    await prove_one(env, tmp_path)
    assert not collector.spans


async def test_one_page_has_the_sdks_metrics_and_ours(queue_env: dict[str, str], tmp_path: Path) -> None:
    page, _ = await prove_one({**queue_env, "PROVERY_QUEUE_EXPRESS": "0"}, tmp_path)
    labels = f'{{stage="prove",stream="{queue_env["QUEUE_NAME"]}",system="queue"}}'
    assert f"provery_stages_computed_total{labels} 1.0" in page
    assert f"provery_stage_seconds_count{labels} 1.0" in page
    for name in ("temporal_workflow_completed", "temporal_activity_execution_latency", "temporal_request"):
        assert f"\n{name}" in page, name
    names = [line.split()[2] for line in page.splitlines() if line.startswith("# TYPE ")]
    assert len(names) == len(set(names)), "Prometheus refuses a page that describes a metric twice"


async def test_ready_says_what_is_away_and_health_does_not_mind(tmp_path: Path) -> None:
    async with TemporalServer(tmp_path / "temporal") as temporal:
        env = {
            "PATH": os.environ.get("PATH", ""),
            **temporal.env,
            "PROVERY_HOME": str(tmp_path),
            "PROVERY_EXTRA_SYSTEMS": "noop=bench.noop",
        }
        async with worker(env, "--queue", "io") as io:
            assert (await io.get("/ready")).json() == {"ready": True, "waiting": {}}
            await temporal.kill()
            away = await io.until("/ready", 503, timeout=15)
            assert list(away.json()["waiting"]) == ["temporal"]
            assert away.json()["ready"] is False
            assert (await io.get("/health")).json() == {"ok": True}
            assert "provery_stage" in (await io.get("/metrics")).text, "metrics are there when most wanted"
            await temporal.start()
            await io.until("/ready", 200)
            await stopped(io)


async def test_logs_are_json_lines_without_secrets(tmp_path: Path, server: WorkflowEnvironment) -> None:
    env = environ(server, tmp_path, DATABASE_URL="postgresql://me:plainpassword@127.0.0.1:1/none")
    process = await asyncio.create_subprocess_exec(
        str(find_python()), "-m", "workers", "--queue", "nonsense-plainpassword",
        env={**env, "PYTHONPATH": os.getcwd()}, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, said = await process.communicate()
    assert process.returncode == 7
    line = json.loads(said.decode().splitlines()[-1])
    assert line["level"] == "error"
    assert "no such queue" in line["message"]
    assert "plainpassword" not in said.decode()


def find_python() -> str:
    import sys

    return sys.executable
