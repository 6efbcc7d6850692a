"""Fresh ledgers of both kinds, and children that use one."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
import uuid
from asyncio.subprocess import Process
from pathlib import Path

import psycopg
from psycopg import sql

from provery.local.servers import PostgresServer
from tests.support.queue import shared_postgres

ROOT = Path(__file__).parents[2]


def new_database(server: PostgresServer) -> str:
    """The address of an empty database."""
    name = f"ledger_{uuid.uuid4().hex}"
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return server.url.rsplit("/", 1)[0] + f"/{name}"


def new_ledger(kind: str, folder: Path) -> str:
    """The address of an empty ledger, ``sqlite`` or ``postgres``."""
    if kind == "sqlite":
        return f"sqlite:///{folder / 'ledger.db'}"
    return new_database(shared_postgres())


_RUN = """
import asyncio, sys
from provery.stores.ledger import open_ledger
async def _run():
    ledger = open_ledger(sys.argv[1])
    try:
        print("ready", flush=True)
        sys.stdin.readline()
        await main(ledger, *sys.argv[2:])
    finally:
        await ledger.close()
asyncio.run(_run())
"""


async def child(script: str, url: str, *args: str) -> Process:
    """A process that will run ``async def main(ledger, *args)`` of ``script``, with a ledger of its own.

    It is ready, and waits for a line on standard input.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        textwrap.dedent(script) + _RUN,
        url,
        *args,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    return process


async def children(script: str, url: str, count: int) -> list[str]:
    """What ``count`` such processes print that begin at once, each given its number."""
    started = [await child(script, url, str(number)) for number in range(count)]
    told = await asyncio.gather(*(process.communicate(b"go\n") for process in started))
    assert [process.returncode for process in started] == [0] * count
    return [out.decode() for out, _ in told]
