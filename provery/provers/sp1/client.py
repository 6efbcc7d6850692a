"""Calls to the prover network: gRPC for requests, HTTP for artifacts.

Two kinds of calls: those that may be repeated are, for some seconds; the others are made once, and how they failed says
whether the network may have acted on them (:class:`Lost`) or certainly has not (:class:`Refused`).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import grpc
import grpc.aio
import httpx
import zstandard
from google.protobuf.message import Message

from provery.core.errors import ConfigurationError, ProverCrashed, ProverUnavailable, shorten
from provery.core.redact import redact
from provery.provers.sp1 import bundle
from provery.provers.sp1.proto import artifact_pb2, types_pb2
from provery.provers.sp1.settings import Settings
from provery.provers.sp1.signing import Signer

M = TypeVar("M", bound=Message)
NETWORK, ARTIFACTS = "/network.ProverNetwork/", "/artifact.ArtifactStore/"
CALL_S = 60.0
"""One call."""
PATIENCE_S = 8.0
"""How long a call that may be repeated is; the stage is tried again after that."""
_TRANSFER_S = 60.0
"""Silence after which an upload or download is given up."""
_LONGEST_S = 900.0
"""A whole upload or download."""
_ZSTD_LEVEL = 3
_OPTIONS = [
    ("grpc.keepalive_time_ms", 15_000),
    ("grpc.keepalive_timeout_ms", 15_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.max_receive_message_length", 32 * 2**20),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 5_000),
]
_UNDECIDED = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.DATA_LOSS,
}
"""After these the network may have acted."""


class Lost(Exception):
    """No answer, or one that does not tell whether the call was acted on."""


class Refused(Exception):
    """The network said no and has not acted."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        self.code = code
        self.details = redact(shorten(details, 300))
        super().__init__(f"{code.name}: {self.details}")

    @property
    def nonce(self) -> bool:
        """Whether another request of the account came first."""
        return "nonce" in self.details.lower()


