"""Connecting to Temporal, and its errors in the words of the house."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from temporalio.client import (
    Client,
    ClientConfig,
    Interceptor,
    Plugin,
    RPCTimeoutOrCancelledError,
)
from temporalio.envconfig import ClientConfigProfile
from temporalio.runtime import Runtime
from temporalio.service import RPCError, RPCStatusCode

from provery.client.converter import DATA_CONVERTER
from provery.core.errors import ConfigurationError, InvalidInput, ProveryError, TransientError
from provery.core.redact import redact

T = TypeVar("T")
log = logging.getLogger(__name__)

DEFAULT_ADDRESS = "localhost:7233"
_CAUSE = re.compile(r'message: \\?"([^"\\]+)')
_RETRYABLE = {
    RPCStatusCode.UNAVAILABLE,
    RPCStatusCode.DEADLINE_EXCEEDED,
    RPCStatusCode.RESOURCE_EXHAUSTED,
    RPCStatusCode.ABORTED,
    RPCStatusCode.CANCELLED,
    RPCStatusCode.INTERNAL,
    RPCStatusCode.UNKNOWN,
}


class NotFound(InvalidInput):
    """Nothing has that name here: no such unit, workflow or schedule."""


def profile(env: Mapping[str, str]) -> ClientConfigProfile:
    """The connection profile that the standard ``TEMPORAL_*`` variables and config file select.

    Raises:
        ConfigurationError: a variable, the config file, or a file that it names is wrong.
    """
    file = env.get("TEMPORAL_CONFIG_FILE", "")
    if file and not Path(file).is_file():
        raise ConfigurationError(
            "TEMPORAL_CONFIG_FILE is not a file", value=file, action="correct or unset it"
        )
    tls = env.get("TEMPORAL_TLS", "")
    if tls and tls.lower() not in ("true", "false", "1", "0"):
        # The SDK reads any other value as "on", which turns a typo into an unexplained handshake failure.
        raise ConfigurationError("TEMPORAL_TLS is neither on nor off", value=tls, expected="true or false")
    try:
        return ClientConfigProfile.load(override_env_vars=dict(env))
    except (RuntimeError, ValueError, TypeError) as err:
        raise ConfigurationError(
            f"the Temporal connection settings cannot be read: {err}",
            action="check TEMPORAL_PROFILE and the file shown by `temporal config list`",
        ) from err


def address(env: Mapping[str, str]) -> str:
    """``host:port`` of the Temporal frontend."""
    return profile(env).address or DEFAULT_ADDRESS


def namespace(env: Mapping[str, str]) -> str:
    """Namespace that clients use."""
    return profile(env).namespace or "default"


async def connect(
    env: Mapping[str, str],
    *,
    timeout: float = 10.0,
    identity: str | None = None,
    interceptors: Sequence[Interceptor] = (),
    plugins: Sequence[Plugin] = (),
    runtime: Runtime | None = None,
) -> Client:
    """Connect to Temporal as the environment says.

    Args:
        env: Holds the standard TEMPORAL_* variables, TLS, API key, profile and config file included.
        timeout: Seconds until an unreachable server is reported.
        identity: How the server names this client; the SDK's ``pid@host`` by default.
        interceptors: For tracing.
        plugins: For tracing.
        runtime: Where metrics go.

    Raises:
        ConfigurationError: settings, certificates or credentials are wrong.
        TransientError: nobody answers.
    """
    chosen = profile(env)
    target = chosen.address or DEFAULT_ADDRESS
    options: dict[str, Any] = {"target_host": target}
    try:
        options |= chosen.to_client_connect_config()
    except OSError as err:
        raise ConfigurationError(
            f"a TLS file cannot be read: {err.strerror}",
            value=err.filename,
            action="check TEMPORAL_TLS_*_PATH",
        ) from err
    try:
        async with asyncio.timeout(timeout):
            return await Client.connect(
                **options,
                data_converter=DATA_CONVERTER,
                identity=identity,
                interceptors=interceptors,
                plugins=plugins,
                runtime=runtime,
                connect_timeout=timedelta(seconds=timeout),
            )
    except TimeoutError as err:
        raise _unreachable(target, f"no answer within {timeout:g} s") from err
    except RPCError as err:
        raise translate(err, "connecting to Temporal") from err
    except (RuntimeError, ValueError) as err:
        raise _connect_error(target, str(err)) from err


def _connect_error(target: str, text: str) -> ProveryError:
    # The SDK hands on a Rust debug print; the cause that people understand is inside it.
    said = _CAUSE.search(text)
    text, low = said.group(1) if said else text, text.lower()
    if any(
        word in low for word in ("certificate", "tls", "unauthenticated", "permissiondenied", "unauthorized")
    ):
        return ConfigurationError(
            f"Temporal at {target} refused the connection: {text}",
            action="check TEMPORAL_TLS, TEMPORAL_TLS_* and TEMPORAL_API_KEY",
        )
    if "invalid" in low and ("url" in low or "uri" in low or "port" in low or "address" in low):
        return ConfigurationError(
            "TEMPORAL_ADDRESS is not an address", value=target, expected="host:port", action="correct it"
        )
    return _unreachable(target, text)


def _unreachable(target: str, why: str) -> TransientError:
    return TransientError(
        f"Temporal does not answer at {target}: {why}",
        action="start it with `provery up`, or set TEMPORAL_ADDRESS to a running one",
    )


def same_converter(client: Client) -> Client:
    """The client with this house's data converter, for clients that others connected."""
    if client.data_converter is DATA_CONVERTER:
        return client
    config: ClientConfig = client.config()
    config["data_converter"] = DATA_CONVERTER
    return Client(**config)


