"""What the artifact stores cost: batches of small files, small reads, and 100 MB each way.

``python -m bench.artifacts`` measures a directory with and without fsync, and S3 on a local server.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from pathlib import Path

from provery.local.servers import S3Server
from provery.stores.artifacts import open_store
from provery.stores.files import FileStore
from provery.stores.s3 import S3Store

BATCH, WITNESS, ROUNDS = 32, 40_000, 20


async def measure(store: FileStore | S3Store) -> dict[str, float]:
    """Medians in ms."""
    await store.put_bytes(b"warm up")
    times: dict[str, list[float]] = {}

    def took(name: str, started: float) -> None:
        times.setdefault(name, []).append((time.perf_counter() - started) * 1e3)

    for _ in range(ROUNDS):
        async with store.scratch() as scratch:
            files = []
            for number in range(BATCH):
                path = scratch / str(number)
                path.write_bytes(os.urandom(WITNESS))
                files.append((path, path.name))
            started = time.perf_counter()
            refs = await store.put_files(files, move=True)
            took(f"put_files, {BATCH} x 40 kB, move", started)
        for ref in refs[:5]:
            started = time.perf_counter()
            await store.read(ref)
            took("read 40 kB", started)
        started = time.perf_counter()
        await store.put_bytes(os.urandom(800))
        took("put_bytes 800 B", started)
        started = time.perf_counter()
        await store.exists(refs)
        took(f"exists, {BATCH}", started)
    async with store.scratch() as scratch:
        big = scratch / "big"
        big.write_bytes(os.urandom(100_000_000))
        started = time.perf_counter()
        ref = await store.put_file(big)
        took("put_file 100 MB, copy", started)
    for name in ("local 100 MB, first", "local 100 MB, again"):
        started = time.perf_counter()
        await store.local(ref)
        took(name, started)
    return {name: statistics.median(values) for name, values in times.items()}


async def main() -> None:
    """Measure and print a table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with S3Server(folder) as server:
            for url in (f"file://{folder}/plain", f"file://{folder}/synced?fsync=1", server.artifacts_url):
                store = open_store(url, cache=folder / "cache", env=server.env)
                print(url.replace(str(folder), "").split("///")[-1])
                for what, ms in (await measure(store)).items():
                    print(f"  {what:<32}{ms:>10.2f} ms")
                await store.close()


if __name__ == "__main__":
    asyncio.run(main())
