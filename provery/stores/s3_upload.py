"""Writing one object if it is absent, in one request or in parts, in bounded memory."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from provery.core.errors import ArtifactCorrupt
from provery.stores.address import CHUNK, Digest
from provery.stores.s3_client import code_of, status_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

MULTIPART_FROM = 64 * 2**20
"""Bytes; a larger file goes up in parts."""
PART = 8 * 2**20
"""Bytes of one part; the protocol's least is 5 MiB. Larger files get larger parts, since it allows 10,000."""
MOST_PARTS = 10_000
IN_FLIGHT = 4
"""Parts in memory at a time."""


@dataclass(frozen=True)
class Measured:
    """A file read once: its digest and, for an upload in parts, each part's."""

    digest: Digest
    part_size: int = 0
    parts: tuple[bytes, ...] = ()


def measure(path: Path) -> Measured:
    """Hash a file and its parts in one pass."""
    size = path.stat().st_size
    if size <= MULTIPART_FROM:
        with path.open("rb", buffering=0) as stream:
            whole, read = hashlib.sha256(), 0
            while piece := stream.read(CHUNK):
                whole.update(piece)
                read += len(piece)
        return Measured(Digest(whole.hexdigest(), read))
    part_size = max(PART, -(-size // MOST_PARTS))
    part_size = -(-part_size // CHUNK) * CHUNK
    whole, read, parts = hashlib.sha256(), 0, list[bytes]()
    with path.open("rb", buffering=0) as stream:
        for body in _parts(stream.fileno(), part_size):
            whole.update(body)
            parts.append(hashlib.sha256(body).digest())
            read += len(body)
    return Measured(Digest(whole.hexdigest(), read), part_size, tuple(parts))


def put_object(
    client: S3Client, bucket: str, key: str, body: bytes, sha256: str, *, replace: bool = False
) -> bool:
    """One conditional request; whether this call created (or replaced) the object."""
    checksum = base64.b64encode(bytes.fromhex(sha256)).decode()
    for last in (False, False, True):
        try:
            if replace:
                client.put_object(Bucket=bucket, Key=key, Body=body, ChecksumSHA256=checksum)
            else:
                client.put_object(Bucket=bucket, Key=key, Body=body, ChecksumSHA256=checksum, IfNoneMatch="*")
            return True
        except ClientError as error:
            if status_of(error) == 412:
                return False
            # 409: another conditional write is under way; whoever loses learns it at the next try.
            if status_of(error) != 409 or last:
                raise
    return False


def put_parts(
    client: S3Client, bucket: str, key: str, path: Path, measured: Measured, *, replace: bool = False
) -> bool:
    """Upload in parts and complete if absent; nothing is visible before the last step. Returns as `put_object`."""
    upload = client.create_multipart_upload(Bucket=bucket, Key=key, ChecksumAlgorithm="SHA256")["UploadId"]
    try:
        parts = _upload_parts(client, bucket, key, upload, path, measured)
        if replace:
            client.complete_multipart_upload(
                Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}
            )
        else:
            client.complete_multipart_upload(
                Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}, IfNoneMatch="*"
            )
        return True
    except BaseException as error:
        with suppress(ClientError, BotoCoreError):
            client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload)
        if isinstance(error, ClientError):
            if status_of(error) == 412:
                return False
            if code_of(error) in ("BadDigest", "XAmzContentChecksumMismatch"):
                raise ArtifactCorrupt(f"{path.name} changed while it was stored") from error
        raise


def _upload_parts(
    client: S3Client, bucket: str, key: str, upload: str, path: Path, measured: Measured
) -> list[CompletedPartTypeDef]:
    def send(number: int, body: bytes) -> CompletedPartTypeDef:
        checksum = base64.b64encode(measured.parts[number - 1]).decode()
        answer = client.upload_part(
            Bucket=bucket, Key=key, UploadId=upload, PartNumber=number, Body=body, ChecksumSHA256=checksum
        )
        return {"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": checksum}

    sent: list[Future[CompletedPartTypeDef]] = []
    with path.open("rb", buffering=0) as stream, ThreadPoolExecutor(IN_FLIGHT, "s3-part") as threads:
        pending: set[Future[CompletedPartTypeDef]] = set()
        try:
            for number, body in enumerate(_parts(stream.fileno(), measured.part_size), 1):
                if number > len(measured.parts):
                    raise ArtifactCorrupt(f"{path.name} grew while it was stored")
                if len(pending) >= IN_FLIGHT:
                    finished, pending = wait(pending, return_when=FIRST_COMPLETED)
                    for future in finished:
                        future.result()
                future = threads.submit(send, number, body)
                sent.append(future)
                pending.add(future)
            if len(sent) != len(measured.parts):
                raise ArtifactCorrupt(f"{path.name} shrank while it was stored")
            return [future.result() for future in sent]
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            raise


def _parts(fd: int, part_size: int) -> Iterator[bytes]:
    offset = 0
    while body := os.pread(fd, part_size, offset):
        offset += len(body)
        yield body
