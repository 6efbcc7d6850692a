"""A prover network on this machine: gRPC from the protocol's own messages, an artifact store over HTTP, real proofs.

It checks what the real one checks (signatures, nonces, deadlines, prices, programs, inputs), keeps account of every
request that it accepted, and misbehaves on demand.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NoReturn

import grpc
import grpc.aio
import zstandard
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from provery.provers.sp1.proto import artifact_pb2, network_pb2, types_pb2
from provery.provers.sp1.signing import keccak256, recovered
from tests.support import sp1

VK_HASH = bytes(range(32))
DOMAIN, PROVER = b"\x01" * 32, b"\x02" * 20
PARTIES = {
    "auctioneer": b"\x03" * 20,
    "executor": b"\x04" * 20,
    "verifier": b"\x05" * 20,
    "treasury": b"\x06" * 20,
}
RESERVED_FIELDS = {
    *("nonce", "vk_hash", "version", "mode", "strategy", "stdin_uri", "deadline", "cycle_limit", "gas_limit"),
    *("min_auction_period", "whitelist"),
}
Hook = Callable[["Network", types_pb2.RequestProofRequestBody], Awaitable[None]]


class Lost(Exception):
    """The call ends without an answer."""


@dataclass
class Accepted:
    """A request that the network took."""

    request_id: bytes
    requester: bytes
    body: types_pb2.RequestProofRequestBody
    created: float
    deadline: int
    fulfillment: types_pb2.FulfillmentStatus = types_pb2.REQUESTED
    execution: types_pb2.ExecutionStatus = types_pb2.UNEXECUTED
    cancelled: bool = False

    @property
    def paid(self) -> bool:
        return not self.cancelled


@dataclass
class Network:
    """State and knobs; times in seconds."""

    url: str = ""
    store_url: str = ""
    nonces: dict[bytes, int] = field(default_factory=dict)
    programs: dict[bytes, types_pb2.Program] = field(default_factory=dict)
    accepted: list[Accepted] = field(default_factory=list)
    artifacts: dict[str, bytes] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    """Every request body that arrived, accepted or not."""

    base_fee: int = 3 * 10**17
    price: int = 5 * 10**8
    ends: Callable[[Accepted, float], tuple[types_pb2.FulfillmentStatus, types_pb2.ExecutionStatus]] = (
        lambda request, age: (
            types_pb2.FULFILLED,
            types_pb2.EXECUTED,
        )
    )
    """Fulfilment and execution status of a request of an age."""
    arriving: Hook | None = None
    """Called before a request is looked at."""
    answering: Hook | None = None
    """Called when a request is accepted and not yet answered."""
    denies: tuple[grpc.StatusCode, str] | None = None
    counts_nonces: bool = True
    names_by_hash: bool = True
    lists_after: float = 0.0
    chaos: Callable[[str], str] = lambda method: ""
    """``before`` or ``after``: lose this call before or after it was acted on."""
    serves: Callable[[bytes], bytes] = lambda proof: proof
    endless: bool = False
    unpacks: Callable[[bytes], bytes] = zstandard.decompress

    @property
    def paid(self) -> int:
        return sum(request.paid for request in self.accepted)

    # the services

    async def GetNonce(self, asked: types_pb2.GetNonceRequest) -> types_pb2.GetNonceResponse:
        return types_pb2.GetNonceResponse(nonce=self.nonces.get(asked.address, 0))

    async def GetBalance(self, asked: types_pb2.GetBalanceRequest) -> types_pb2.GetBalanceResponse:
        return types_pb2.GetBalanceResponse(amount=str(10**20))

    async def GetProgram(self, asked: types_pb2.GetProgramRequest) -> types_pb2.GetProgramResponse:
        if asked.vk_hash not in self.programs:
            refuse(grpc.StatusCode.NOT_FOUND, "no such program")
        return types_pb2.GetProgramResponse(program=self.programs[asked.vk_hash])

    async def CreateProgram(self, asked: types_pb2.CreateProgramRequest) -> types_pb2.CreateProgramResponse:
        sender = self._sender(asked.body, asked.signature)
        if asked.body.vk_hash in self.programs:
            refuse(grpc.StatusCode.ALREADY_EXISTS, "program exists")
        elf = self.unpacks(self.artifacts[asked.body.program_uri])
        assert int.from_bytes(elf[:8], "little") == len(elf) - 8
        self.programs[asked.body.vk_hash] = types_pb2.Program(
            vk_hash=asked.body.vk_hash, vk=asked.body.vk, program_uri=asked.body.program_uri, owner=sender
        )
        return types_pb2.CreateProgramResponse(tx_hash=secrets.token_bytes(32))

    async def CreateArtifact(
        self, asked: artifact_pb2.CreateArtifactRequest
    ) -> artifact_pb2.CreateArtifactResponse:
        recovered(b"create_artifact", asked.signature)
        name = f"{artifact_pb2.ArtifactType.Name(asked.artifact_type).lower()}/{secrets.token_hex(8)}"
        return artifact_pb2.CreateArtifactResponse(
            artifact_uri=name, artifact_presigned_url=f"{self.store_url}/{name}?X-Amz-Signature=abcdef"
        )

    async def GetProofRequestParams(
        self, asked: types_pb2.GetProofRequestParamsRequest
    ) -> types_pb2.GetProofRequestParamsResponse:
        return types_pb2.GetProofRequestParamsResponse(
            domain=DOMAIN, base_fee=str(self.base_fee), max_price_per_pgu=str(self.price), **PARTIES
        )

    async def GetProversByUptime(
        self, asked: types_pb2.GetProversByUptimeRequest
    ) -> types_pb2.GetProversByUptimeResponse:
        return types_pb2.GetProversByUptimeResponse(provers=[PROVER])

    async def RequestProof(self, asked: types_pb2.RequestProofRequest) -> types_pb2.RequestProofResponse:
        body = asked.body
        self.bodies.append(body.SerializeToString(deterministic=True))
        if self.arriving is not None:
            await self.arriving(self, body)
        if self.denies is not None:
            refuse(*self.denies)
        if body.deadline <= time.time():
            refuse(grpc.StatusCode.INVALID_ARGUMENT, "deadline is in the past")
        if body.vk_hash not in self.programs or body.stdin_uri not in self.artifacts:
            refuse(grpc.StatusCode.NOT_FOUND, "program or stdin not found")
        self._fair(body)
        sender = self._sender(body, asked.signature)
        name = keccak256(sender + self.bodies[-1]) if self.names_by_hash else secrets.token_bytes(32)
        self.accepted.append(Accepted(name, sender, body, time.time(), body.deadline))
        if self.answering is not None:
            await self.answering(self, body)
        return types_pb2.RequestProofResponse(
            tx_hash=secrets.token_bytes(32), body=types_pb2.RequestProofResponseBody(request_id=name)
        )

    async def CancelRequest(self, asked: types_pb2.CancelRequestRequest) -> types_pb2.CancelRequestResponse:
        sender = self._sender(asked.body, asked.signature)
        request = self._request(asked.body.request_id)
        if request.requester != sender or self._now(request).fulfillment != types_pb2.REQUESTED:
            refuse(
                grpc.StatusCode.FAILED_PRECONDITION, "only a requested proof of one's own can be cancelled"
            )
        request.cancelled, request.deadline = True, int(time.time()) - 1
        return types_pb2.CancelRequestResponse(tx_hash=secrets.token_bytes(32))

    async def GetProofRequestStatus(
        self, asked: types_pb2.GetProofRequestStatusRequest
    ) -> types_pb2.GetProofRequestStatusResponse:
        request = self._now(self._request(asked.request_id))
        answer = types_pb2.GetProofRequestStatusResponse(deadline=request.deadline)
        answer.fulfillment_status = request.fulfillment
        answer.execution_status = request.execution
        if request.fulfillment == types_pb2.FULFILLED:
            answer.proof_uri = f"{self.store_url}/proof/{request.request_id.hex()}"
        return answer

    async def GetProofRequestDetails(
        self, asked: types_pb2.GetProofRequestDetailsRequest
    ) -> types_pb2.GetProofRequestDetailsResponse:
        request = self._now(self._request(asked.request_id))
        return types_pb2.GetProofRequestDetailsResponse(request=_details(request))

    async def GetFilteredProofRequests(
        self, asked: types_pb2.GetFilteredProofRequestsRequest
    ) -> types_pb2.GetFilteredProofRequestsResponse:
        found = [
            _details(self._now(request))
            for request in self.accepted
            if request.requester == asked.requester
            and request.body.vk_hash == asked.vk_hash
            and request.body.mode == asked.mode
            and request.created >= getattr(asked, "from")
            and request.created + self.lists_after <= time.time()
        ]
        start = (asked.page - 1) * asked.limit
        return types_pb2.GetFilteredProofRequestsResponse(requests=found[start : start + asked.limit])

    # checks

    def _sender(self, body: Any, signature: bytes) -> bytes:
        """Who signed; takes its nonce."""
        sender = recovered(body.SerializeToString(deterministic=True), signature)
        if self.counts_nonces and body.nonce != self.nonces.get(sender, 0):
            refuse(
                grpc.StatusCode.FAILED_PRECONDITION, f"invalid nonce: expected {self.nonces.get(sender, 0)}"
            )
        self.nonces[sender] = max(self.nonces.get(sender, 0), body.nonce + 1)
        return sender

    def _fair(self, body: types_pb2.RequestProofRequestBody) -> None:
        if body.strategy == types_pb2.RESERVED:
            seen = {field.name for field, _ in body.ListFields()}
            if not seen <= RESERVED_FIELDS:
                refuse(grpc.StatusCode.INVALID_ARGUMENT, f"unknown fields: {seen - RESERVED_FIELDS}")
            return
        good = (
            body.version == "sp1-v5.0.0"
            and body.strategy == types_pb2.AUCTION
            and body.domain == DOMAIN
            and all(getattr(body, name) == value for name, value in PARTIES.items())
            and body.whitelist == [PROVER]
            and body.base_fee == str(self.base_fee)
            and int(body.max_price_per_pgu) >= self.price
            and body.gas_limit > 0
        )
        if not good:
            refuse(grpc.StatusCode.INVALID_ARGUMENT, f"not a fair request: {body}")

    def _request(self, name: bytes) -> Accepted:
        for request in self.accepted:
            if request.request_id == name:
                return request
        refuse(grpc.StatusCode.NOT_FOUND, "no such request")

    def _now(self, request: Accepted) -> Accepted:
        if not request.cancelled:
            request.fulfillment, request.execution = self.ends(request, time.time() - request.created)
        return request

    def proof(self, name: str) -> bytes:
        """The real proof of the period that the request's input names."""
        request = self._request(bytes.fromhex(name))
        stdin = self.unpacks(self.artifacts[request.body.stdin_uri])
        period = int(re.search(rb"period (\d+)", stdin)[1])  # type: ignore[index]
        made = sp1.compressed if request.body.mode == types_pb2.COMPRESSED else sp1.groth16
        return self.serves(made(period))


