"""Shard references: in the history while they are few, in one artifact that is read once when they are many."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from activities.manifest import INLINE_SHARDS, KEPT, MANIFEST, Manifests
from provery.core.types import ArtifactRef
from provery.stores.files import FileStore


def refs(count: int, name: str = "witness.bin") -> tuple[ArtifactRef, ...]:
    return tuple(ArtifactRef(f"file:///{i}", f"{i:064x}", i, name) for i in range(count))


@pytest.fixture
def manifests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Manifests, list[str]]:
    artifacts = FileStore(tmp_path)
    reads: list[str] = []
    read = artifacts.read

    async def counted(ref: ArtifactRef) -> bytes:
        reads.append(ref.sha256)
        return await read(ref)

    monkeypatch.setattr(artifacts, "read", counted)
    return Manifests(artifacts), reads


async def test_few_travel_as_they_are_whatever_their_name(manifests: tuple[Manifests, list[str]]) -> None:
    made, reads = manifests
    for count in (1, INLINE_SHARDS):
        shards = refs(count, MANIFEST)
        assert await made.pack(shards) == shards
        assert await made.entry(shards, count - 1, count) == shards[-1]
    assert reads == []


async def test_many_are_read_once_for_all_that_ask_at_a_time(
    manifests: tuple[Manifests, list[str]],
) -> None:
    made, reads = manifests
    shards = refs(INLINE_SHARDS + 1)
    packed = await made.pack(shards)
    assert [ref.name for ref in packed] == [MANIFEST]
    asked = (made.entry(packed, i, len(shards)) for i in range(len(shards)))
    assert tuple(await asyncio.gather(*asked)) == shards
    assert len(reads) == 1


async def test_only_the_last_used_are_kept(manifests: tuple[Manifests, list[str]]) -> None:
    made, reads = manifests
    packs = [await made.pack(refs(INLINE_SHARDS + 1 + i)) for i in range(KEPT + 1)]
    for i in [*range(KEPT), 0, KEPT, 0, 1]:
        await made.entry(packs[i], 3, INLINE_SHARDS + 1 + i)
    assert [packs.index((ref,)) for read in reads for (ref,) in packs if ref.sha256 == read] == [
        *range(KEPT),
        KEPT,
        1,
    ]
