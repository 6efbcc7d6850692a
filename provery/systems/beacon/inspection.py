"""Whether what the period store has of a period holds: existence is not enough.

A period is valid when its files are those of its manifest, speak of that period, and hold a proof that verifies. The
directories of the upstream daemon have no manifest: there the proof decides.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from provery.core.errors import (
    ConfigurationError,
    InvalidInput,
    InvalidKey,
    ProverCrashed,
    ProveryError,
    ResourceExhausted,
    TransientError,
)
from provery.core.ports import Statement, StatementProver
from provery.core.types import Json, Unit
from provery.systems.beacon import syncfile
from provery.systems.beacon.files import digest
from provery.systems.beacon.spec import Chain
from provery.systems.beacon.store import MANIFEST, PROOFS, Entry, PeriodStore
from provery.systems.beacon.witness import STATEMENT_FILES, SYNC, UPDATE, attested_period, circuit_name

FRESH_S = 86_400.0
"""Seconds for which files that have not changed since are taken for what they were."""
UPDATE_LIMIT = 4 * 2**20
_PUBLIC, _PERIOD_AT = "zk_pub.bin", 64
MAKERS = {"native_proof.bin": ("native",), "zk_proof_g16.bin": ("sp1-network", "command")}
"""Proof file → the provers that make such."""
ANY_ANCHOR = "any"
"""Statement parameter ``anchor``: a stored proof may continue a chain of proofs that began anywhere."""
LEAST = {"zk_proof_g16.bin": 260, "zk_pub.bin": 72, "native_proof.bin": 1}
"""Bytes: selector and eight field elements; two roots and a period."""


class Standing(StrEnum):
    """What there is of a period."""

    ABSENT = "absent"
    VALID = "valid"
    INVALID = "invalid"
    UNCHECKED = "unchecked"
    """Its files are as they were published, but nothing here can check the proof: it is left alone."""


@dataclass(frozen=True)
class Verdict:
    """What an inspection found."""

    standing: Standing
    reason: str = ""

    @property
    def due(self) -> bool:
        """Whether the period has to be proved."""
        return self.standing in (Standing.ABSENT, Standing.INVALID)


class Inspector:
    """Inspects the periods of a stream, and remembers what it found while the files stay as they are.

    Args:
        store: The period store.
        chain: The network.
        statements: Every prover by name, for their checks.
        preferred: The stream's own, to be asked first where nothing says who made a proof.
    """

    def __init__(
        self,
        store: PeriodStore,
        chain: Chain,
        statements: Mapping[str, StatementProver],
        preferred: Sequence[str],
    ) -> None:
        self._store, self._chain = store, chain
        self._statements, self._preferred = statements, preferred
        self._known: dict[int, tuple[tuple[Entry, ...], float, Verdict]] = {}

    async def verdict(self, period: int) -> Verdict:
        """Inspect a period.

        Raises:
            SinkUnavailable: the store cannot be read.
        """
        entries = tuple(await asyncio.to_thread(self._store.files, period))
        known = self._known.get(period)
        if known and known[0] == entries and time.monotonic() - known[1] < FRESH_S:
            return known[2]
        found = await self._inspect(period, {entry.name: entry.size for entry in entries})
        if found.standing is not Standing.UNCHECKED:
            self._known[period] = (entries, time.monotonic(), found)
        return found

    async def _inspect(self, period: int, sizes: Mapping[str, int]) -> Verdict:
        if not any(name in sizes for name in (*PROOFS, MANIFEST)):
            return Verdict(Standing.ABSENT)
        try:
            manifest = await asyncio.to_thread(self._manifest, period, sizes)
            _check_sizes(period, sizes)
            await asyncio.to_thread(self._about, period, sizes)
        except InvalidInput as error:
            return Verdict(Standing.INVALID, str(error))
        return await self._proof(period, list(sizes), manifest)

    def _manifest(self, period: int, sizes: Mapping[str, int]) -> dict[str, Json] | None:
        """The manifest, if there is one and everything is as it says."""
        manifest = self._store.manifest(period)
        if manifest is None:
            return None
        files = manifest.get("files")
        if not isinstance(files, dict) or not files:
            raise InvalidInput(f"{MANIFEST} of period {period} lists no files")
        root = self._chain.genesis_validators_root.hex()
        if manifest.get("period") != period or manifest.get("genesis_validators_root") != root:
            raise InvalidInput(
                f"{MANIFEST} of period {period} is of another period or chain", value=manifest.get("period")
            )
        for name, described in files.items():
            wanted = described if isinstance(described, dict) else {}
            if sizes.get(name) != wanted.get("size"):
                raise InvalidInput(
                    f"{name} of period {period} is missing or has another length",
                    value=sizes.get(name),
                    expected=f"{wanted.get('size')} bytes",
                )
            if digest(self._store.folder(period) / name) != wanted.get("sha256"):
                raise InvalidInput(
                    f"{name} of period {period} has another content", expected=str(wanted.get("sha256"))
                )
        return manifest

    def _about(self, period: int, sizes: Mapping[str, int]) -> None:
        """What the files say of the period; the proof itself may belong to any."""
        said: dict[str, int] = {}
        if UPDATE in sizes:
            said[UPDATE] = attested_period(self._chain, self._read(period, UPDATE)) + 1
        if SYNC in sizes:
            file = syncfile.read(self._read(period, SYNC), self._chain.preset)
            said[SYNC] = self._chain.period_of(file.slot) + 1
        public = self._read(period, _PUBLIC) if _PUBLIC in sizes else b""
        if len(public) >= _PERIOD_AT + 8:
            said[_PUBLIC] = int.from_bytes(public[_PERIOD_AT : _PERIOD_AT + 8], "little")
        for name, value in said.items():
            if value != period:
                raise InvalidInput(f"{name} of period {period} is of another one", value=value)

    def _read(self, period: int, name: str) -> bytes:
        path = self._store.folder(period) / name
        if path.stat().st_size > UPDATE_LIMIT:
            raise InvalidInput(f"{name} of period {period} is too large", value=path.stat().st_size)
        return path.read_bytes()

    async def _proof(self, period: int, names: Sequence[str], manifest: dict[str, Json] | None) -> Verdict:
        """Ask whoever can check the proof; who made it, where a manifest says so, else by the files' names."""
        statement, proof = self._statement(period, names, manifest or {})
        makers = [str(manifest.get("prover"))] if manifest else _makers(names, self._preferred)
        refused, unable = [], []
        for name in makers:
            if name not in self._statements:
                unable.append(f"no prover {name} is here")
                continue
            try:
                await self._statements[name].verify(statement, proof)
            except (
                InvalidKey,
                ConfigurationError,
                TransientError,
                ProverCrashed,
                ResourceExhausted,
            ) as error:
                unable.append(f"{name}: {error}")
            except ProveryError as error:
                refused.append(f"{name}: {error}")
            else:
                return Verdict(Standing.VALID)
        if refused:
            return Verdict(Standing.INVALID, "; ".join(refused))
        return Verdict(Standing.UNCHECKED, "; ".join(unable))

    def _statement(
        self, period: int, names: Sequence[str], manifest: Mapping[str, Json]
    ) -> tuple[Statement, dict[str, Path]]:
        folder = self._store.folder(period)
        key = manifest.get("verifying_key")
        unit = Unit("beacon", "stored", str(period), ordinal=period)
        statement = Statement(
            unit=unit,
            circuit=circuit_name(self._chain, period),
            files={name: folder / name for name in names if name in STATEMENT_FILES},
            params={
                "chain": self._chain.name,
                "period": str(period),
                "previous_period": str(period - 1),
                "anchor": ANY_ANCHOR,
                **({"verifying_key": str(key)} if key else {}),
            },
            request_key=f"inspect-{period}",
        )
        return statement, {name: folder / name for name in names if name not in STATEMENT_FILES}


def _makers(names: Sequence[str], preferred: Sequence[str]) -> list[str]:
    """Who may have made the proof files of a directory without a manifest, the stream's own provers first."""
    found = [prover for file, provers in MAKERS.items() if file in names for prover in provers]
    return sorted(found, key=lambda prover: prover not in preferred)


def _check_sizes(period: int, sizes: Mapping[str, int]) -> None:
    """What is too short to be a proof needs nobody to check it."""
    for name, least in LEAST.items():
        if sizes.get(name, least) < least:
            raise InvalidInput(
                f"{name} of period {period} is truncated",
                value=sizes[name],
                expected=f"{least} bytes or more",
            )