class NetworkClient:
    """One account's connection to the prover network.

    Args:
        settings: Address, and how artifacts are uploaded.
        signer: The account.
    """

    def __init__(self, settings: Settings, signer: Signer) -> None:
        self.signer = signer
        self._settings = settings
        target = settings.rpc_url.partition("://")[2]
        if settings.rpc_url.startswith("https"):
            self._channel = grpc.aio.secure_channel(target, grpc.ssl_channel_credentials(), _OPTIONS)
        else:
            self._channel = grpc.aio.insecure_channel(target, _OPTIONS)
        self._http = httpx.AsyncClient(timeout=httpx.Timeout(_TRANSFER_S), follow_redirects=False)

    async def close(self) -> None:
        """Close connections."""
        await self._channel.close()
        await self._http.aclose()

    # calls

    async def once(self, method: str, request: Message, answer: type[M], *, timeout: float = CALL_S) -> M:
        """Make a call exactly once.

        Raises:
            Lost: it may have been acted on.
            Refused: it was not.
        """
        call = self._channel.unary_unary(
            method, request_serializer=_encoded, response_deserializer=answer.FromString
        )
        try:
            return await call(request, timeout=timeout)
        except grpc.aio.AioRpcError as error:
            code, details = error.code(), error.details() or ""
            if code in _UNDECIDED:
                raise Lost(f"{code.name}: {redact(shorten(details, 300))}") from None
            raise Refused(code, details) from None

    async def ask(self, method: str, request: Message, answer: type[M]) -> M:
        """Make a call that changes nothing, again where no answer came.

        Raises:
            ProverUnavailable: no answer for some seconds.
            Refused: the network said no.
        """
        loop = asyncio.get_running_loop()
        end, pause = loop.time() + PATIENCE_S, 0.2
        while True:
            left = end - loop.time()
            try:
                return await self.once(method, request, answer, timeout=max(left, 1.0))
            except (Lost, Refused) as error:
                if isinstance(error, Refused) and error.code is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                    raise
                if loop.time() + pause > end:
                    raise ProverUnavailable(
                        f"the prover network does not answer {method.rpartition('/')[2]}: {error}",
                        value=self._settings.rpc_url,
                        action="it is asked again; see PROVERY_SP1_RPC_URL",
                    ) from None
            await asyncio.sleep(pause)
            pause *= 2

    async def nonce(self) -> int:
        """The number that the account's next request has to carry."""
        asked = types_pb2.GetNonceRequest(address=self.signer.address)
        return (await self.ask(NETWORK + "GetNonce", asked, types_pb2.GetNonceResponse)).nonce

    async def status(self, request_id: bytes) -> types_pb2.GetProofRequestStatusResponse:
        """Where a request stands."""
        asked = types_pb2.GetProofRequestStatusRequest(request_id=request_id)
        return await self.ask(
            NETWORK + "GetProofRequestStatus", asked, types_pb2.GetProofRequestStatusResponse
        )

    async def details(self, request_id: bytes) -> types_pb2.ProofRequest | None:
        """All that the network tells of a request; None where it knows none of that name."""
        asked = types_pb2.GetProofRequestDetailsRequest(request_id=request_id)
        answer = types_pb2.GetProofRequestDetailsResponse
        try:
            found = await self.ask(NETWORK + "GetProofRequestDetails", asked, answer)
        except Refused:
            return None
        return found.request if found.HasField("request") else None

    async def requested(
        self, requester: bytes, vk_hash: bytes, mode: types_pb2.ProofMode, since: int
    ) -> AsyncIterator[types_pb2.ProofRequest]:
        """An account's requests for proofs of a program since a time (Unix seconds)."""
        for page in range(1, 101):
            asked = types_pb2.GetFilteredProofRequestsRequest(
                vk_hash=vk_hash,
                requester=requester,
                mode=mode,
                limit=100,
                page=page,
                **{"from": since},
            )
            found = await self.ask(
                NETWORK + "GetFilteredProofRequests", asked, types_pb2.GetFilteredProofRequestsResponse
            )
            for request in found.requests:
                yield request
            if len(found.requests) < 100:
                return

    async def program_known(self, vk_hash: bytes) -> bool:
        """Whether the network has the program."""
        asked = types_pb2.GetProgramRequest(vk_hash=vk_hash)
        try:
            await self.ask(NETWORK + "GetProgram", asked, types_pb2.GetProgramResponse)
        except Refused as error:
            if error.code is grpc.StatusCode.NOT_FOUND:
                return False
            raise
        return True

    # artifacts

    async def upload(self, kind: artifact_pb2.ArtifactType, data: bytes) -> str:
        """Store an input with the network.

        Returns:
            Its address, by which a request names it; every upload has another.

        Raises:
            ProverUnavailable: network or store did not answer.
            ConfigurationError: the network does not let this account.
        """
        asked = artifact_pb2.CreateArtifactRequest(
            signature=self.signer.sign(b"create_artifact", v_offset=self._settings.artifact_v),
            artifact_type=kind,
        )
        try:
            place = await self.ask(ARTIFACTS + "CreateArtifact", asked, artifact_pb2.CreateArtifactResponse)
        except Refused as error:
            raise refused("store an artifact for", error) from error
        body = data
        if self._settings.compress_uploads:
            body = await asyncio.to_thread(zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress, data)
        url, said = place.artifact_presigned_url, ""
        for attempt in range(3):
            try:
                answer = await self._http.put(url, content=body)
                if answer.is_success:
                    return place.artifact_uri
                said = f"HTTP status {answer.status_code}"
            except httpx.HTTPError as error:
                said = type(error).__name__
            await asyncio.sleep(0.2 * 4**attempt)
        raise ProverUnavailable(
            f"an artifact of {len(body)} bytes could not be stored: {said}", value=_host(url)
        )

    async def download(self, url: str, to: Path) -> None:
        """Fetch a proof into a file.

        Raises:
            ProverUnavailable: it could not be fetched.
            ProverCrashed: it is larger than any proof.
        """
        size = 0
        try:
            async with asyncio.timeout(_LONGEST_S), self._http.stream("GET", url) as answer:
                if not answer.is_success:
                    raise ProverUnavailable(f"the proof is not served: HTTP status {answer.status_code}")
                with to.open("wb") as file:
                    async for chunk in answer.aiter_bytes(2**18):
                        size += len(chunk)
                        if size > bundle.LARGEST:
                            raise ProverCrashed(
                                "the network serves something else than a proof",
                                value=f"more than {bundle.LARGEST} bytes",
                            )
                        file.write(chunk)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            raise ProverUnavailable(
                f"the proof cannot be fetched: {type(error).__name__}", value=_host(url)
            ) from None


def refused(what: str, error: Refused) -> ConfigurationError | ProverCrashed:
    """The error for something that the network does not do for this account."""
    if error.code in (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED):
        return ConfigurationError(
            f"the prover network refuses to {what} this account: {error}",
            action="see SP1_PRIVATE_KEY, and that the account is allowed and funded",
        )
    return ProverCrashed(f"the prover network refuses to {what} this account: {error}")


def _encoded(message: Message) -> bytes:
    return message.SerializeToString(deterministic=True)


def _host(url: str) -> str:
    """Where an address leads, without its path and query: presigned ones are secrets."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return re.sub(r"[^\w.:/-].*", "", url)[:60]