def translate(err: RPCError | RPCTimeoutOrCancelledError, doing: str) -> ProveryError:
    """An RPC error as an error of the tree, with what to do."""
    if not isinstance(err, RPCError):
        return TransientError(f"{doing}: Temporal did not answer in time")
    text = err.message
    if err.status in _RETRYABLE:
        return TransientError(f"{doing}: Temporal answered {err.status.name}: {text}")
    if err.status is RPCStatusCode.NOT_FOUND:
        if "namespace" in text.lower():
            return ConfigurationError(
                f"{doing}: {text}",
                action="set TEMPORAL_NAMESPACE, or create it: temporal operator namespace create",
            )
        return NotFound(f"{doing}: {text}")
    if err.status in (RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNAUTHENTICATED):
        return ConfigurationError(
            f"{doing}: Temporal refused: {text}",
            action="check TEMPORAL_API_KEY, TEMPORAL_TLS_* and TEMPORAL_NAMESPACE",
        )
    if "search attribute" in text.lower():
        return ConfigurationError(
            f"{doing}: {text}",
            action="register the Provery* search attributes: `provery up` does it for the development server, "
            "`temporal operator search-attribute create` elsewhere",
        )
    return InvalidInput(f"{doing}: Temporal answered {err.status.name}: {text}")


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn RPC errors of the block into errors of the tree."""
    try:
        yield
    except (RPCError, RPCTimeoutOrCancelledError) as err:
        raise translate(err, doing) from err


async def together(jobs: Sequence[Awaitable[T]]) -> list[T]:
    """Await all; when one fails, the others are cancelled instead of waiting on unseen."""
    tasks = [asyncio.ensure_future(job) for job in jobs]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


async def patiently(call: Callable[[], Awaitable[T]], doing: str) -> T:
    """Repeat ``call`` through every transient failure, for as long as the caller waits.

    Only for calls that are safe to repeat: the answer to the first may have been lost on the way.
    """
    pause = 0.1
    while True:
        try:
            with translated(doing):
                return await call()
        except TransientError as err:
            log.warning("%s; again in %.1f s: %s", doing, pause, redact(err))
            await asyncio.sleep(pause)
            pause = min(pause * 2, 3.0)
