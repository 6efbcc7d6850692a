"""Artifacts as objects of an S3 API, with a local cache."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from botocore.exceptions import ClientError

from provery.core.errors import ArtifactCorrupt
from provery.core.types import ArtifactRef
from provery.stores.address import (
    CHUNK,
    QUARANTINE,
    Digest,
    check,
    check_limit,
    check_size,
    content_key,
    key_of,
    missing,
    quarantine_key,
)
from provery.stores.cache import Cache
from provery.stores.s3_client import code_of, status_of, translated
from provery.stores.s3_upload import MULTIPART_FROM, measure, put_object, put_parts

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

T = TypeVar("T")
THREADS = 16
LOOK_FIRST = 1 << 20
"""Bytes; before sending a larger body a HEAD asks whether it is there. A smaller one is simply sent."""


class S3Store:
    """Content-addressed objects under one prefix of a bucket; creation is a conditional write, so one putter wins.

    Args:
        client: A boto3 S3 client.
        bucket: Must exist.
        prefix: Without slashes at its ends; may be empty.
        cache: Local copies.
    """

    def __init__(self, client: S3Client, bucket: str, prefix: str, cache: Cache) -> None:
        self.url = f"s3://{bucket}/{prefix}" if prefix else f"s3://{bucket}"
        self._client = client
        self._bucket = bucket
        self._prefix = prefix + "/" if prefix else ""
        self._cache = cache
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="artifacts")
        self._answered = False

    async def put_bytes(self, data: bytes, *, name: str = "") -> ArtifactRef:
        """Store bytes; storing the same bytes twice is one artifact."""
        return await self._run("writing", self._put_bytes, data, name)

    async def put_file(self, path: Path, *, name: str = "", move: bool = False) -> ArtifactRef:
        """Store a file; with ``move`` it then becomes the cached copy, which the next stage here will read."""
        return await self._run("writing", self._put_file, path, name, move)

    async def put_files(self, files: Sequence[tuple[Path, str]], *, move: bool = False) -> list[ArtifactRef]:
        """Store many files, as many at a time as there are threads."""
        return list(
            await asyncio.gather(*(self.put_file(path, name=name, move=move) for path, name in files))
        )

    async def read(self, ref: ArtifactRef, *, limit: int = 64 * 2**20) -> bytes:
        """Bytes of an artifact, checked."""
        check_limit(ref, limit)
        return await self._run("reading", self._read, ref)

    async def local(self, ref: ArtifactRef) -> Path:
        """A cached copy, checked; downloaded once per machine."""
        return await self._run("reading", self._local, ref)

    async def exists(self, refs: Sequence[ArtifactRef]) -> list[bool]:
        """Whether each is present with its size."""
        sizes = await asyncio.gather(*(self._run("looking up", self._size, self._key(ref)) for ref in refs))
        return [size == ref.size for size, ref in zip(sizes, refs, strict=True)]

    async def quarantine(self, ref: ArtifactRef, reason: str) -> ArtifactRef:
        """Move an artifact to ``quarantine/`` with the reason beside it. Safe to repeat."""
        return await self._run("quarantining", self._quarantine, ref, reason)

    def scratch(self) -> AbstractAsyncContextManager[Path]:
        """A private directory on the cache's file system."""
        return self._cache.workspace.scratch()

    async def probe(self) -> None:
        """Ask for one key, which tells whether address, bucket and credentials are right.

        Raises:
            ConfigurationError: saying what to change.
            StoreUnavailable: if nothing answers.
        """
        await self._run("probing", self._look)

    async def close(self) -> None:
        """Release threads, connections and temporary files."""
        await asyncio.to_thread(self._threads.shutdown)
        self._client.close()
        await asyncio.to_thread(self._cache.workspace.close)

    async def _run(self, doing: str, work: Callable[..., T], *args: object) -> T:
        def guarded() -> T:
            with translated(doing, self.url):
                return work(*args)

        return await asyncio.get_running_loop().run_in_executor(self._threads, guarded)

    def _key(self, ref: ArtifactRef) -> str:
        return self._prefix + key_of(ref, self.url)

    def _put_bytes(self, data: bytes, name: str) -> ArtifactRef:
        found = Digest(hashlib.sha256(data).hexdigest(), len(data))
        key = self._prefix + content_key(found.sha256)
        self._put_if_absent(
            key, found.size, partial(put_object, self._client, self._bucket, key, data, found.sha256)
        )
        return self._ref(found, key, name)

    def _put_file(self, path: Path, name: str, move: bool) -> ArtifactRef:
        measured = measure(path)
        found = measured.digest
        key = self._prefix + content_key(found.sha256)
        if found.size > MULTIPART_FROM:
            send = partial(put_parts, self._client, self._bucket, key, path, measured)
        else:
            send = partial(self._send_file, key, path, found)
        self._put_if_absent(key, found.size, send)
        ref = self._ref(found, key, name)
        if move:
            self._cache.take(path, ref)
        return ref

    def _send_file(self, key: str, path: Path, found: Digest, *, replace: bool = False) -> bool:
        try:
            return put_object(
                self._client, self._bucket, key, path.read_bytes(), found.sha256, replace=replace
            )
        except ClientError as error:
            if code_of(error) in ("BadDigest", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch"):
                raise ArtifactCorrupt(f"{path.name} changed while it was stored") from error
            raise

    def _put_if_absent(self, key: str, size: int, send: Callable[..., bool]) -> None:
        there = self._size(key) if size >= LOOK_FIRST else -1
        if there == size:
            return
        if there < 0:
            if send():
                self._answered = True
                return
            there = self._size(key)
        if there != size:  # truncated by the server or by hand: heal it
            send(replace=True)

    def _size(self, key: str) -> int:
        try:
            return self._client.head_object(Bucket=self._bucket, Key=key)["ContentLength"]
        except ClientError as error:
            # An answer to HEAD has no body to say why: a request that has one tells a missing bucket from a missing
            # object, and a wrong key from a forbidden one.
            if status_of(error) in (400, 401, 403) or (status_of(error) == 404 and not self._answered):
                self._look()
            if status_of(error) != 404:
                raise
            return -1

    def _look(self) -> None:
        self._client.list_objects_v2(Bucket=self._bucket, Prefix=self._prefix, MaxKeys=1)
        self._answered = True

    def _pieces(self, ref: ArtifactRef, etag: list[str]) -> Iterator[bytes]:
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=self._key(ref))
        except ClientError as error:
            if code_of(error) in ("NoSuchKey", "404"):
                raise missing(ref) from None
            raise
        etag[:] = [answer["ETag"]]
        with closing(answer["Body"]) as body:
            read = 0
            for piece in body.iter_chunks(CHUNK):
                read += len(piece)
                yield piece
                if read > ref.size:  # no need to download the rest of something wrong
                    return

    def _read(self, ref: ArtifactRef) -> bytes:
        self._key(ref)  # refuses a malformed reference before it can name a path in the cache
        if not _aside(ref) and (path := self._cache.get(ref)) is not None:
            data = path.read_bytes()
            if hashlib.sha256(data).hexdigest() == ref.sha256:
                return data
        etag: list[str] = []
        data = b"".join(self._pieces(ref, etag))
        try:
            check(ref, Digest(hashlib.sha256(data).hexdigest(), len(data)))
        except ArtifactCorrupt as error:
            self._set_corrupt_aside(ref, etag[0], str(error))
            raise
        return data

    def _local(self, ref: ArtifactRef) -> Path:
        self._key(ref)
        etag: list[str] = []
        try:
            return self._cache.fetch(ref, lambda: self._pieces(ref, etag))
        except ArtifactCorrupt as error:
            if etag:
                self._set_corrupt_aside(ref, etag[0], str(error))
            raise

    def _set_corrupt_aside(self, ref: ArtifactRef, etag: str, reason: str) -> None:
        if _aside(ref):
            return
        found = self._measure_object(self._key(ref))
        if found.sha256 == ref.sha256:
            check_size(ref, found)  # healed meanwhile, or the reference is wrong
        else:
            self._move_aside(ref, found, etag, reason)

    def _quarantine(self, ref: ArtifactRef, reason: str) -> ArtifactRef:
        key = self._key(ref)
        if self._size(key) < 0:
            return self._already_aside(ref)
        etag = self._client.head_object(Bucket=self._bucket, Key=key)["ETag"]
        return self._move_aside(ref, self._measure_object(key), etag, reason)

    def _move_aside(self, ref: ArtifactRef, found: Digest, etag: str, reason: str) -> ArtifactRef:
        key, target = self._key(ref), self._prefix + quarantine_key(ref.sha256, found.sha256)
        note = {
            "at": time.time(),
            "reason": reason,
            "claimed": ref.sha256,
            "sha256": found.sha256,
            "size": found.size,
        }
        try:
            self._client.put_object(Bucket=self._bucket, Key=target + ".json", Body=json.dumps(note).encode())
            # The managed copy also moves objects over the 5 GB that one copy request allows.
            self._client.copy({"Bucket": self._bucket, "Key": key}, self._bucket, target)
            self._client.delete_object(Bucket=self._bucket, Key=key, IfMatch=etag)
        except ClientError as error:
            if status_of(error) not in (404, 412):  # gone, or replaced by a healthy one: nothing to take away
                raise
        self._cache.drop(ref)
        return self._ref(found, target, ref.name)

    def _already_aside(self, ref: ArtifactRef) -> ArtifactRef:
        prefix = f"{self._prefix}{QUARANTINE}/{ref.sha256}-"
        for item in self._client.list_objects_v2(Bucket=self._bucket, Prefix=prefix).get("Contents", []):
            if not item["Key"].endswith(".json"):
                return self._ref(self._measure_object(item["Key"]), item["Key"], ref.name)
        raise missing(ref)

    def _measure_object(self, key: str) -> Digest:
        hasher, size = hashlib.sha256(), 0
        with closing(self._client.get_object(Bucket=self._bucket, Key=key)["Body"]) as body:
            for piece in body.iter_chunks(CHUNK):
                hasher.update(piece)
                size += len(piece)
        return Digest(hasher.hexdigest(), size)

    def _ref(self, found: Digest, key: str, name: str) -> ArtifactRef:
        return ArtifactRef(f"{self.url}/{key.removeprefix(self._prefix)}", found.sha256, found.size, name)


def _aside(ref: ArtifactRef) -> bool:
    return f"/{QUARANTINE}/" in ref.uri
