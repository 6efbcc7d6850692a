"""Holds what a prover of SP1 proofs hands back against its statement."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path

from provery.core.errors import ConfigurationError, InvalidInput, InvalidKey, ProofRejected
from provery.core.ports import Statement
from provery.provers.sp1 import bundle
from provery.provers.sp1.claims import Demand, PublicValues
from provery.provers.sp1_groth16 import PROGRAM_BYTES, SELECTORS, Claim, home_of, verdicts
from provery.provers.tools import Tools

SYNC, PREVIOUS_PROOF, PREVIOUS_VK = "sync.ssz", "previous_zk_proof.bin", "previous_zk_vk_raw.bin"
"""Inputs by name."""
COMPRESSED, VK_RAW, VK = "zk_proof.bin", "zk_vk_raw.bin", "zk_vk.bin"
GROTH16, ONCHAIN, PUBLIC = "zk_groth16.bin", "zk_proof_g16.bin", "zk_pub.bin"
"""Outputs by name, as the original has them."""
LARGEST = {
    COMPRESSED: bundle.LARGEST,
    GROTH16: 2**20,
    VK_RAW: 2**20,
    VK: 2**20,
    ONCHAIN: 4_096,
    PUBLIC: 4_096,
}
"""Bytes that are read of each."""
RELEASE = "v5.0.0"
ANY_ANCHOR = "any"
"""Statement parameter ``anchor``: a proof found in a store may continue a chain of proofs that began anywhere."""

PINNED = "verifying_key"
"""Statement parameter: digest of the key that the plan, or the manifest of a stored proof, names."""


def accepted_programs(env: Mapping[str, str]) -> list[bytes]:
    """Hashes of the programs whose proofs count, of ``PROVERY_SP1_PROGRAM``; new proofs are of the first.

    Raises:
        ConfigurationError: one is not 32 bytes in hexadecimal.
    """
    found = []
    for text in env.get("PROVERY_SP1_PROGRAM", "").replace(",", " ").split():
        try:
            found.append(bytes.fromhex(text.removeprefix("0x")))
        except ValueError:
            found.append(b"")
        if len(found[-1]) != PROGRAM_BYTES:
            raise ConfigurationError(
                "PROVERY_SP1_PROGRAM has something else than a program's hash",
                value=text,
                expected="32 bytes in hexadecimal, as vk.bytes32() of SP1 gives them",
            )
    return found


class Checker:
    """Checks SP1 proofs of sync-committee periods.

    Args:
        env: ``PROVERY_SP1_PROGRAM`` names the program.
        home: Working directory of the installation, where ``provery-prover`` is looked for; by default the
            environment's.
    """

    def __init__(self, env: Mapping[str, str], home: Path | None = None) -> None:
        self._env = env
        self._tools = Tools.find(env, home or home_of(env))

    def program(self) -> bytes:
        """Hash of the program that is proved.

        Raises:
            InvalidKey: none is configured.
        """
        found = accepted_programs(self._env)
        if not found:
            raise InvalidKey(
                "no SP1 program is known, so no proof of it could be checked",
                action="set PROVERY_SP1_PROGRAM to the program's hash (vk.bytes32() of SP1)",
            )
        return found[0]

    def verifying_key(self) -> str:
        """Digest of what proofs are checked against: SP1's wrapper and the program's hash."""
        return _key(self.program())

    def ready(self, statement: Statement) -> None:
        """See, before anything is paid for, that a new proof would be one of the program that the plan pins.

        Raises:
            InvalidKey: no program is configured, or another one than when the period was planned.
        """
        wanted, found = statement.params.get(PINNED, ""), self.verifying_key()
        if wanted and wanted != found:
            raise InvalidKey(
                "PROVERY_SP1_PROGRAM names another program first than when the period was planned",
                value=found,
                expected=wanted,
                action="nothing was requested; the next look plans the period anew, or put the old program back",
            )

    async def final(self, statement: Statement, proof: Mapping[str, Path]) -> dict[str, str]:
        """Check a proof that was just made, and what it says of the statement.

        Returns:
            Facts: program, digest of its key, release, anchor, root of the next keys.

        Raises:
            ProofRejected: it does not verify, or proves something else.
            InvalidInput: the statement cannot be proved so.
        """
        return await self._checked(statement, proof, [self.program()])

    async def accepted(self, statement: Statement, proof: Mapping[str, Path]) -> dict[str, str]:
        """As :meth:`final`, of a proof of the pinned program, or else of any accepted one.

        Raises:
            InvalidKey: no program is configured, or the pinned one is not among them: a good proof of it may be there,
                and nobody here can tell.
        """
        self.program()
        programs = accepted_programs(self._env)
        wanted = statement.params.get(PINNED, "")
        if wanted:
            programs = [program for program in programs if _key(program) == wanted]
        if not programs:
            raise InvalidKey(
                "the proof is of a program that PROVERY_SP1_PROGRAM does not name",
                value=wanted,
                expected=", ".join(_key(program) for program in accepted_programs(self._env)),
                action="add the program's hash to PROVERY_SP1_PROGRAM, after the one that is proved now",
            )
        return await self._checked(statement, proof, programs)

    async def _checked(
        self, statement: Statement, proof: Mapping[str, Path], programs: Sequence[bytes]
    ) -> dict[str, str]:
        missing = [name for name in (ONCHAIN, PUBLIC) if name not in proof]
        if missing:
            raise ProofRejected("a file of the proof is missing", value=", ".join(missing))
        onchain, public = (read(proof[name], LARGEST[name]) for name in (ONCHAIN, PUBLIC))
        said = self.claims(statement, public)
        claims = [Claim(onchain, public, program) for program in programs]
        errors = await asyncio.to_thread(verdicts, claims, tools=self._tools)
        if None not in errors:
            raise errors[0] or ProofRejected("no program is accepted")
        program = programs[errors.index(None)]
        return {
            "program": program.hex(),
            "verifying_key": _key(program),
            "sp1": RELEASE,
            "anchor": said.anchor.hex(),
            "next_keys_root": said.next_keys.hex(),
        }

    def claims(self, statement: Statement, public: bytes) -> PublicValues:
        """Hold public values against the statement alone. Raises as :meth:`final`."""
        period, stored = period_of(statement), statement.params.get("anchor") == ANY_ANCHOR
        if stored and SYNC not in statement.files:
            said = PublicValues.read(public)
            if said.period != period:
                raise ProofRejected("the proof is of another period", value=said.period, expected=str(period))
            return said
        demand, anchor = Demand.of(sync_of(statement)), b""
        if stored and PREVIOUS_PROOF not in statement.files:
            anchor = PublicValues.read(public).anchor
        if PREVIOUS_PROOF in statement.files:
            previous = previous_values(statement)
            if (previous.next_keys, previous.period) != (demand.current_keys, period - 1):
                raise InvalidInput(
                    "the previous proof does not lead to this period",
                    value=f"period {previous.period}, keys {previous.next_keys.hex()}",
                    expected=f"period {period - 1}, keys {demand.current_keys.hex()}",
                )
            anchor = previous.anchor
        return demand.check(public, period, anchor)


def _key(program: bytes) -> str:
    return sha256(SELECTORS[RELEASE] + program).hexdigest()


def sync_of(statement: Statement) -> bytes:
    """The statement's ``sync.ssz``.

    Raises:
        InvalidInput: it has none: the program knows the mainnet preset only.
    """
    if SYNC not in statement.files:
        raise InvalidInput(
            "the statement has no sync.ssz", value=statement.circuit, expected="a chain of the mainnet preset"
        )
    return read(statement.files[SYNC], 2**20)


def previous_key(statement: Statement) -> Path | None:
    """The verifying key that comes with the previous proof; None without such a proof.

    Raises:
        InvalidInput: there is a proof and no key.
    """
    if PREVIOUS_PROOF in statement.files and PREVIOUS_VK not in statement.files:
        raise InvalidInput("the previous proof comes without its verifying key", expected=PREVIOUS_VK)
    return statement.files.get(PREVIOUS_VK)


def period_of(statement: Statement) -> int:
    """The statement's period.

    Raises:
        InvalidInput: it is not a number.
    """
    text = statement.params.get("period", "")
    if not text.isascii() or not text.isdigit():
        raise InvalidInput("the statement has no period", value=text, expected="a decimal number")
    return int(text)


def previous_values(statement: Statement) -> PublicValues:
    """Public values of the previous period's compressed proof.

    Raises:
        InvalidInput: the file is not such a proof.
    """
    try:
        data = read(statement.files[PREVIOUS_PROOF], bundle.LARGEST)
        return PublicValues.read(bundle.read(data, bundle.COMPRESSED).public)
    except ProofRejected as error:
        raise InvalidInput(f"the previous period's proof is unusable: {error}") from error


def read(path: Path, limit: int) -> bytes:
    """A regular file of at most ``limit`` bytes; a link, a pipe or more bytes are refused.

    Raises:
        ProofRejected: it is not there or not such a file.
    """
    try:
        plain = path.is_file() and not path.is_symlink()
        size = path.stat().st_size if plain else -1
    except OSError:
        plain, size = False, -1
    if not plain or size > limit:
        raise ProofRejected(
            f"{path.name} is not usable",
            value=f"{size} bytes" if plain else "not a file",
            expected=f"a file of at most {limit} bytes",
        )
    return path.read_bytes()