class Refusal(Exception):
    """An answer with another status than OK."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(details)
        self.code = code


def refuse(code: grpc.StatusCode, details: str) -> NoReturn:
    raise Refusal(code, details)


def _details(request: Accepted) -> types_pb2.ProofRequest:
    body = request.body
    return types_pb2.ProofRequest(
        request_id=request.request_id,
        vk_hash=body.vk_hash,
        mode=body.mode,
        strategy=body.strategy,
        stdin_uri=body.stdin_uri,
        deadline=request.deadline,
        fulfillment_status=request.fulfillment,
        execution_status=request.execution,
        requester=request.requester,
        created_at=int(request.created),
        gas_used=10**8,
        base_fee=body.base_fee,
        max_price_per_pgu=body.max_price_per_pgu,
    )


def _handlers(network: Network) -> list[grpc.GenericRpcHandler]:
    made = []
    for module, service in ((network_pb2, "ProverNetwork"), (artifact_pb2, "ArtifactStore")):
        described = module.DESCRIPTOR.services_by_name[service]
        methods: dict[str, Any] = {
            method.name: grpc.unary_unary_rpc_method_handler(
                _behaviour(network, method.name),
                request_deserializer=GetMessageClass(method.input_type).FromString,
                response_serializer=lambda answer: answer.SerializeToString(),
            )
            for method in described.methods
        }
        made.append(grpc.method_handlers_generic_handler(described.full_name, methods))
    return made


def _behaviour(network: Network, name: str) -> Callable[..., Awaitable[Message]]:
    async def act(asked: Message, context: grpc.aio.ServicerContext[Any, Any]) -> Message:
        network.calls.append(name)
        how = network.chaos(name)
        if how == "before":
            await context.abort(grpc.StatusCode.UNAVAILABLE, "connection reset")
        answer = Message()
        try:
            answer = await getattr(network, name)(asked)
        except Refusal as error:
            await context.abort(error.code, str(error))
        except Lost:
            how = "after"
        if how == "after":
            await context.abort(grpc.StatusCode.UNAVAILABLE, "connection reset")
        return answer

    return act


def _store(network: Network) -> ThreadingHTTPServer:
    class Store(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            network.artifacts[self.path.partition("?")[0].lstrip("/")] = data
            self.send_response(200)
            self.end_headers()

        def do_GET(self) -> None:
            data = network.proof(self.path.rpartition("/")[2])
            self.send_response(200)
            if network.endless:
                self.end_headers()
                while True:
                    self.wfile.write(bytes(2**20))
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *said: Any) -> None:
            """Nothing."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, *said: Any) -> None:
            """A client that hangs up is no news."""

    return Server(("127.0.0.1", 0), Store)


@asynccontextmanager
async def running(network: Network) -> AsyncIterator[Network]:
    """Serve a network until the block ends."""
    store = _store(network)
    thread = threading.Thread(target=store.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    network.store_url = f"http://127.0.0.1:{store.server_port}"
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(_handlers(network))
    port = server.add_insecure_port("127.0.0.1:0")
    network.url = f"http://127.0.0.1:{port}"
    await server.start()
    try:
        yield network
    finally:
        await server.stop(0)
        await asyncio.to_thread(store.shutdown)
        store.server_close()
