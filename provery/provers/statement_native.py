"""Statements proved by the native program's own circuits (Groth16 or PLONK over BN254, on gnark).

A proof takes gigabytes for half a minute, and of that time loading keys is a few percent because they are mapped from
their file: so each proof gets a child of its own that gives all its memory back, and nothing is held between proofs.
Lists, checks and verifications, which take milliseconds, share a child that stays.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path

from provery.core.errors import (
    ConfigurationError,
    InvalidInput,
    InvalidKey,
    ProofRejected,
    ProverCrashed,
)
from provery.core.ports import Progress, Proof, Statement
from provery.core.types import Json
from provery.provers.process import Command, Limits, limits
from provery.provers.resident import Reply, ResidentPool
from provery.provers.settings import whole
from provery.provers.statement_keys import SETUP_HINT, KeyPolicy, StatementCircuit, find, key_in_use
from provery.provers.tools import Tools

log = logging.getLogger(__name__)
PROOF = "native_proof.bin"
PUBLIC = "native_public.json"
INPUTS = ("update.json", "sync.ssz", "state.json")
"""Files of a statement that its input is read from: the first that is there."""


class NativeStatements:
    """Proves statements with the circuits compiled into ``provery-prover``.

    Args:
        env: ``PROVERY_STATEMENT_KEYS`` says where keys are, ``PROVERY_ENV=production`` refuses insecure ones unless
            ``PROVERY_ALLOW_INSECURE_KEYS=1``, ``PROVERY_PROVER_MEMORY_MB`` caps a child where the stage does not.
        home: Working directory of the installation.
        slots: Proofs at a time.
    """

    name = "native"
    compresses = False

    def __init__(self, env: Mapping[str, str], home: Path, slots: int) -> None:
        self._tools = Tools.find(env, home)
        self.policy = KeyPolicy.of(env, home)
        self._cap = cap = whole(env, "PROVERY_PROVER_MEMORY_MB", 0) << 20
        self._large = ResidentPool(self._command, slots=slots, default=Limits(memory=cap), max_calls=1)
        self._small = ResidentPool(self._command, default=Limits(timeout_s=60, memory=cap))

    async def circuits(self) -> list[StatementCircuit]:
        """Every circuit of the program, with its keys."""
        reply = await self._small.call("circuit_list", {"keys": str(self.policy.directory)})
        told = reply.result.get("result")
        if not isinstance(told, list):
            raise ProverCrashed("the native prover gave no list of circuits", value=told, expected="a list")
        return [StatementCircuit.read(one) for one in told]

    async def setup(self, circuit: str, progress: Progress, srs: str = "") -> tuple[Mapping[str, Json], bool]:
        """Make keys unless there are keys; of several callers at once, in any process, one makes them.

        Those of a Groth16 circuit are development keys. The key of a PLONK circuit follows from the circuit and an SRS
        and is as good as that; where there is no SRS, a development SRS is made, unless insecure keys are refused.

        Args:
            circuit: Its name.
            progress: Told the phase and how much is done, of 1000.
            srs: Id of the SRS that a PLONK circuit's key is made with, and put into use; the one in use if empty.

        Returns:
            The manifest of the keys, and whether they were made now.
        """
        manifest = await self.order("circuit_setup", circuit, progress, srs=srs, secure=self.policy.secure)
        return manifest, manifest.get("made") is True

    async def order(self, op: str, circuit: str, progress: Progress, **fields: Json) -> Mapping[str, Json]:
        """Have the program work on keys: any of its ``circuit_…``, ``ceremony_…`` and ``srs_…`` operations.

        Args:
            op: The operation, as in docs/native-prover.md.
            circuit: The circuit's name; empty where the operation knows it.
            progress: Told the phase and how much is done, of 1000.
            fields: What else the operation takes.
        """
        return _result(await self.reply(op, circuit, progress, **fields))

    async def reply(self, op: str, circuit: str, progress: Progress, **fields: Json) -> Reply:
        """As :meth:`order`, with what the child used."""
        request: dict[str, Json] = {"circuit": circuit, "keys": str(self.policy.directory), **fields}
        return await self._call(self._large, op, request, progress)

    async def prepare(self, circuit: str, progress: Progress, wanted: str = "") -> str:
        """See to it that a circuit has a usable key; outside production it is made where there is none.

        Args:
            circuit: Its name.
            progress: Told of a set-up, which takes a minute or two.
            wanted: Digest of the verifying key that must be used.

        Returns:
            The digest of the verifying key.

        Raises:
            InvalidKey: no usable key, and what to do to get one.
            UnknownCircuit: no such circuit.
        """
        found = key_in_use(find(await self.circuits(), circuit), self.policy, wanted)
        if found:
            return found
        log.warning(
            "circuit %s has no keys yet: making development keys, which takes a minute or two", circuit
        )
        manifest, _ = await self.setup(circuit, progress)
        return str(manifest.get("setup_id", ""))

    async def verifying_key(self, circuit: str) -> str:
        """SHA-256 of the verifying key in use. Outside production a missing key is made: a minute or two."""
        return await self.prepare(circuit, _silent)

    async def verifier(self, circuit: str, key: str) -> str:
        """Solidity source of the contract that checks proofs against a verifying key, as the program exports it."""
        with tempfile.TemporaryDirectory() as folder:
            await self.order("circuit_export", circuit, _silent, setup=key, out=folder)
            return (Path(folder) / "verifier.sol").read_text(encoding="utf-8")

    async def prove(self, statement: Statement, into: Path, progress: Progress) -> Proof:
        """Make a proof and its public values, verified, under ``into``.

        Uses the key that ``params["verifying_key"]`` names, else the current one.

        Raises:
            InvalidInput: the statement is malformed.
            InvalidWitness: the statement is false.
            InvalidKey: no usable key.
            ResourceExhausted: not enough memory here.
        """
        pinned = statement.params.get("verifying_key", "")
        key = await self.prepare(statement.circuit, progress, pinned)
        files = {PROOF: into / PROOF, PUBLIC: into / PUBLIC}
        request: dict[str, Json] = {
            **self._order(statement, key),
            "proof": str(files[PROOF]),
            "public": str(files[PUBLIC]),
        }
        reply = await self._call(self._large, "circuit_prove", request, progress)
        made = _result(reply)
        facts = {
            "verifying_key": str(made.get("verifying_key", "")),
            "setup": str(made.get("setup", "")),
            "insecure": "false" if made.get("insecure") is False else "true",
        }
        return Proof(files, facts, reply.usage)

    async def compress(
        self, statement: Statement, proof: Mapping[str, Path], into: Path, progress: Progress
    ) -> Proof:
        """There is no such step: what :meth:`prove` makes is final."""
        raise ConfigurationError(
            "the native prover's proofs are final",
            value=statement.circuit,
            expected="a plan without compress",
        )

    async def verify(self, statement: Statement, proof: Mapping[str, Path]) -> Mapping[str, str]:
        """Check a proof, and that it shows the statement; milliseconds.

        Returns:
            The public values by name, and ``verifying_key``.

        Raises:
            ProofRejected: it does not verify, or shows something else.
        """
        missing = [name for name in (PROOF, PUBLIC) if name not in proof]
        if missing:
            raise ProofRejected("the proof is incomplete", value=sorted(proof), expected=", ".join(missing))
        circuit = find(await self.circuits(), statement.circuit)
        key = key_in_use(circuit, self.policy, statement.params.get("verifying_key", ""))
        if not key:
            raise InvalidKey(
                f"circuit {circuit.name} has no keys in {self.policy.directory} to verify with",
                action=SETUP_HINT.format(name=circuit.name),
            )
        request: dict[str, Json] = {
            **self._order(statement, key),
            "proof": str(proof[PROOF]),
            "public": str(proof[PUBLIC]),
        }
        found = _result(await self._call(self._small, "circuit_verify", request, _silent))
        public = found.get("public")
        values = {name: str(value) for name, value in public.items()} if isinstance(public, dict) else {}
        return {**values, "verifying_key": key}

    async def close(self) -> None:
        """End the children."""
        await self._large.close()
        await self._small.close()

    def _order(self, statement: Statement, key: str) -> dict[str, Json]:
        given = next((statement.files[name] for name in INPUTS if name in statement.files), None)
        if given is None:
            raise InvalidInput(
                "the statement lacks the native prover's input",
                value=sorted(statement.files),
                expected=" or ".join(INPUTS),
            )
        return {
            "circuit": statement.circuit,
            "keys": str(self.policy.directory),
            "setup": key,
            "secure": self.policy.secure,
            "input": str(given),
        }

    async def _call(
        self, pool: ResidentPool, op: str, request: Mapping[str, Json], progress: Progress
    ) -> Reply:
        try:
            return await pool.call(op, request, progress=progress)
        except InvalidKey as error:
            if error.action or not request["circuit"]:
                raise
            hint = SETUP_HINT.format(name=request["circuit"])
            raise InvalidKey(str(error), action=hint if self.policy.automatic else "") from None

    def _command(self, _: int) -> Command:
        self._tools.need("native")
        cap = limits.get().memory or self._cap
        # Below the cap, the program collects its garbage harder rather than being killed.
        env = {"GOMEMLIMIT": str(cap * 9 // 10)} if cap else {}
        return Command("the native prover", (str(self._tools.native), "serve"), env)


def _result(reply: Reply) -> Mapping[str, Json]:
    found = reply.result.get("result")
    if not isinstance(found, dict):
        raise ProverCrashed("the native prover gave no result", value=found, expected="an object")
    return found


def _silent(step: str, done: float, total: float) -> None:
    """For callers that show nothing."""
