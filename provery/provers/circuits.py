"""The circuit registry: circom circuits with their keys, as versions in the catalog and files in the artifact store."""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from provery.core.errors import InvalidInput, InvalidKey, UnknownCircuit
from provery.core.ports import ArtifactStore, CircuitCatalog, CircuitFiles
from provery.core.types import Json, check_name, digest_json
from provery.provers import compiler, formats, keys
from provery.provers.belong import check_files
from provery.provers.manifest import ROLES, refs_of, sha256_of
from provery.provers.tools import Tools

_FILE = {
    "r1cs": "circuit.r1cs",
    "wasm": "circuit.wasm",
    "zkey": "circuit.zkey",
    "vkey": "verification_key.json",
}
WARNING = "INSECURE development key: whoever made it can forge proofs"


class CircuitRegistry:
    """Adds circuits and gives their files to the stages.

    Args:
        catalog: Where versions are recorded.
        artifacts: Where files are kept.
        env: ``PROVERY_ENV=production`` refuses insecure keys unless ``PROVERY_ALLOW_INSECURE_KEYS=1``.
        home: Working directory of the installation, for locks.
    """

    def __init__(
        self, catalog: CircuitCatalog, artifacts: ArtifactStore, env: Mapping[str, str], home: Path
    ) -> None:
        self._catalog = catalog
        self._artifacts = artifacts
        self._tools = Tools.find(env, home)
        self._locks = home / "locks"
        self._strict = (
            env.get("PROVERY_ENV") == "production" and env.get("PROVERY_ALLOW_INSECURE_KEYS") != "1"
        )
        self._resolved: dict[str, CircuitFiles] = {}

    async def add_source(self, name: str, source: Path) -> dict[str, Json]:
        """Compile a circuit and make a development key for it; the same source again finds what was made before.

        Args:
            name: Name to register it under.
            source: Its ``.circom`` file; includes are searched beside it and in ``node_modules`` (``circomlib/…``).

        Returns:
            The version's manifest.
        """
        check_name(name, "circuit name")
        gathered = await asyncio.to_thread(compiler.gather, source, self._tools.modules)
        async with self._lock(name), self._artifacts.scratch() as folder:
            found = await self._made_from(name, gathered.sha256)
            if found is not None:
                return found
            made = await compiler.compile_source(gathered, self._tools, folder)
            zkey, vkey = folder / "circuit.zkey", folder / "verification_key.json"
            await keys.development_setup(self._tools, made.r1cs, zkey, vkey)
            files = {"r1cs": made.r1cs, "wasm": made.wasm, "zkey": zkey, "vkey": vkey}
            extra: dict[str, Json] = {"source_sha256": gathered.sha256, "compiler": made.compiler}
            setup: dict[str, Json] = {"kind": "development", "insecure": True, "warning": WARNING}
            return await self._register(name, files, made.sym, setup, extra)

    async def add_files(
        self, name: str, r1cs: Path, wasm: Path, zkey: Path, *, sym: Path | None = None
    ) -> dict[str, Json]:
        """Register finished files. Without a transcript nobody can tell how the key was made: it counts as insecure.

        Raises:
            InvalidKey: the key is damaged or was not made for this circuit.
            InvalidInput: another file is damaged.
        """
        setup: dict[str, Json] = {
            "kind": "unverified",
            "insecure": True,
            "warning": "key without a transcript",
        }
        return await self._add(name, r1cs, wasm, zkey, sym, setup)

    async def import_zkey(
        self,
        name: str,
        zkey: Path,
        ptau: Path,
        *,
        source: Path | None = None,
        r1cs: Path | None = None,
        wasm: Path | None = None,
        sym: Path | None = None,
        skip_ptau: bool = False,
    ) -> dict[str, Json]:
        """Register a key from a ceremony after checking its transcript with snarkjs.

        Args:
            name: Name to register it under.
            zkey: The final key.
            ptau: Powers of tau that it was made from.
            source: The circuit's source, compiled here; or
            r1cs: the compiled circuit, with
            wasm: its witness program and
            sym: where there, its symbols.
            skip_ptau: Do not check the powers of tau themselves.
        """
        check_name(name, "circuit name")
        async with self._artifacts.scratch() as folder:
            extra: dict[str, Json] = {}
            if source is not None:
                gathered = await asyncio.to_thread(compiler.gather, source, self._tools.modules)
                made = await compiler.compile_source(gathered, self._tools, folder)
                r1cs, wasm, sym = made.r1cs, made.wasm, made.sym
                extra = {"source_sha256": gathered.sha256, "compiler": made.compiler}
            if r1cs is None or wasm is None:
                raise InvalidInput("a key needs its circuit", expected="a source, or r1cs and wasm")
            await asyncio.to_thread(check_files, name, r1cs, wasm, zkey)
            transcript = await keys.check_transcript(self._tools, r1cs, ptau, zkey, skip_ptau=skip_ptau)
            setup: dict[str, Json] = {
                "kind": "ceremony",
                "insecure": False,
                "contributions": list(transcript.contributions),
                "transcript": {
                    "ptau_sha256": await asyncio.to_thread(sha256_of, ptau),
                    "ptau_checked": not skip_ptau,
                    "checked_by": "snarkjs zkey verify",
                },
            }
            return await self._add(name, r1cs, wasm, zkey, sym, setup, extra)

    async def manifest(self, name: str, version: str = "") -> dict[str, Json]:
        """What is known of a version, the newest without ``version``.

        Raises:
            UnknownCircuit: it is not registered.
        """
        found = await self._catalog.get(check_name(name, "circuit name"), version)
        if found is None:
            wanted = f"{name} {version}".strip()
            raise UnknownCircuit("no such circuit", value=wanted, action="see `provery circuits list`")
        return found

    async def resolve(self, name: str, version: str = "") -> CircuitFiles:
        """Local files of a version, checked against their digests.

        Raises:
            UnknownCircuit: it is not registered.
            InvalidKey: its key is insecure and this is production.
        """
        manifest = await self.manifest(name, version)
        setup = manifest.get("setup")
        if self._strict and not (isinstance(setup, dict) and setup.get("insecure") is False):
            raise InvalidKey(
                f"circuit {name} has an insecure key, which production refuses",
                value=setup.get("kind") if isinstance(setup, dict) else setup,
                expected="a key from a ceremony",
                action="import one with `provery circuits import`, or set PROVERY_ALLOW_INSECURE_KEYS=1",
            )
        found = str(manifest["version"])
        if found not in self._resolved or not self._resolved[found].zkey.exists():
            self._resolved[found] = await self._materialise(name, found, manifest)
        return self._resolved[found]

    async def _materialise(self, name: str, version: str, manifest: Mapping[str, Json]) -> CircuitFiles:
        refs = refs_of(manifest)
        paths = dict(zip(refs, await asyncio.gather(*map(self._artifacts.local, refs.values())), strict=True))
        return CircuitFiles(
            name=name,
            version=version,
            wasm=paths["wasm"],
            wasm_sha256=refs["wasm"].sha256,
            zkey=paths["zkey"],
            zkey_sha256=refs["zkey"].sha256,
            vkey=paths["vkey"],
            vkey_sha256=refs["vkey"].sha256,
            r1cs=paths["r1cs"],
        )

    async def _add(
        self,
        name: str,
        r1cs: Path,
        wasm: Path,
        zkey: Path,
        sym: Path | None,
        setup: dict[str, Json],
        extra: Mapping[str, Json] | None = None,
    ) -> dict[str, Json]:
        check_name(name, "circuit name")
        shape = await asyncio.to_thread(check_files, name, r1cs, wasm, zkey)
        size = await keys.witness_size(self._tools, wasm)
        if size != shape.n_vars:
            raise InvalidInput(
                f"the witness program of {name} is another circuit's", value=size, expected=str(shape.n_vars)
            )
        async with self._lock(name), self._artifacts.scratch() as folder:
            vkey = folder / "verification_key.json"
            await keys.export_vkey(self._tools, zkey, vkey)
            files = {"r1cs": r1cs, "wasm": wasm, "zkey": zkey, "vkey": vkey}
            return await self._register(name, files, sym, setup, extra or {})

    async def _register(
        self,
        name: str,
        files: dict[str, Path],
        sym: Path | None,
        setup: dict[str, Json],
        extra: Mapping[str, Json],
    ) -> dict[str, Json]:
        shape = await asyncio.to_thread(check_files, name, files["r1cs"], files["wasm"], files["zkey"])
        signals = formats.read_signals(sym, shape) if sym is not None else formats.Signals((), {})
        refs = dict(
            zip(
                ROLES,
                await self._artifacts.put_files([(files[role], f"{name}/{_FILE[role]}") for role in ROLES]),
                strict=True,
            )
        )
        version = digest_json([[role, refs[role].sha256] for role in ROLES])
        manifest: dict[str, Json] = {
            "name": name,
            "version": version,
            "artifacts": {
                r: {"uri": x.uri, "sha256": x.sha256, "size": x.size, "name": x.name} for r, x in refs.items()
            },
            **{f"{role}_sha256": refs[role].sha256 for role in ROLES},
            "n_public": shape.n_public,
            "n_vars": shape.n_vars,
            "constraints": shape.n_constraints,
            "domain": shape.domain,
            "public": list(signals.public),
            "inputs": {key: list(dims) for key, dims in signals.inputs.items()},
            "setup": {"contributions": [], "transcript": None, **setup},
            "created_at": time.time(),
            **extra,
        }
        await self._catalog.add(name, manifest)
        return await self.manifest(name, version)

    async def _made_from(self, name: str, source_sha256: str) -> dict[str, Json] | None:
        async for manifest in self._catalog.all():
            same = manifest.get("name") == name and manifest.get("source_sha256") == source_sha256
            if same and all(await self._artifacts.exists(list(refs_of(manifest).values()))):
                return manifest
        return None

    @asynccontextmanager
    async def _lock(self, name: str) -> AsyncIterator[None]:
        """Let one process of this host at a time set a circuit up: two would make two keys."""
        self._locks.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._locks / f"circuit-{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    await asyncio.sleep(0.1)
            yield
        finally:
            os.close(descriptor)
