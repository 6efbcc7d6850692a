"""The S3 connection: where it goes, with whose credentials, and what its failures mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
)
from urllib3.exceptions import HTTPError

from provery.core.errors import ConfigurationError, ProveryError, StoreUnavailable
from provery.core.redact import redact

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CONNECT_S = 5
READ_S = 60
CONNECTIONS = 32

_ADVICE = {
    "NoSuchBucket": "create the bucket, or correct the store's address",
    "InvalidBucketName": "correct the bucket's name in the store's address",
    "AccessDenied": "allow s3:GetObject, PutObject, DeleteObject and ListBucket on the bucket",
    "AllAccessDisabled": "ask the bucket's owner",
    "AccountProblem": "ask the bucket's owner",
    "InvalidAccessKeyId": "correct AWS_ACCESS_KEY_ID",
    "XAdminUserNotFound": "correct AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "correct AWS_SECRET_ACCESS_KEY",
    "RequestTimeTooSkewed": "correct this machine's clock",
    "PermanentRedirect": "set AWS_REGION to the bucket's region",
    "AuthorizationHeaderMalformed": "set AWS_REGION to the bucket's region",
    "NotImplemented": "the server lacks conditional writes; use one that has them",
    "401": "check the credentials and the bucket's policy",
    "403": "check the credentials and the bucket's policy",
}
"""Error codes that no retry cures, and what cures them. An expired token is not among them: it is renewed."""


def connect(
    env: Mapping[str, str], *, endpoint: str = "", region: str = "", virtual: bool = False
) -> S3Client:
    """A client, thread-safe. Credentials are those in ``env`` or else the standard chain (profile, role, metadata).

    Args:
        env: The process environment.
        endpoint: Overrides AWS_ENDPOINT_URL_S3 and AWS_ENDPOINT_URL.
        region: Overrides AWS_REGION and AWS_DEFAULT_REGION.
        virtual: Address buckets as host names even at a custom endpoint.
    """
    endpoint = endpoint or env.get("AWS_ENDPOINT_URL_S3", "") or env.get("AWS_ENDPOINT_URL", "")
    region = region or env.get("AWS_REGION", "") or env.get("AWS_DEFAULT_REGION", "")
    if endpoint and urlsplit(endpoint).scheme not in ("http", "https"):
        raise ConfigurationError(
            "not an S3 endpoint",
            value=redact(endpoint),
            expected="http(s)://host:port",
            action="correct AWS_ENDPOINT_URL",
        )
    with translated("connecting"):
        session = boto3.Session(
            aws_access_key_id=env.get("AWS_ACCESS_KEY_ID") or None,
            aws_secret_access_key=env.get("AWS_SECRET_ACCESS_KEY") or None,
            aws_session_token=env.get("AWS_SESSION_TOKEN") or None,
            profile_name=env.get("AWS_PROFILE") or None,
            region_name=region or None,
        )
        return session.client(
            "s3",
            endpoint_url=endpoint or None,
            region_name=session.region_name or ("us-east-1" if endpoint else None),
            config=Config(
                signature_version="s3v4",
                s3={"addressing_style": "path" if endpoint and not virtual else "auto"},
                connect_timeout=CONNECT_S,
                read_timeout=READ_S,
                tcp_keepalive=True,
                max_pool_connections=CONNECTIONS,
                retries={"mode": "standard", "max_attempts": 3},
                # Every write carries the SHA-256 that names it; a second checksum would only cost time, and servers
                # older than 2025 refuse it.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )


def code_of(error: ClientError) -> str:
    """The error's code: a name, or the status where the answer had no body."""
    return str(error.response.get("Error", {}).get("Code", ""))


def status_of(error: ClientError) -> int:
    """The HTTP status."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


@contextmanager
def translated(doing: str, where: str = "") -> Iterator[None]:
    """Turn boto3's errors into ours. What the server echoes of the request, such as signatures, is left out."""
    try:
        yield
    except ClientError as error:
        raise _explain(error, doing, where) from error
    except (NoCredentialsError, PartialCredentialsError, ProfileNotFound) as error:
        raise ConfigurationError(
            f"S3 {doing}: {redact(error)}",
            action="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or give the machine a role",
        ) from error
    except (TokenRetrievalError, UnauthorizedSSOTokenError) as error:
        raise StoreUnavailable(f"S3 {doing}: {redact(error)}", action="log in again") from error
    except ParamValidationError as error:
        raise ConfigurationError(
            f"S3 {doing}: {redact(error)}", action="correct the store's address"
        ) from error
    except FileNotFoundError:
        raise  # a file that the caller named is the caller's affair
    except PermissionError as error:
        raise ConfigurationError(
            f"S3 {doing}: {redact(error)}", action="make the cache directory writable for this user"
        ) from error
    except (BotoCoreError, HTTPError, OSError) as error:
        raise StoreUnavailable(f"S3 {doing} {where}: {redact(error)}".replace(" :", ":")) from error


def _explain(error: ClientError, doing: str, where: str) -> ProveryError:
    code, status = code_of(error), status_of(error)
    text = redact(error.response.get("Error", {}).get("Message", ""))
    message = f"S3 {doing} {where}: {code} {text}"
    advice = _ADVICE.get(code)
    if advice is None and status in (401, 403) and code not in ("ExpiredToken", "RequestExpired"):
        advice = _ADVICE["403"]
    return ConfigurationError(message, action=advice) if advice else StoreUnavailable(message)
